#include "compile/compressed_cache.h"

#include <fmt/ranges.h>

#include "compile/metal_kernel.h"
#include "kernels/metal/source.h"
#include "quant/param_array.h"
#include "quant/tq4.h"

namespace tessera::compile {
namespace {

using kernels::metal::TqOp;
using program::IntOrVid;
using program::Out;
using program::Tid;

constexpr int64_t kSimdWidth = 32;
constexpr int32_t kSlotAxis = 2;

KernelText text_of(std::string_view name, TqOp op) {
  return {name, kernels::metal::tq_header_text(), kernels::metal::tq_body_text(op)};
}

// One SIMD group per vector.
Launch per_vector(program::Vid vectors) { return {{kSimdWidth, 1, vectors}, {kSimdWidth, 1, 1}}; }

// What keeps a vector of zeros from being divided by zero: ExecuTorch's constant, or where that is nothing in the dtype
// the least there is.
double epsilon_of(DType dtype) { return dtype == DType::kF16 ? 0x1p-24 : double{quant::kTq4Epsilon}; }

}  // namespace

Status check_compressible(const graph::Graph& graph) {
  std::vector<std::string> unsupported;
  bool has_full = false;
  for (const graph::Cache& cache : graph.caches) {
    if (cache.window > 0) continue;
    has_full = true;
    if (!quant::tq4_supports(cache.head_dim))
      unsupported.push_back(fmt::format("{} (head_dim {})", cache.name, cache.head_dim));
  }
  if (!has_full)
    return invalid_argument("turboquant: every layer attends to a window, and only full layers' caches are compressed");
  if (unsupported.empty()) return {};
  return not_implemented("turboquant: vectors of a cache must have a power of two from {} to {} values: {}",
                         quant::kTq4MinDim, quant::kTq4MaxDim, fmt::join(unsupported, ", "));
}

CompressedCache add_compressed_cache(ProgramBuilder& builder, const std::string& name, int64_t n_kv_heads,
                                     int64_t slots, int64_t head_dim, DType dtype) {
  const auto codebook = quant::tq4_codebook(head_dim);
  const auto constant = [&](const char* what, DType type, const Shape& shape, std::span<const float> values) {
    return builder.constant(fmt::format("tq4.{}.{}", what, head_dim), type, shape,
                            program::Data::own(quant::to_params(values, type).bytes));
  };
  const auto buffer = [&](const char* what, DType type, int64_t width) {
    return builder.mutable_buffer(name + what, type, {1, n_kv_heads, slots, width});
  };
  return {.k_codes = buffer(".k_cache", DType::kU8, head_dim / 2),
          .v_codes = buffer(".v_cache", DType::kU8, head_dim / 2),
          .k_norms = buffer(".k_norms", DType::kBF16, 1),
          .v_norms = buffer(".v_norms", DType::kBF16, 1),
          .rotation = constant("rotation", dtype, {head_dim, head_dim}, quant::Tq4Rotation(head_dim).matrix()),
          .boundaries = constant("boundaries", DType::kBF16, {quant::kTq4Levels - 1}, codebook.boundaries),
          .centroids = constant("centroids", DType::kF32, {quant::kTq4Levels}, codebook.centroids),
          .epsilon = builder.scalar(dtype, epsilon_of(dtype)),
          .n_kv_heads = n_kv_heads,
          .head_dim = head_dim};
}

Out emit_rotation(ProgramBuilder& builder, const CompressedCache& cache, Tid x) {
  return builder.emit_to_temp(program::Addmm{.mat1 = x, .mat2 = cache.rotation, .out = {}, .bias = {}});
}

CompressedVectors emit_compress(ProgramBuilder& builder, StepValues& step, const CompressedCache& cache, Tid x,
                                DType dtype) {
  const int64_t heads = cache.n_kv_heads, half = cache.head_dim / 2;
  const program::Vid tokens = step.n_tokens();
  const KernelOutput norms{builder.temp(), {1, heads, tokens, 1}, dtype, "norms"};
  builder.emit(metal_kernel(builder, text_of("tq_norm", TqOp::kNorm), {{"x", x}}, norms,
                            {dtype_argument("InT", dtype), int_argument("D", cache.head_dim)},
                            per_vector(step.times(tokens, heads))));
  const Out lengths = builder.emit_to_temp(program::Add{.a = norms.slot, .b = cache.epsilon, .out = {}});
  const Out directions = builder.emit_to_temp(program::Divide{.a = x, .b = lengths, .out = {}});
  const Out rotated = emit_rotation(builder, cache, directions);
  const KernelOutput codes{builder.temp(), {1, heads, tokens, half}, DType::kU8};
  builder.emit(metal_kernel(builder, text_of("tq4_compress", TqOp::kCompress),
                            {{"values", rotated}, {"boundaries", cache.boundaries}}, codes,
                            {dtype_argument("InT", dtype), int_argument("B", quant::kTq4Levels - 1)},
                            {{step.times(tokens, heads * half), 1, 1}, {kSimdWidth, 1, 1}}));
  return {codes.slot, norms.slot};
}

Out emit_decompress(ProgramBuilder& builder, StepValues& step, const CompressedCache& cache, Tid codes, Tid norms,
                    DType dtype) {
  const program::Vid end = step.end();
  const auto live = [&](Tid buffer) {
    return builder.emit_to_temp(program::Slice{.x = buffer, .out = {}, .axis = kSlotAxis, .start = 0, .stop = end});
  };
  const Out packed = live(codes), lengths = live(norms);
  const KernelOutput out{builder.temp(), {1, cache.n_kv_heads, end, cache.head_dim}, dtype};
  builder.emit(metal_kernel(builder, text_of("tq_dequant", TqOp::kDequantize),
                            {{"packed", packed}, {"norms", lengths}, {"centroids", cache.centroids}}, out,
                            {dtype_argument("InT", dtype), int_argument("D", cache.head_dim)},
                            per_vector(step.times(end, cache.n_kv_heads))));
  return out.slot;
}

}  // namespace tessera::compile
