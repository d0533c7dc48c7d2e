#include "compile/program_builder.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "base/check.h"
#include "base/float16.h"
#include "compile/temp_slots.h"
#include "program/def_use.h"

namespace tessera::compile {

using program::Data;
using program::Hints;
using program::Program;
using program::Tid;

namespace {

template <typename T>
std::vector<std::byte> bytes_of(T value) {
  std::vector<std::byte> out(sizeof(T));
  std::memcpy(out.data(), &value, sizeof(T));
  return out;
}

std::vector<std::byte> scalar_bytes(DType dtype, double value) {
  switch (dtype) {
    case DType::kF16:
      return bytes_of(to_f16(static_cast<float>(value)));
    case DType::kBF16:
      return bytes_of(to_bf16(static_cast<float>(value)));
    case DType::kI64:
      return bytes_of(static_cast<int64_t>(value));
    default:
      CHECK(dtype == DType::kF32);
      return bytes_of(static_cast<float>(value));
  }
}

// Calls f on every tensor slot a hint names.
template <typename F>
void for_each_slot(program::AttentionHint& hint, F&& f) {
  for (Tid* slot : {&hint.q, &hint.q_norm, &hint.k_cache, &hint.v_cache, &hint.out}) f(slot->idx);
  for (std::optional<Tid>* slot : {&hint.k, &hint.v, &hint.k_norm, &hint.rope_periods})
    if (*slot) f((*slot)->idx);
  if (!hint.compressed) return;
  auto& c = *hint.compressed;
  for (Tid* slot : {&c.k_norms, &c.v_norms, &c.rotation, &c.boundaries, &c.centroids}) f(slot->idx);
}

}  // namespace

program::TensorMeta ProgramBuilder::meta(DType dtype, const Shape& shape) const {
  program::TensorMeta out{{}, dtype};
  for (int64_t dim : shape)
    out.shape.push_back(dim == kDynamic ? program::ShapeDim{-1, 1, static_cast<int32_t>(max_tokens_)}
                                        : program::ShapeDim{static_cast<int32_t>(dim)});
  return out;
}

program::IoTensor ProgramBuilder::io(const program::TensorMeta& meta) const {
  program::IoTensor out{meta.dtype, {}, false};
  for (const program::ShapeDim& dim : meta.shape) {
    out.sizes.push_back(dim.value < 0 ? dim.max_value : dim.value);
    out.dynamic |= dim.value < 0;
  }
  return out;
}

Tid ProgramBuilder::constant(const std::string& name, DType dtype, const Shape& shape, Data data) {
  const auto [entry, is_new] = constant_index_.emplace(name, static_cast<uint32_t>(constants_.size()));
  if (is_new) constants_.push_back({name, meta(dtype, shape), std::move(data)});
  return {kConstant | entry->second};
}

Tid ProgramBuilder::scalar(DType dtype, double value) {
  const std::string name = fmt::format("scalar.{}.{}", tessera::name_of(dtype), value);
  return constant(name, dtype, {}, scalar_data(dtype, value));
}

Data ProgramBuilder::scalar_data(DType dtype, double value) { return Data::own(scalar_bytes(dtype, value)); }

Tid ProgramBuilder::input(const std::string& name, DType dtype, const Shape& shape) {
  inputs_.push_back({name, meta(dtype, shape)});
  return {kInput | static_cast<uint32_t>(inputs_.size() - 1)};
}

Tid ProgramBuilder::mutable_buffer(const std::string& name, DType dtype, const Shape& shape) {
  mutables_.push_back({name, meta(dtype, shape)});
  return {kMutable | static_cast<uint32_t>(mutables_.size() - 1)};
}

void ProgramBuilder::make_output(Tid value, const std::string& name, DType dtype, const Shape& shape) {
  CHECK((value.idx & kKindMask) == kTemp);
  output_of_[value.idx] = kOutput | static_cast<uint32_t>(outputs_.size());
  outputs_.push_back({name, meta(dtype, shape)});
}

program::String ProgramBuilder::string(std::string_view text) {
  const auto found = strings_.find(text);
  if (found != strings_.end()) return found->second;
  return strings_.emplace(text, program::String(std::string(text))).first->second;
}

// From provisional to final ids: the kinds follow each other, temporaries take the slots they were assigned.
struct ProgramBuilder::Numbering {
  uint32_t first_input, first_output, first_mutable, first_temp;
  std::vector<uint32_t> temp_slots;

