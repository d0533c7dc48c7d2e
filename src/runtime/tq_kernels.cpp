#include "runtime/tq_kernels.h"

#include "ops/tq_cache.h"

namespace tessera::runtime {
namespace {

using kernels::metal::TqOp;
using ops::Tensor;

struct NamedOp {
  std::string_view name;
  TqOp op;
  size_t n_inputs;
};
constexpr NamedOp kOps[] = {
    {"tq_norm", TqOp::kNorm, 1},           // x -> norms
    {"tq4_compress", TqOp::kCompress, 2},  // values, boundaries -> out
    {"tq_dequant", TqOp::kDequantize, 3},  // packed, norms, centroids -> out
};

Status check_counts(const KernelCall& call, size_t n_inputs) {
  if (call.inputs.size() == n_inputs && call.outputs.size() == 1) return {};
  return invalid_argument("{} takes {} inputs and gives 1 output, found {} and {}", call.name, n_inputs,
                          call.inputs.size(), call.outputs.size());
}

int64_t last_size(const Tensor& x) { return x.shape.rank() > 0 ? x.shape.back() : 0; }

Result<Tensor> run(const NamedOp& named, const KernelCall& call) {
  TRY(check_counts(call, named.n_inputs));
  const Tensor& x = call.inputs[0];
  switch (named.op) {
    case TqOp::kNorm:
      TRY(call.check_dtype_arg("InT", x.dtype));
      TRY(call.check_int_arg("D", last_size(x)));
      return ops::tq_norm(x);
    case TqOp::kCompress:
      TRY(call.check_dtype_arg("InT", x.dtype));
      TRY(call.check_int_arg("B", last_size(call.inputs[1])));
      return ops::tq4_compress(x, call.inputs[1]);
    case TqOp::kDequantize:
      TRY(call.check_dtype_arg("InT", call.outputs[0].dtype));
      TRY(call.check_int_arg("D", 2 * last_size(x)));
      return ops::tq_dequant(x, call.inputs[1], call.inputs[2], call.outputs[0].dtype);
  }
  check_failed(__FILE__, __LINE__, "a known operation");
}

}  // namespace

std::optional<TqOp> parse_tq_kernel(std::string_view name) {
  for (const NamedOp& named : kOps)
    if (named.name == name) return named.op;
  return std::nullopt;
}

void add_tq_kernels(CustomKernels& kernels) {
  for (const NamedOp& named : kOps)
    kernels.add(std::string(named.name), [named](const KernelCall& call) -> Result<std::vector<Tensor>> {
      return std::vector{TRY(run(named, call))};
    });
}

}  // namespace tessera::runtime
