// What the instructions of a step share: sizes and positions as value slots, and the mask of ring caches. Each is
// computed when it is first asked for, in the program's prologue, and only then.
#pragma once

#include <map>
#include <optional>

#include "compile/program_builder.h"

namespace tessera::compile {

class StepValues {
 public:
  // tokens (1, T), positions (T): consecutive, so the first one says all.
  StepValues(ProgramBuilder& builder, program::Tid tokens, program::Tid positions)
      : builder_(builder), tokens_(tokens), positions_(positions) {}

  program::Vid n_tokens();          // T
  program::Vid is_not_one_token();  // T - 1: the condition that chooses prefill (non-zero) or decode
  program::Vid start();             // position of the first token
  program::Vid end();               // start + T
  // A size of a shape: T for kDynamic, else the number.
  program::IntOrVid dim(int64_t size) { return size == kDynamic ? program::IntOrVid(n_tokens()) : size; }
  program::Vid times(program::Vid value, int64_t factor);  // of one of those above
  // ceil(T / divisor) * factor
  program::Vid tokens_rounded_up(int64_t divisor, int64_t factor);

  // A cache of `slots` slots written in turn, of which tokens see the last `window` positions.
  struct Ring {
    program::Vid first_slot;  // where this step's first token goes: start mod slots
    program::Vid room;        // slots from there to the end of the ring
    program::Tid mask;        // bool (1, 1, T, slots): true = attend
  };
  const Ring& ring(int64_t slots, int64_t window);

 private:
  template <typename N>
  program::Vid compute(program::IntOrVid a, program::IntOrVid b);
  program::Tid ring_mask(int64_t slots, int64_t window);

  ProgramBuilder& builder_;
  const program::Tid tokens_, positions_;
  std::optional<program::Vid> n_tokens_, is_not_one_token_, start_, end_;
  std::map<std::pair<uint32_t, int64_t>, program::Vid> products_;  // by value slot and factor
  std::map<std::pair<int64_t, int64_t>, program::Vid> rounded_up_;
  std::map<std::pair<int64_t, int64_t>, Ring> rings_;
};

}  // namespace tessera::compile