  uint32_t operator()(uint32_t provisional) const {
    const uint32_t index = provisional & ~kKindMask;
    switch (provisional & kKindMask) {
      case kConstant:
        return index;
      case kInput:
        return first_input + index;
      case kOutput:
        return first_output + index;
      case kMutable:
        return first_mutable + index;
      default:
        return first_temp + temp_slots[index];
    }
  }
};

void ProgramBuilder::prepend_prologue(Hints& hints) {
  const auto shift = static_cast<uint32_t>(prologue_.size());
  program::Chain& main = chains_[kMain];
  main.insert(main.begin(), std::make_move_iterator(prologue_.begin()), std::make_move_iterator(prologue_.end()));
  for (program::AttentionHint& hint : hints.attention) {
    hint.begin += shift;
    hint.end += shift;
  }
  if (hints.last_token_take) *hints.last_token_take += shift;
}

void ProgramBuilder::describe_slots(Program& program, const Numbering& numbering) {
  using program::Slot;
  const auto describe = [&](const std::vector<Named>& list, uint32_t first, std::vector<Slot>* map) {
    for (size_t i = 0; i < list.size(); ++i) {
      const Slot slot{first + static_cast<uint32_t>(i), program::SlotType::kTensor};
      program.named_slots.push_back({list[i].name, slot});
      program.tensor_meta.push_back(list[i].meta);
      if (map) map->push_back(slot);
    }
    return static_cast<uint32_t>(list.size());
  };
  program.n_constants = describe(constants_, 0, nullptr);
  program.n_inputs = describe(inputs_, numbering.first_input, &program.input_map);
  program.n_outputs = describe(outputs_, numbering.first_output, &program.output_map);
  program.n_mutable = describe(mutables_, numbering.first_mutable, &program.mutable_map);
  for (const Named& input : inputs_) program.inputs.push_back(io(input.meta));
  for (const Named& output : outputs_) program.outputs.push_back(io(output.meta));
  for (Named& constant : constants_) program.data.emplace(constant.name, std::move(constant.data));
}

Program ProgramBuilder::finish(Hints hints) && {
  prepend_prologue(hints);
  const int32_t init_chain = init_.empty() ? -1 : static_cast<int32_t>(chains_.size());
  if (!init_.empty()) chains_.push_back(std::move(init_));
  const auto for_each_id = [&](auto&& f) {
    for (program::Chain& chain : chains_)
      for (program::Node& node : chain)
        program::for_each_slot(node, [&](program::SlotRole role, uint32_t& idx) {
          if (role == program::SlotRole::kUse || role == program::SlotRole::kDef) f(idx);
        });
    for (program::AttentionHint& hint : hints.attention) for_each_slot(hint, f);
  };
  for_each_id([&](uint32_t& idx) {
    const auto output = output_of_.find(idx);
    if (output != output_of_.end()) idx = output->second;
  });

  Numbering numbering{};
  numbering.first_input = static_cast<uint32_t>(constants_.size());
  numbering.first_output = numbering.first_input + static_cast<uint32_t>(inputs_.size());
  numbering.first_mutable = numbering.first_output + static_cast<uint32_t>(outputs_.size());
  numbering.first_temp = numbering.first_mutable + static_cast<uint32_t>(mutables_.size());
  numbering.temp_slots = assign_temp_slots(chains_, kMain, kTemp, n_temps_);
  for_each_id([&](uint32_t& idx) { idx = numbering(idx); });

  Program program;
  describe_slots(program, numbering);
  for (uint32_t slot : numbering.temp_slots) program.n_temps = std::max(program.n_temps, slot + 1);
  program.n_values = n_values_;
  program.chains = std::move(chains_);
  program.main_chain = kMain;
  program.init_chain = init_chain;
  program.data.emplace(program::kHintsKey, Data::own(program::encode(hints)));
  return program;
}

}  // namespace tessera::compile
