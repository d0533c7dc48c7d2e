// Collects instructions, slots and strings of a program while it is emitted, and numbers them at the end: constants,
// inputs, outputs, mutable buffers, temporaries (executorch-pte, "Slot numbering"). Until finish(), tensor ids are
// provisional and mean something to this builder alone.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/shape.h"
#include "program/hints.h"
#include "program/program.h"

namespace tessera::compile {

// A size that is not known before a step: the number of tokens, 1 to `max_tokens`.
inline constexpr int64_t kDynamic = -1;

class ProgramBuilder {
 public:
  explicit ProgramBuilder(int64_t max_tokens) : max_tokens_(max_tokens), chains_(1) {}

  // --- slots ---
  // The same name gives the same slot. Only constants that are asked for become part of the program.
  program::Tid constant(const std::string& name, DType dtype, const Shape& shape, program::Data data);
  bool has_constant(std::string_view name) const { return constant_index_.contains(name); }
  program::Tid scalar(DType dtype, double value);  // a 0-d constant
  static program::Data scalar_data(DType dtype, double value);
  program::Tid input(const std::string& name, DType dtype, const Shape& shape);
  program::Tid mutable_buffer(const std::string& name, DType dtype, const Shape& shape);
  program::Out temp() { return {{kTemp | n_temps_++}}; }
  // Everything that writes or reads the temporary `value` uses the new output's slot instead.
  void make_output(program::Tid value, const std::string& name, DType dtype, const Shape& shape);
  program::VidOut value() { return {{n_values_++}}; }
  program::String string(std::string_view text);  // equal texts share storage

  // --- instructions ---
  void emit(program::Node node) { current().push_back(std::move(node)); }
  // Emits a node whose result goes to a new temporary, and returns that.
  template <typename N>
  program::Out emit_to_temp(N node) {
    const program::Out out = node.out = temp();
    emit(std::move(node));
    return out;
  }
  // What `emit_nodes` emits goes to the prologue, which runs before everything else, whenever it was emitted.
  template <typename F>
  void in_prologue(F&& emit_nodes) {
    in_chain(kPrologue, emit_nodes);
  }
  // What `emit_nodes` emits becomes a chain of its own; returns its index, for an If.
  template <typename F>
  uint32_t chain(F&& emit_nodes) {
    const auto index = static_cast<uint32_t>(chains_.size());
    chains_.emplace_back();
    in_chain(index, emit_nodes);
    return index;
  }
  // What `emit_nodes` emits goes to the init chain, which runs once when a program is loaded: the only place where
  // constants may be written. It has no temporaries.
  template <typename F>
  void in_init(F&& emit_nodes) {
    in_chain(kInit, emit_nodes);
  }
  // Instructions of the main chain so far, the prologue apart.
  uint32_t position() const { return static_cast<uint32_t>(chains_[kMain].size()); }

  // `hints` name provisional slots and positions as position() gave them.
  program::Program finish(program::Hints hints) &&;

 private:
  static constexpr uint32_t kMain = 0, kPrologue = UINT32_MAX, kInit = UINT32_MAX - 1;
  // Provisional ids: a kind in the upper bits, an index below.
  static constexpr uint32_t kConstant = 0, kInput = 1u << 28, kOutput = 2u << 28, kMutable = 3u << 28, kTemp = 4u << 28;
  static constexpr uint32_t kKindMask = 7u << 28;

  struct Named {
    std::string name;
    program::TensorMeta meta;
    program::Data data = {};  // of a constant
  };
  struct Numbering;

  program::Chain& current() {
    if (current_ == kPrologue) return prologue_;
    return current_ == kInit ? init_ : chains_[current_];
  }
  template <typename F>
  void in_chain(uint32_t index, F& emit_nodes) {
    const uint32_t outer = std::exchange(current_, index);
    emit_nodes();
    current_ = outer;
  }
  program::TensorMeta meta(DType dtype, const Shape& shape) const;
  program::IoTensor io(const program::TensorMeta& meta) const;
  void prepend_prologue(program::Hints& hints);
  void describe_slots(program::Program& program, const Numbering& numbering);

  const int64_t max_tokens_;
  std::vector<Named> constants_, inputs_, outputs_, mutables_;
  std::map<std::string, uint32_t, std::less<>> constant_index_;
  std::map<uint32_t, uint32_t> output_of_;  // provisional temporary -> provisional output
  uint32_t n_temps_ = 0, n_values_ = 0;
  std::map<std::string, program::String, std::less<>> strings_;
  program::Chain prologue_, init_;
  std::vector<program::Chain> chains_;
  uint32_t current_ = kMain;
};

}  // namespace tessera::compile
