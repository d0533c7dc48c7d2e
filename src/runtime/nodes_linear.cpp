// Matrix products, plain and quantized, and convolutions.
#include "ops/conv.h"
#include "ops/matmul.h"
#include "ops/mlx_quant.h"
#include "runtime/nodes.h"

namespace tessera::runtime {

using ops::ConvAxis;
using ops::Tensor;

Status run(const program::Addmm& node, ExecutionContext& context) {
  const Tensor a = TRY(get(context, node.mat1)), b = TRY(get(context, node.mat2));
  const OptionalTensor bias = TRY(get(context, node.bias));
  return put(context, node.out, ops::addmm(a, b, bias.ptr(), node.alpha, node.beta));
}

// Sortedness is a promise about speed, which nothing here uses; the flag's slot must still be readable.
template <typename N>
Status check_sorted_flag(const N& node, ExecutionContext& context) {
  if (node.sorted_indices_flag) TRY(get(context, *node.sorted_indices_flag));
  return {};
}

Status run(const program::GatherMm& node, ExecutionContext& context) {
  TRY(check_sorted_flag(node, context));
  const Tensor a = TRY(get(context, node.a)), b = TRY(get(context, node.b));
  const OptionalTensor lhs = TRY(get(context, node.lhs_indices)), rhs = TRY(get(context, node.rhs_indices));
  return put(context, node.out, ops::gather_mm(a, b, lhs.ptr(), rhs.ptr()));
}

Status run(const program::Dequantize& node, ExecutionContext& context) {
  const Tensor codes = TRY(get(context, node.w)), scales = TRY(get(context, node.scales));
  const OptionalTensor biases = TRY(get(context, node.biases)), global = TRY(get(context, node.global_scale));
  const DType dtype = TRY(get(node.dtype.value_or(DType::kBF16)));
  const ops::QuantizedWeight w{codes, scales, biases.ptr(), node.group_size, node.bits, node.mode.view(), global.ptr()};
  return put(context, node.out, ops::dequantize(w, node.dtype ? &dtype : nullptr));
}

Status run(const program::QuantizedMatmul& node, ExecutionContext& context) {
  const Tensor codes = TRY(get(context, node.w)), scales = TRY(get(context, node.scales));
  const OptionalTensor biases = TRY(get(context, node.biases));
  const ops::QuantizedWeight w{codes, scales, biases.ptr(), node.group_size, node.bits, node.mode.view()};
  return put(context, node.out, ops::quantized_matmul(TRY(get(context, node.x)), w, node.transpose));
}

Status run(const program::GatherQmm& node, ExecutionContext& context) {
  TRY(check_sorted_flag(node, context));
  const Tensor x = TRY(get(context, node.x)), codes = TRY(get(context, node.w));
  const Tensor scales = TRY(get(context, node.scales));
  const OptionalTensor biases = TRY(get(context, node.biases)), lhs = TRY(get(context, node.lhs_indices)),
                       rhs = TRY(get(context, node.rhs_indices));
  const ops::QuantizedWeight w{codes, scales, biases.ptr(), node.group_size, node.bits, node.mode.view()};
  return put(context, node.out, ops::gather_qmm(x, w, lhs.ptr(), rhs.ptr(), node.transpose));
}

namespace {

// The direction is the node's; axes are its fields, gathered.
using Convolution = Result<Tensor> (*)(const Tensor&, const Tensor&, std::span<const ConvAxis>, int64_t);

template <typename N>
Status convolve(Convolution conv, const N& node, std::initializer_list<ConvAxis> axes, ExecutionContext& context) {
  const Tensor x = TRY(get(context, node.x)), w = TRY(get(context, node.w));
  return put(context, node.out, conv(x, w, std::span(axes.begin(), axes.size()), node.groups));
}

}  // namespace

Status run(const program::Conv1D& node, ExecutionContext& context) {
  return convolve(ops::conv, node, {{node.stride, node.padding, node.dilation}}, context);
}

Status run(const program::Conv2D& node, ExecutionContext& context) {
  return convolve(ops::conv, node,
                  {{node.stride_h, node.padding_h, node.dilation_h}, {node.stride_w, node.padding_w, node.dilation_w}},
                  context);
}

Status run(const program::Conv3D& node, ExecutionContext& context) {
  return convolve(ops::conv, node,
                  {{node.stride_d, node.padding_d, node.dilation_d},
                   {node.stride_h, node.padding_h, node.dilation_h},
                   {node.stride_w, node.padding_w, node.dilation_w}},
                  context);
}

Status run(const program::ConvTranspose1D& node, ExecutionContext& context) {
  return convolve(ops::conv_transpose, node, {{node.stride, node.padding, node.dilation, node.output_padding}},
                  context);
}

Status run(const program::ConvTranspose2D& node, ExecutionContext& context) {
  return convolve(ops::conv_transpose, node,
                  {{node.stride_h, node.padding_h, node.dilation_h, node.output_padding_h},
                   {node.stride_w, node.padding_w, node.dilation_w, node.output_padding_w}},
                  context);
}

Status run(const program::ConvTranspose3D& node, ExecutionContext& context) {
  return convolve(ops::conv_transpose, node,
                  {{node.stride_d, node.padding_d, node.dilation_d, node.output_padding_d},
                   {node.stride_h, node.padding_h, node.dilation_h, node.output_padding_h},
                   {node.stride_w, node.padding_w, node.dilation_w, node.output_padding_w}},
                  context);
}

}  // namespace tessera::runtime
