#include "compile/affine_kernels.h"

#include "base/check.h"
#include "compile/promotion.h"

namespace tessera::compile {
namespace {

using program::Out;
using program::Tid;

constexpr std::string_view kMode = "affine";

// A 0-d placeholder that the init chain replaces by the whole tensor.
Tid biases_at_load(ProgramBuilder& builder, const std::string& name, const AffineData& data, Tid scales) {
  const bool is_new = !builder.has_constant(name);
  const Tid biases = builder.constant(name, data.dtype, {}, ProgramBuilder::scalar_data(data.dtype, 0));
  const Tid middle = builder.scalar(data.dtype, -static_cast<double>(1 << (data.bits - 1)));
  if (is_new) builder.in_init([&] { builder.emit(program::Multiply{.a = scales, .b = middle, .out = Out{biases}}); });
  return biases;
}

}  // namespace

AffineWeight add_affine_weight(ProgramBuilder& builder, const std::string& name, const AffineData& data) {
  CHECK(data.k % data.group_size == 0 && data.k * data.bits % 32 == 0);
  const Shape groups = {data.n, data.k / data.group_size};
  AffineWeight out{
      .packed = builder.constant(name + "_packed", DType::kU32, {data.n, data.k * data.bits / 32}, data.packed),
      .scales = builder.constant(name + "_scales", data.dtype, groups, data.scales),
      .biases = {},
      .bits = data.bits,
      .group_size = data.group_size,
      .dtype = data.dtype,
      .n = data.n,
      .k = data.k};
  out.biases = data.biases.size() == 0 ? biases_at_load(builder, name + "_biases", data, out.scales)
                                       : builder.constant(name + "_biases", data.dtype, groups, data.biases);
  return out;
}

void emit_affine_linear(ProgramBuilder& builder, const AffineWeight& weight, Tid x, DType x_dtype, DType out_dtype,
                        Out out) {
  const bool has_cast = promote(x_dtype, weight.dtype) != out_dtype;
  const Out product = has_cast ? builder.temp() : out;
  builder.emit(program::QuantizedMatmul{.x = x,
                                        .w = weight.packed,
                                        .scales = weight.scales,
                                        .out = product,
                                        .biases = weight.biases,
                                        .group_size = weight.group_size,
                                        .bits = weight.bits,
                                        .mode = builder.string(kMode)});
  if (has_cast) builder.emit(program::AsType{.x = product, .out = out, .scalar_type = out_dtype});
}

void emit_affine_embedding(ProgramBuilder& builder, const AffineWeight& weight, Tid ids, DType dtype, Out out) {
  const auto rows = [&](Tid table) {
    const Out taken = builder.temp();
    builder.emit(program::Take{.x = table, .out = taken, .index = ids, .axis = 0});
    return taken;
  };
  const Out packed = rows(weight.packed), scales = rows(weight.scales), biases = rows(weight.biases);
  builder.emit(program::Dequantize{.w = packed,
                                   .scales = scales,
                                   .out = out,
                                   .biases = biases,
                                   .group_size = weight.group_size,
                                   .bits = weight.bits,
                                   .mode = builder.string(kMode),
                                   .global_scale = {},
                                   .dtype = dtype});
}

}  // namespace tessera::compile
