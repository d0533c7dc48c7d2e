#include "runtime/custom_kernels.h"

#include <fmt/ranges.h>

#include "ops/checks.h"
#include "ops/gguf_embedding.h"
#include "ops/gguf_linear.h"
#include "runtime/tq_kernels.h"

namespace tessera::runtime {
namespace {

constexpr std::string_view kPrefix = "gguf_";

struct OpSuffix {
  std::string_view text;
  GgufKernelName::Op op;
};
constexpr OpSuffix kSuffixes[] = {
    {"_matvec", GgufKernelName::Op::kMatvec},
    {"_matmul", GgufKernelName::Op::kMatmul},
    {"_embedding", GgufKernelName::Op::kEmbedding},
};

Result<const TemplateArg*> find_arg(const KernelCall& call, std::string_view name, TemplateArg::Kind kind) {
  for (const TemplateArg& arg : call.template_args) {
    if (arg.name != name) continue;
    if (arg.kind == kind) return &arg;
    return invalid_argument("template argument {} of {} has kind {}, expected {}", name, call.name,
                            static_cast<int>(arg.kind), static_cast<int>(kind));
  }
  return make_error(ErrorCode::kNotFound, "kernel {} needs a template argument {}", call.name, name);
}

Status check_counts(const KernelCall& call, size_t min_inputs, size_t max_inputs) {
  if (call.inputs.size() >= min_inputs && call.inputs.size() <= max_inputs && call.outputs.size() == 1) return {};
  return invalid_argument("{} takes {} to {} inputs and gives 1 output, found {} and {}", call.name, min_inputs,
                          max_inputs, call.inputs.size(), call.outputs.size());
}

// What the packed weight says of itself: rows, and values per row.
struct WeightSize {
  int64_t n_rows, k;
};
Result<WeightSize> weight_size(const ops::Tensor& weight, const quant::Format& format) {
  TRY(ops::check_rank(weight, 2, "weight"));
  return WeightSize{weight.shape[0], weight.shape[1] / format.block_bytes * format.block_values};
}

Status check_linear_call(const GgufKernelName& kernel, const KernelCall& call) {
  TRY(check_counts(call, 2, 3));
  const WeightSize size = TRY(weight_size(call.inputs[1], *kernel.format));
  TRY(call.check_dtype_arg("InT", call.inputs[0].dtype));
  TRY(call.check_dtype_arg(call.has_arg("OutT") ? "OutT" : "InT", call.outputs[0].dtype));
  TRY(call.check_int_arg("N", size.n_rows));
  return call.check_int_arg("K", size.k);
}

Status check_embedding_call(const GgufKernelName& kernel, const KernelCall& call) {
  TRY(check_counts(call, 2, 2));
  const WeightSize size = TRY(weight_size(call.inputs[0], *kernel.format));
  TRY(call.check_dtype_arg("OutT", call.outputs[0].dtype));
  TRY(call.check_int_arg("K", size.k));
  return call.has_arg("V") ? call.check_int_arg("V", size.n_rows) : Status();
}

Result<ops::Tensor> run_gguf(const GgufKernelName& kernel, const KernelCall& call) {
  TRY(check_gguf_call(kernel, call));
  const DType dtype = call.outputs[0].dtype;
  if (kernel.op == GgufKernelName::Op::kEmbedding)
    return ops::gguf_embedding(call.inputs[0], *kernel.format, call.inputs[1], dtype);
  const ops::Tensor* bias = call.inputs.size() == 3 ? &call.inputs[2] : nullptr;
  return ops::gguf_linear(call.inputs[0], call.inputs[1], *kernel.format, bias, dtype, call.pool);
}

CustomKernels make_reference_kernels() {
  CustomKernels kernels;
  for (const quant::Format& format : quant::all_formats())
    for (const OpSuffix& suffix : kSuffixes)
      kernels.add(
          fmt::format("{}{}{}", kPrefix, format.kernel_name, suffix.text),
          [kernel = GgufKernelName{&format, suffix.op}](const KernelCall& call) -> Result<std::vector<ops::Tensor>> {
            return std::vector{TRY(run_gguf(kernel, call))};
          });
  add_tq_kernels(kernels);
  return kernels;
}

}  // namespace

bool KernelCall::has_arg(std::string_view arg) const {
  for (const TemplateArg& candidate : template_args)
    if (candidate.name == arg) return true;
  return false;
}

Result<int32_t> KernelCall::int_arg(std::string_view arg) const {
  return TRY(find_arg(*this, arg, TemplateArg::Kind::kInt))->value;
}

Result<DType> KernelCall::dtype_arg(std::string_view arg) const {
  const auto dtype = static_cast<DType>(TRY(find_arg(*this, arg, TemplateArg::Kind::kDType))->value);
  if (!is_known(dtype)) return not_implemented("template argument {} is dtype code {}", arg, static_cast<int>(dtype));
  return dtype;
}

Status KernelCall::check_int_arg(std::string_view arg, int64_t expected) const {
  const int32_t found = TRY(int_arg(arg));
  if (found == expected) return {};
  return invalid_argument("template argument {} of {} is {}, its operands say {}", arg, name, found, expected);
}

Status KernelCall::check_dtype_arg(std::string_view arg, DType expected) const {
  const DType found = TRY(dtype_arg(arg));
  if (found == expected) return {};
  return invalid_argument("template argument {} of {} is {}, expected {}", arg, name, name_of(found),
                          name_of(expected));
}

const CustomKernel* CustomKernels::find(std::string_view name) const {
  const auto found = kernels_.find(name);
  return found == kernels_.end() ? nullptr : &found->second;
}

std::string CustomKernels::names() const {
  std::vector<std::string_view> names;
  for (const auto& [name, kernel] : kernels_) names.push_back(name);
  return fmt::format("{}", fmt::join(names, ", "));
}

const CustomKernels& reference_kernels() {
  static const CustomKernels kernels = make_reference_kernels();
  return kernels;
}

std::optional<GgufKernelName> parse_gguf_kernel(std::string_view name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  for (const OpSuffix& suffix : kSuffixes) {
    if (!name.ends_with(suffix.text)) continue;
    const quant::Format* format = quant::find_format(name.substr(0, name.size() - suffix.text.size()));
    if (format) return GgufKernelName{format, suffix.op};
  }
  return std::nullopt;
}

Status check_gguf_call(const GgufKernelName& kernel, const KernelCall& call) {
  return kernel.op == GgufKernelName::Op::kEmbedding ? check_embedding_call(kernel, call)
                                                     : check_linear_call(kernel, call);
}

}  // namespace tessera::runtime
