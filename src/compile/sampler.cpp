#include "compile/sampler.h"

#include <cmath>
#include <limits>

namespace tessera::compile {
namespace {

using program::Out;
using program::Tid;
using program::Vid;

constexpr DType kF32 = DType::kF32;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

class SamplerEmitter {
 public:
  SamplerEmitter(ProgramBuilder& builder, const SamplerInputs& inputs, Tid logits, int64_t vocab_size)
      : builder_(builder), inputs_(inputs), logits_(logits), vocab_size_(vocab_size) {}

  Out run() {
    const Out warm = emit(program::Greater{.a = inputs_.temperature, .b = builder_.scalar(kF32, 0), .out = {}});
    // ExecuTorch's ItemInt reads four bytes of a bool's one; as an int it has them.
    const Vid is_warm = item(emit(program::AsType{.x = warm, .out = {}, .scalar_type = DType::kI32}));
    const Out token = builder_.temp();
    const uint32_t draw = builder_.chain([&] { emit_draw(token); });
    const uint32_t greedy = builder_.chain([&] { argmax(logits_, token); });
    builder_.emit(program::If{.cond = is_warm, .then_chain_idx = draw, .else_chain_idx = greedy});
    return token;
  }

 private:
  template <typename N>
  Out emit(N node) {
    return builder_.emit_to_temp(std::move(node));
  }
  template <typename N>
  Out unary(Tid x) {
    return emit(N{.x = x, .out = {}});
  }
  template <typename N>
  Out binary(Tid a, Tid b) {
    return emit(N{.a = a, .b = b, .out = {}});
  }
  Tid number(double value) { return builder_.scalar(kF32, value); }
  Vid item(Tid x) {
    const program::VidOut out = builder_.value();
    builder_.emit(program::ItemInt{.x = x, .out = out});
    return out;
  }
  void argmax(Tid x, Out token) { builder_.emit(program::Argmax{.x = x, .out = token, .axis = -1}); }
  Out where(Tid condition, Tid x, Tid y) {
    return emit(program::Where{.condition = condition, .x = x, .y = y, .out = {}});
  }
  // Sorting is ascending only.
  Out descending(Tid x) {
    const Out negated = unary<program::Neg>(x);
    const Out sorted = emit(program::Sort{.x = negated, .out = {}, .axis = -1});
    return unary<program::Neg>(sorted);
  }

  void emit_draw(Out token) {
    const Out noise = gumbel_noise();
    const Out scaled = binary<program::Divide>(logits_, inputs_.temperature);
    const Out kept = keep_nucleus(keep_best(scaled));
    argmax(binary<program::Add>(kept, noise), token);
  }

  // -log(-log(u)), u uniform in [0, 1)
  Out gumbel_noise() {
    const Out bits = emit(program::RandomBits{
        .out = {}, .shape = {1, vocab_size_}, .seed = item(inputs_.seed), .width = sizeof(uint32_t)});
    const Out as_float = emit(program::AsType{.x = bits, .out = {}, .scalar_type = kF32});
    const Out ratio = binary<program::Divide>(as_float, number(4294967295.0));
    const Out uniform = binary<program::Minimum>(ratio, number(std::nextafter(1.0f, 0.0f)));
    const Out exponential = unary<program::Neg>(unary<program::Log>(uniform));
    return unary<program::Neg>(unary<program::Log>(exponential));
  }

  // -inf for everything below the k-th largest.
  Out keep_best(Tid z) {
    const Out k =
        binary<program::Minimum>(inputs_.top_k, builder_.scalar(DType::kI64, static_cast<double>(vocab_size_)));
    const program::VidOut last = builder_.value();
    builder_.emit(program::SubtractInt{.a = item(k), .b = 1, .out = last});
    const Out sorted = descending(z);
    const Out kth = emit(program::Take{.x = sorted, .out = {}, .index = Vid{last}, .axis = -1});
    const Out threshold = emit(program::ExpandDims{.x = kth, .out = {}, .axis = -1});
    return where(binary<program::Less>(z, threshold), number(-kInfinity), z);
  }

  // -inf for what the likeliest tokens with a sum of top_p leave. The likeliest one always stays.
  Out keep_nucleus(Tid z) {
    const Out p = emit(program::Softmax{.x = z, .out = {}, .axis = -1});
    const Out sorted = descending(p);
    const Out sums = emit(program::Cumsum{.x = sorted, .out = {}, .axis = -1});
    const Out before = binary<program::Subtract>(sums, sorted);
    const Out left = where(binary<program::Greater>(before, inputs_.top_p), number(kInfinity), sorted);
    const Out least = emit(program::Min{.x = left, .out = {}, .axes = {-1}, .keepdims = true});
    return where(binary<program::Less>(p, least), number(-kInfinity), z);
  }

  ProgramBuilder& builder_;
  const SamplerInputs inputs_;
  const Tid logits_;
  const int64_t vocab_size_;
};

}  // namespace

SamplerInputs add_sampler_inputs(ProgramBuilder& builder) {
  SamplerInputs inputs;
  inputs.temperature = builder.input("temperature", kF32, {});
  inputs.top_k = builder.input("top_k", DType::kI64, {});
  inputs.top_p = builder.input("top_p", kF32, {});
  inputs.seed = builder.input("seed", DType::kI64, {});
  return inputs;
}

Out emit_sampler(ProgramBuilder& builder, const SamplerInputs& inputs, Tid logits, int64_t vocab_size) {
  return SamplerEmitter(builder, inputs, logits, vocab_size).run();
}

}  // namespace tessera::compile
