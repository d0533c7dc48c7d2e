// What a fusion sees of the program while the plan is built, and what it hands back.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "program/hints.h"
#include "program/program.h"
#include "runtime/dataflow.h"
#include "runtime/slots.h"
#include "runtime/step.h"

namespace tessera::runtime {

// A version of a slot: the slot and the instruction that wrote it (Dataflow::kExternal: before the chain).
struct Version {
  uint32_t slot = 0;
  int writer = Dataflow::kExternal;
  bool operator==(const Version&) const = default;
};

// A step and what it stands for. The planner checks that nothing outside reads a version the step swallowed, and drops
// steps nobody needs.
struct Planned {
  StepPtr step;
  std::vector<int> covered;  // instructions, in order
  std::vector<Version> reads;
  std::vector<Version> outs;  // versions the step really writes
  std::vector<uint32_t> value_reads, value_outs;
  bool has_effect = false;  // writes more than `outs` that outlives the execution; of those the planner knows
};

// What a slot is multiplied by, and where the product goes.
struct Scaled {
  float factor;
  program::Tid out;
};

class PlanBuilder {
 public:
  // `bound` holds the constants, the init chain run. Both are borrowed.
  PlanBuilder(const program::Program& program, const Slots& bound, program::Hints hints);

  const program::Program& program;
  const Slots& bound;
  const program::Hints hints;
  const program::Chain& chain;
  const Dataflow flow;
  // Instructions that touch tensors, in order; those that only compute values (SymSize, AddInt, ItemInt, ...) do not
  // get between the parts of a pattern.
  const std::vector<int> order;
  std::vector<RopeSpec> rope_specs;

  // The node at position `i` of `order` if it is an N, else nullptr (also past the end).
  template <typename N>
  const N* node_at(size_t i) const {
    return i < order.size() ? std::get_if<N>(&chain[static_cast<size_t>(order[i])]) : nullptr;
  }
  int index_at(size_t i) const { return order[i]; }
  // The version of `slot` that the instruction at position `i` reads / writes.
  Version read_at(size_t i, program::Tid slot) const { return {slot.idx, flow.writer_of(order[i], slot.idx)}; }
  Version written_at(size_t i, program::Tid slot) const { return {slot.idx, order[i]}; }
  // Is `version` read by the instruction at position `i` and by nothing else?
  bool only_read_at(Version version, size_t i) const {
    return i < order.size() && flow.only_reader(version.writer, version.slot, order[i]);
  }
  // A constant, or nothing when the slot is none.
  std::optional<ops::Tensor> constant(program::Tid tid) const;
  // A constant as f32 (norm weights, scalars), or nothing when the slot is no constant of a float dtype.
  std::optional<std::vector<float>> float_constant(program::Tid tid) const;
  std::optional<float> scalar_constant(program::Tid tid) const;
  // [Multiply x by a scalar of its dtype] at position `i`, where position i - 1 writes x and nothing else reads it.
  std::optional<Scaled> scaled_at(size_t i, program::Tid x, DType dtype) const;
  // Shape and dtype of a mutable buffer; nullptr when the slot is none.
  const program::TensorMeta* buffer(program::Tid tid) const;
};

// One pattern. match() looks at position `i` of builder.order; on success the returned step covers some instructions
// from there on.
struct Fusion {
  std::string_view name;
  std::optional<Planned> (*match)(PlanBuilder& builder, size_t i);
};

// In order of preference; see fusions.cpp for the list with what each one does.
std::span<const Fusion> fusions();

}  // namespace tessera::runtime
