#include "compile/fused_kernels.h"

#include <algorithm>
#include <vector>

#include "base/check.h"
#include "base/checked_math.h"
#include "compile/metal_kernel.h"
#include "kernels/metal/source.h"

namespace tessera::compile {
namespace {

using kernels::metal::Op;
using program::IntOrVid;
using program::MetalKernel;
using quant::GgmlType;

constexpr int64_t kSimdWidth = 32;     // threads of a SIMD group on Apple GPUs
constexpr int64_t kSimdGroups = 2;     // per threadgroup of a mat-vec kernel (template argument NSG)
constexpr int64_t kTileTokens = 32;    // output tile of a mat-mat kernel: rows of x,
constexpr int64_t kTileRows = 64;      // rows of the weight,
constexpr int64_t kTileThreads = 128;  // and threads that compute it
constexpr int64_t kEmbeddingThreads = 256;

// Where the kernels of the formats differ from each other.
struct KernelTraits {
  GgmlType type;
  int64_t rows_per_simd_group;  // of the weight, in mat-vec
  bool has_out_type;            // linear kernels take OutT beside InT; else out is of x's dtype
  bool has_vocab_size;          // the embedding kernel takes V and gives zeros past it
};
constexpr KernelTraits kDefaultTraits{GgmlType::kQ4_K, 2, true, true};
constexpr KernelTraits kOtherTraits[] = {
    {GgmlType::kQ5_K, 1, true, true},
    {GgmlType::kQ6_K, 2, false, false},
};

const KernelTraits& traits_of(const quant::Format& format) {
  const auto* found = std::find_if(std::begin(kOtherTraits), std::end(kOtherTraits),
                                   [&](const auto& t) { return t.type == format.type; });
  return found == std::end(kOtherTraits) ? kDefaultTraits : *found;
}

// Stands in for the text of formats that have no Metal kernels: CPU and CUDA run the instruction by its name, while
// Apple's compiler is told plainly what is missing.
constexpr std::string_view kNoMetalKernel = "#error this weight format has no Metal kernels";

std::string_view name_of(Op op) {
  switch (op) {
    case Op::kMatvec:
      return "matvec";
    case Op::kMatmul:
      return "matmul";
    case Op::kEmbedding:
      return "embedding";
  }
  check_failed(__FILE__, __LINE__, "a known operation");
}

MetalKernel kernel(ProgramBuilder& builder, const quant::Format& format, Op op, const std::vector<KernelInput>& inputs,
                   const KernelOutput& output, const std::vector<TemplateArgument>& arguments, Launch launch) {
  const std::string name = fmt::format("gguf_{}_{}", format.kernel_name, name_of(op));
  if (!kernels::metal::has_kernels(format.type))
    return metal_kernel(builder, {name, {}, kNoMetalKernel}, inputs, output, arguments, std::move(launch));
  const std::string source = kernels::metal::body_text({format.type, op});
  return metal_kernel(builder, {name, kernels::metal::header_text(), source}, inputs, output, arguments,
                      std::move(launch));
}

// Everything the two linear kernels have in common.
struct LinearEmitter {
  ProgramBuilder& builder;
  StepValues& step;
  const PackedWeight& weight;
  program::Tid x;
  const Shape& x_shape;
  DType dtype;
  program::Out out;

  // Rows of x: kDynamic, or their number. At most one size is dynamic and the others around it are 1.
  int64_t n_rows() const {
    int64_t n = 1;
    for (int i = 0; i + 1 < x_shape.rank(); ++i) {
      if (x_shape[i] == kDynamic) return kDynamic;
      n *= x_shape[i];
    }
    return n;
  }

  KernelOutput output() const {
    KernelOutput output{out, {}, dtype};
    for (int i = 0; i + 1 < x_shape.rank(); ++i) output.shape.push_back(step.dim(x_shape[i]));
    output.shape.push_back(weight.n);
    return output;
  }

  std::vector<TemplateArgument> arguments() const {
    std::vector<TemplateArgument> out_list = {dtype_argument("InT", dtype)};
    if (traits_of(*weight.format).has_out_type) out_list.push_back(dtype_argument("OutT", dtype));
    out_list.push_back(int_argument("N", weight.n));
    out_list.push_back(int_argument("K", weight.k));
    return out_list;
  }

  // Each SIMD group computes a few rows of the weight for one row of x.
  void emit_matvec() const {
    const int64_t rows = kSimdGroups * traits_of(*weight.format).rows_per_simd_group;
    const int64_t threads = kSimdWidth * kSimdGroups;
    auto list = arguments();
    list.push_back(int_argument("NSG", kSimdGroups));
    builder.emit(kernel(builder, *weight.format, Op::kMatvec, {{"x", x}, {"weight", weight.blocks}}, output(), list,
                        {{ceil_div(weight.n, rows) * threads, step.dim(n_rows()), 1}, {threads, 1, 1}}));
  }

  void emit_matmul() const {
    const int64_t m = n_rows();
    const IntOrVid tokens = m == kDynamic ? IntOrVid(step.tokens_rounded_up(kTileTokens, kTileThreads))
                                          : IntOrVid(ceil_div(m, kTileTokens) * kTileThreads);
    builder.emit(kernel(builder, *weight.format, Op::kMatmul, {{"x", x}, {"weight", weight.blocks}}, output(),
                        arguments(), {{tokens, ceil_div(weight.n, kTileRows), 1}, {kTileThreads, 1, 1}}));
  }
};

}  // namespace

bool has_fused_kernel(const quant::Format& format) {
  return format.type == kDefaultTraits.type || traits_of(format).type == format.type;
}

void emit_linear(ProgramBuilder& builder, StepValues& step, const PackedWeight& weight, program::Tid x,
                 const Shape& x_shape, DType dtype, program::Out out) {
  CHECK(x_shape.back() == weight.k);
  const LinearEmitter linear{builder, step, weight, x, x_shape, dtype, out};
  if (linear.n_rows() == 1) return linear.emit_matvec();
  if (linear.n_rows() != kDynamic) return linear.emit_matmul();
  const uint32_t matmul = builder.chain([&] { linear.emit_matmul(); });
  const uint32_t matvec = builder.chain([&] { linear.emit_matvec(); });
  builder.emit(program::If{.cond = step.is_not_one_token(), .then_chain_idx = matmul, .else_chain_idx = matvec});
}

void emit_embedding(ProgramBuilder& builder, StepValues& step, const PackedWeight& weight, program::Tid ids,
                    const Shape& ids_shape, DType dtype, program::Out out) {
  CHECK(ids_shape == Shape({1, kDynamic}));
  std::vector<TemplateArgument> arguments = {dtype_argument("OutT", dtype), int_argument("K", weight.k)};
  if (traits_of(*weight.format).has_vocab_size) arguments.push_back(int_argument("V", weight.n));
  const KernelOutput output{out, {1, step.n_tokens(), weight.k}, dtype};
  builder.emit(kernel(builder, *weight.format, Op::kEmbedding, {{"weight", weight.blocks}, {"indices", ids}}, output,
                      arguments, {{weight.k, step.n_tokens(), 1}, {kEmbeddingThreads, 1, 1}}));
}

}  // namespace tessera::compile
