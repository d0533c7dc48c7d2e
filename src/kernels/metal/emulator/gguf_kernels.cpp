#include "kernels/metal/emulator/gguf_kernels.h"

#include "base/checked_math.h"
#include "kernels/metal/emulator/gguf_arguments.h"
#include "ops/checks.h"

namespace tessera::kernels::emulator {
namespace {

using Op = kernels::metal::Op;

Region region_of(std::string_view name, const ops::Tensor& tensor, Recording recording = Recording::kNone) {
  return {name, tensor.data, tensor.n_bytes(), recording};
}
Region region_of(std::string_view name, std::vector<int>& sizes) {
  return {name, sizes.data(), sizes.size() * sizeof(int)};
}

std::vector<int> sizes_of(const ops::Tensor& tensor) {
  std::vector<int> sizes;
  for (int64_t size : tensor.shape) sizes.push_back(static_cast<int>(size));
  return sizes;
}

// Operands a kernel trusts to fit together: the instruction's checks, not the kernel's.
Status check(const Launch& launch, int64_t n, int64_t k) {
  const bool is_embedding = launch.kernel.op == Op::kEmbedding;
  const ops::Tensor& input = launch.input;
  if (input.shape.rank() == 0 || (!is_embedding && input.shape.back() != k))
    return invalid_argument("input {} of a kernel whose weight rows hold {} values", ops::describe(input), k);
  if (is_embedding && input.dtype != DType::kI32 && input.dtype != DType::kI64)
    return invalid_argument("ids must be i32 or i64, found {}", ops::describe(input));
  Shape shape = input.shape;
  if (is_embedding)
    shape.push_back(k);
  else
    shape[shape.rank() - 1] = n;
  TRY(ops::check_shape(launch.out, shape, "out"));
  if (launch.kernel.has_bias != launch.bias.has_value()) return invalid_argument("a bias is missing or not expected");
  if (launch.bias) TRY(ops::check_shape(*launch.bias, {n}, "bias"));
  return {};
}

ThreadBody thread_body(const Kernel& kernel, const Arguments& arguments) {
  switch (kernel.op) {
    case Op::kMatvec:
      return matvec_thread(kernel.format, arguments);
    case Op::kMatmul:
      return matmul_thread(kernel.format, arguments);
    case Op::kEmbedding:
      return embedding_thread(kernel.format, arguments);
  }
  return {};
}

uint32_t u32(int64_t value) { return static_cast<uint32_t>(value); }

}  // namespace

int64_t weight_rows_per_group(const Kernel& kernel) {
  if (kernel.op == Op::kMatmul) return gguf::kTileRows;
  return kNSG * (kernel.format == quant::GgmlType::kQ5_K ? gguf::Q5_K::kMatvecRows : gguf::Q4_K::kMatvecRows);
}

Grid grid_of(const Kernel& kernel, int64_t rows, int64_t n, int64_t k) {
  switch (kernel.op) {
    case Op::kMatvec:
      return {{u32(ceil_div(n, weight_rows_per_group(kernel)) * 64), u32(rows), 1}, {64, 1, 1}};
    case Op::kMatmul:
      return {
          {u32(ceil_div<int64_t>(rows, gguf::kTileTokens) * 128), u32(ceil_div(n, weight_rows_per_group(kernel))), 1},
          {128, 1, 1}};
    case Op::kEmbedding:
      return {{u32(k), u32(rows), 1}, {256, 1, 1}};
  }
  return {};
}

Status run(const Launch& launch, const std::vector<GroupPosition>& groups) {
  const quant::Format& format = *quant::find_format(launch.kernel.format);
  TRY(ops::check_rank(launch.weight, 2, "weight"));
  const int64_t n = launch.weight.shape[0], k = launch.weight.shape[1] / format.block_bytes * format.block_values;
  TRY(check(launch, n, k));

  Arguments a;
  std::vector<int> input_shape = sizes_of(launch.input), weight_shape = sizes_of(launch.weight);
  const bool is_embedding = launch.kernel.op == Op::kEmbedding;
  a.input = region_of(is_embedding ? "indices" : "x", launch.input);
  a.input_shape = region_of("x_shape", input_shape);
  a.input_rank = launch.input.shape.rank();
  a.weight = region_of("weight", launch.weight);
  a.weight_shape = region_of("weight_shape", weight_shape);
  a.out = region_of("out", launch.out, Recording::kOutput);
  a.input_dtype = launch.input.dtype;
  a.out_dtype = launch.out.dtype;
  a.has_bias = launch.bias.has_value();
  if (launch.bias) a.bias = region_of("bias", *launch.bias), a.bias_dtype = launch.bias->dtype;
  a.n = static_cast<int>(n), a.k = static_cast<int>(k);

  const ThreadBody body = thread_body(launch.kernel, a);
  if (!body)
    return not_implemented("the emulator has no {} kernel for {} from {} to {}", format.kernel_name,
                           is_embedding ? "embedding" : "linear", name_of(a.input_dtype), name_of(a.out_dtype));
  return dispatch(launch.grid, groups, body);
}

}  // namespace tessera::kernels::emulator
