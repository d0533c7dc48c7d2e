#include "compile/step_values.h"

namespace tessera::compile {

using program::IntOrVid;
using program::Out;
using program::Tid;
using program::Vid;
using program::VidOut;

// One integer instruction in the prologue.
template <typename N>
Vid StepValues::compute(IntOrVid a, IntOrVid b) {
  const VidOut out = builder_.value();
  builder_.in_prologue([&] { builder_.emit(N{.a = a, .b = b, .out = out}); });
  return out;
}

Vid StepValues::n_tokens() {
  if (!n_tokens_) {
    const VidOut out = builder_.value();
    builder_.in_prologue([&] { builder_.emit(program::SymSize{.a = tokens_, .dim = 1, .out = out}); });
    n_tokens_ = out;
  }
  return *n_tokens_;
}

Vid StepValues::is_not_one_token() {
  if (!is_not_one_token_) is_not_one_token_ = compute<program::SubtractInt>(n_tokens(), 1);
  return *is_not_one_token_;
}

Vid StepValues::start() {
  if (!start_) {
    const VidOut out = builder_.value();
    builder_.in_prologue([&] {
      const Out first = builder_.temp();
      builder_.emit(program::Take{.x = positions_, .out = first, .index = 0, .axis = 0});
      builder_.emit(program::ItemInt{.x = first, .out = out});
    });
    start_ = out;
  }
  return *start_;
}

Vid StepValues::end() {
  if (!end_) end_ = compute<program::AddInt>(start(), n_tokens());
  return *end_;
}

Vid StepValues::times(Vid value, int64_t factor) {
  const auto key = std::pair(value.idx, factor);
  const auto found = products_.find(key);
  if (found != products_.end()) return found->second;
  return products_.emplace(key, compute<program::MultiplyInt>(value, factor)).first->second;
}

Vid StepValues::tokens_rounded_up(int64_t divisor, int64_t factor) {
  const auto key = std::pair(divisor, factor);
  const auto found = rounded_up_.find(key);
  if (found != rounded_up_.end()) return found->second;
  const Vid sum = compute<program::AddInt>(n_tokens(), divisor - 1);
  const Vid quotient = compute<program::FloorDivideInt>(sum, divisor);
  return rounded_up_.emplace(key, compute<program::MultiplyInt>(quotient, factor)).first->second;
}

const StepValues::Ring& StepValues::ring(int64_t slots, int64_t window) {
  const auto key = std::pair(slots, window);
  const auto found = rings_.find(key);
  if (found != rings_.end()) return found->second;
  Ring ring;
  ring.first_slot = compute<program::ModInt>(start(), slots);
  ring.room = compute<program::SubtractInt>(slots, ring.first_slot);
  ring.mask = ring_mask(slots, window);
  return rings_.emplace(key, ring).first->second;
}

// Slot s of the ring holds position base + s if s is not past the slot written last, else base - slots + s (one turn
// earlier), with base the position of slot 0 in the newest turn. A query attends where position >= 0 and
// 0 <= query - position < window.
Tid StepValues::ring_mask(int64_t slots, int64_t window) {
  const Vid newest = compute<program::SubtractInt>(end(), 1);
  const Vid last_slot = compute<program::ModInt>(newest, slots);
  const Vid base = compute<program::SubtractInt>(newest, last_slot);
  const Vid next_base = compute<program::AddInt>(base, slots);
  const Vid earlier_base = compute<program::SubtractInt>(base, slots);
  Out mask;
  builder_.in_prologue([&] {
    const auto emit = [&](auto node) {
      node.out = builder_.temp();
      builder_.emit(node);
      return node.out;
    };
    const auto range = [&](IntOrVid first, IntOrVid stop) {
      return emit(program::ARange{.out = {}, .start = first, .stop = stop, .step = 1, .scalar_type = DType::kI64});
    };
    const auto number = [&](IntOrVid value) {  // 0-d
      const program::FloatOrVid v =
          value.is_vid ? program::FloatOrVid(value.vid) : program::FloatOrVid(static_cast<double>(value.literal));
      return emit(program::Full{.out = {}, .shape = {}, .v = v, .scalar_type = DType::kI64});
    };
    const Out is_newest_turn = emit(program::LessEqual{.a = range(0, slots), .b = number(last_slot), .out = {}});
    const Out position = emit(program::Where{
        .condition = is_newest_turn, .x = range(base, next_base), .y = range(earlier_base, base), .out = {}});
    const Out query = emit(program::Reshape{.x = range(start(), end()), .out = {}, .shape = {n_tokens(), 1}});
    const Out distance = emit(program::Subtract{.a = query, .b = position, .out = {}});  // (T, slots)
    const Out zero = number(0);
    const Out written = emit(program::GreaterEqual{.a = position, .b = zero, .out = {}});
    const Out causal = emit(program::GreaterEqual{.a = distance, .b = zero, .out = {}});
    const Out near = emit(program::Less{.a = distance, .b = number(window), .out = {}});
    const Out visible = emit(program::BitwiseAnd{.a = causal, .b = written, .out = {}});
    const Out both = emit(program::BitwiseAnd{.a = visible, .b = near, .out = {}});
    mask = emit(program::Reshape{.x = both, .out = {}, .shape = {1, 1, n_tokens(), slots}});
  });
  return mask;
}

}  // namespace tessera::compile
