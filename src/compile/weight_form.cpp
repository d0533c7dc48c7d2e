#include "compile/weight_form.h"

#include <map>

#include "compile/affine_from_gguf.h"
#include "compile/fused_kernels.h"

namespace tessera::compile {
namespace {

constexpr size_t kMaxNames = 16;  // in one line

}  // namespace

Result<WeightForm> choose_form(const graph::Weight& weight, const Shape& shape, const WeightOptions& options,
                               const std::shared_ptr<AffineMaker>& maker) {
  if (weight.affine) return WeightForm(TRY(AffineMaker::data(maker, weight.name, weight.affine, options.dtype)));
  const quant::Format& format = *weight.format;
  const program::Data as_it_is{weight.bytes, weight.owner, weight.mapped};
  if (const auto dtype = quant::dense_dtype(format)) return WeightForm(DenseForm{*dtype, as_it_is});
  if (format.block_values == 1)
    return not_implemented("tensor {}: a program cannot compute with {} weights", weight.name, format.name);
  if (shape.rank() != 2) return not_implemented("tensor {}: {} weights must be matrices", weight.name, format.name);

  const bool has_kernel = has_fused_kernel(format);
  const bool keeps_others = options.unknown == UnknownFormats::kKeep;
  if (options.kind == LoweringKind::kPacked && (has_kernel || keeps_others)) return WeightForm(PackedForm{as_it_is});
  if (auto affine = affine_from_gguf(weight, shape, options.dtype)) return WeightForm(*std::move(affine));
  if (has_kernel || keeps_others) return WeightForm(PackedForm{as_it_is});
  if (!format.dequantize)
    return not_implemented("tensor {}: {} weights cannot be dequantized", weight.name, format.name);
  return WeightForm(DenseForm{DType::kBF16, dequantized_bf16(weight, shape), true});
}

std::vector<std::string> describe_unknown(const std::vector<const graph::Weight*>& weights, std::string_view outcome) {
  std::map<std::string_view, std::vector<const graph::Weight*>> by_format;
  for (const graph::Weight* weight : weights) by_format[weight->format->name].push_back(weight);
  std::vector<std::string> lines;
  for (const auto& [format, list] : by_format) {
    uint64_t bytes = 0;
    for (const graph::Weight* weight : list) bytes += weight->bytes.size();
    std::string names;
    for (size_t i = 0; i < list.size() && i < kMaxNames; ++i)
      names += fmt::format("{}{} ({})", i == 0 ? "" : ", ", list[i]->name, list[i]->bytes.size());
    if (list.size() > kMaxNames) names += fmt::format(" and {} more", list.size() - kMaxNames);
    lines.push_back(fmt::format("ExecuTorch has no form for {}: {} tensor{} of {} bytes in all {}: {}", format,
                                list.size(), list.size() == 1 ? "" : "s", bytes, outcome, names));
  }
  return lines;
}

}  // namespace tessera::compile
