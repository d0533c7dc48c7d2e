// The 134 instructions of a program, as ExecuTorch's MLX delegate defines them (backends/mlx/serialization/schema.fbs;
// facts gathered in docs/executorch.md). Each struct is one table of the wire schema: fields in wire order, field id =
// position in TESSERA_NODE, union tag = the number given there. That one line is all the codec (program/wire.h), the
// printer, the verifier and the def-use analysis know about a node; none of them lists nodes again.
//
// Types say what the wire says: Tid/Vid read a slot, Out/VidOut write one, std::optional may be absent on the wire,
// RequiredVector must be present even when empty, a plain scalar is omitted when it has its default value.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/dtype.h"
#include "program/fields.h"
#include "program/slots.h"

namespace tessera::program {

#define TESSERA_NODE(tag, Name, ...)              \
  static constexpr uint8_t kTag = tag;            \
  TESSERA_FIELDS(Name __VA_OPT__(, ) __VA_ARGS__) \
  bool operator==(const Name& other) const = default;

struct Noop {
  TESSERA_NODE(1, Noop)
};

struct IdCopy {
  Tid x;
  Out out;
  TESSERA_NODE(2, IdCopy, x, out)
};

struct Addmm {
  Tid mat1;
  Tid mat2;
  Out out;
  std::optional<Tid> bias;
  float alpha = 1.0f;
  float beta = 1.0f;
  TESSERA_NODE(3, Addmm, mat1, mat2, out, bias, alpha, beta)
};

struct ItemInt {
  Tid x;
  VidOut out;
  TESSERA_NODE(4, ItemInt, x, out)
};

struct ExpandDims {
  Tid x;
  Out out;
  int32_t axis = 0;
  TESSERA_NODE(5, ExpandDims, x, out, axis)
};

struct Tile {
  Tid x;
  Out out;
  RequiredVector<IntOrVid> reps;
  TESSERA_NODE(6, Tile, x, out, reps)
};

struct TakeAlongAxis {
  Tid x;
  Tid indices;
  Out out;
  int32_t axis = 0;
  TESSERA_NODE(7, TakeAlongAxis, x, indices, out, axis)
};

struct Take {
  Tid x;
  Out out;
  IntOrVidOrTid index;
  int32_t axis = 0;
  TESSERA_NODE(8, Take, x, out, index, axis)
};

struct RMSNorm {
  Tid x;
  std::optional<Tid> weight;
  Out out;
  float eps = 0.0f;
  TESSERA_NODE(9, RMSNorm, x, weight, out, eps)
};

struct LayerNorm {
  Tid x;
  Out out;
  std::optional<Tid> weight;
  std::optional<Tid> bias;
  float eps = 0.0f;
  TESSERA_NODE(10, LayerNorm, x, out, weight, bias, eps)
};

struct Rope {
  Tid x;
  Out out;
  int32_t dims = 0;
  VidOrTid offset;
  std::optional<Tid> freqs;
  bool traditional = false;
  float base = 500000.0f;
  float scale = 1.0f;
  TESSERA_NODE(11, Rope, x, out, dims, offset, freqs, traditional, base, scale)
};

struct Sdpa {
  Tid q;
  Tid k;
  Tid v;
  Out out;
  float scale = 0.0f;
  std::optional<Tid> mask;
  bool causal = false;
  TESSERA_NODE(12, Sdpa, q, k, v, out, scale, mask, causal)
};

struct Add {
  Tid a;
  Tid b;
  Out out;
  TESSERA_NODE(13, Add, a, b, out)
};

struct AddInt {
  IntOrVid a;
  IntOrVid b;
  VidOut out;
  TESSERA_NODE(14, AddInt, a, b, out)
};

struct SubtractInt {
  IntOrVid a;
  IntOrVid b;
  VidOut out;
  TESSERA_NODE(15, SubtractInt, a, b, out)
};

struct MultiplyInt {
  IntOrVid a;
  IntOrVid b;
  VidOut out;
  TESSERA_NODE(16, MultiplyInt, a, b, out)
};

struct FloorDivideInt {
  IntOrVid a;
  IntOrVid b;
  VidOut out;
  TESSERA_NODE(17, FloorDivideInt, a, b, out)
};

struct SymSize {
  Tid a;
  int32_t dim = 0;
  VidOut out;
  TESSERA_NODE(18, SymSize, a, dim, out)
};

struct Multiply {
  Tid a;
  Tid b;
  Out out;
  TESSERA_NODE(19, Multiply, a, b, out)
};

struct Divide {
  Tid a;
  Tid b;
  Out out;
  TESSERA_NODE(20, Divide, a, b, out)
};

struct Subtract {
  Tid a;
  Tid b;
  Out out;
  TESSERA_NODE(21, Subtract, a, b, out)
};

struct Conv1D {
  Tid x;
  Tid w;
  Out out;
  int32_t stride = 1;
  int32_t padding = 0;
  int32_t dilation = 1;
  int32_t groups = 1;
  TESSERA_NODE(22, Conv1D, x, w, out, stride, padding, dilation, groups)
};

struct Conv2D {
  Tid x;
  Tid w;
  Out out;
  int32_t stride_h = 1;
  int32_t stride_w = 1;
  int32_t padding_h = 0;
  int32_t padding_w = 0;
  int32_t dilation_h = 1;
  int32_t dilation_w = 1;
  int32_t groups = 1;
  TESSERA_NODE(23, Conv2D, x, w, out, stride_h, stride_w, padding_h, padding_w, dilation_h, dilation_w, groups)
};

struct Conv3D {
  Tid x;
  Tid w;
  Out out;
  int32_t stride_d = 1;
  int32_t stride_h = 1;
  int32_t stride_w = 1;
  int32_t padding_d = 0;
  int32_t padding_h = 0;
  int32_t padding_w = 0;
  int32_t dilation_d = 1;
  int32_t dilation_h = 1;
  int32_t dilation_w = 1;
  int32_t groups = 1;
  TESSERA_NODE(24, Conv3D, x, w, out, stride_d, stride_h, stride_w, padding_d, padding_h, padding_w, dilation_d,
               dilation_h, dilation_w, groups)
};

struct Gelu {
  Tid x;
  Out out;
  String approximate;
  TESSERA_NODE(25, Gelu, x, out, approximate)
};

struct ARange {
  Out out;
  IntOrVid start;
  IntOrVid stop;
  IntOrVid step;
  std::optional<DType> scalar_type;
  TESSERA_NODE(26, ARange, out, start, stop, step, scalar_type)
};

struct Silu {
  Tid x;
  Out out;
  TESSERA_NODE(27, Silu, x, out)
};

struct Sigmoid {
  Tid x;
  Out out;
  TESSERA_NODE(28, Sigmoid, x, out)
};

struct Tanh {
  Tid x;
  Out out;
  TESSERA_NODE(29, Tanh, x, out)
};

struct Squeeze {
  Tid x;
  Out out;
  std::vector<int32_t> dims;
  TESSERA_NODE(30, Squeeze, x, out, dims)
};

struct Split {
  Tid x;
  RequiredVector<Out> outs;
  RequiredVector<IntOrVid> sizes;
  int32_t axis = 0;
  TESSERA_NODE(31, Split, x, outs, sizes, axis)
};

struct Rsqrt {
  Tid x;
  Out out;
  TESSERA_NODE(32, Rsqrt, x, out)
};

struct Maximum {
  Tid a;
  Tid b;
  Out out;
  TESSERA_NODE(33, Maximum, a, b, out)
};

struct Minimum {
  Tid a;
  Tid b;
  Out out;
  TESSERA_NODE(34, Minimum, a, b, out)
};

struct Log {
  Tid x;
  Out out;
  TESSERA_NODE(35, Log, x, out)
};

struct Softmax {
  Tid x;
  Out out;
  int32_t axis = 0;
  bool precise = false;
  TESSERA_NODE(36, Softmax, x, out, axis, precise)
};

struct BroadcastTo {
  Tid x;
  Out out;
  RequiredVector<IntOrVid> shape;
  TESSERA_NODE(37, BroadcastTo, x, out, shape)
};

struct Pad {
  Tid x;
  Out out;
  RequiredVector<IntOrVid> pad_width;
  String mode;
  float constant_value = 0.0f;
  TESSERA_NODE(38, Pad, x, out, pad_width, mode, constant_value)
};

struct Where {
  Tid condition;
  Tid x;
  Tid y;
  Out out;
  TESSERA_NODE(39, Where, condition, x, y, out)
};

struct Reshape {
  Tid x;
  Out out;
  RequiredVector<IntOrVid> shape;
  TESSERA_NODE(40, Reshape, x, out, shape)
};

struct Transpose {
  Tid x;
  Out out;
  RequiredVector<int32_t> perm;
  TESSERA_NODE(41, Transpose, x, out, perm)
};

struct AsStrided {
  Tid x;
  Out out;
  RequiredVector<IntOrVid> shape;
  RequiredVector<IntOrVid> strides;
  uint64_t offset = 0;
  TESSERA_NODE(42, AsStrided, x, out, shape, strides, offset)
};

struct Contiguous {
  Tid x;
  Out out;
  TESSERA_NODE(43, Contiguous, x, out)
};

struct Gather {
  Tid x;
  RequiredVector<Tid> indices;
  Out out;
  RequiredVector<int32_t> axes;
  RequiredVector<int32_t> slice_sizes;
  TESSERA_NODE(44, Gather, x, indices, out, axes, slice_sizes)
};

struct Slice {
  Tid x;
  Out out;
  IntOrVid axis;
  IntOrVid start;
  IntOrVid stop;
  int32_t step = 1;
  TESSERA_NODE(45, Slice, x, out, axis, start, stop, step)
};

struct AsType {
  Tid x;
  Out out;
  DType scalar_type = DType::kU8;
  TESSERA_NODE(46, AsType, x, out, scalar_type)
};

struct Concatenate {
  RequiredVector<Tid> tensors;
  Out out;
  int32_t axis = 0;
  TESSERA_NODE(47, Concatenate, tensors, out, axis)
};

struct Full {
  Out out;
  RequiredVector<IntOrVid> shape;
  FloatOrVid v;
  DType scalar_type = DType::kU8;
  TESSERA_NODE(48, Full, out, shape, v, scalar_type)
};

struct FullLike {
  Tid x;
  Out out;
  FloatOrVid v;
  std::optional<DType> scalar_type;
  TESSERA_NODE(49, FullLike, x, out, v, scalar_type)
};

struct Argmax {
  Tid x;
  Out out;
  int32_t axis = 0;
  bool keepdims = false;
  TESSERA_NODE(50, Argmax, x, out, axis, keepdims)
};

struct SliceUpdate {
  Tid dst;
  Tid update;
  Out out;
  IntOrVid axis;
  IntOrVid start;
  IntOrVid stop;
  int32_t step = 1;
  TESSERA_NODE(51, SliceUpdate, dst, update, out, axis, start, stop, step)
};

struct IndexCopy {
  Tid dst;
  Tid update;
  Tid indices;
  Out out;
  int32_t axis = 0;
  TESSERA_NODE(52, IndexCopy, dst, update, indices, out, axis)
};

struct Dequantize {
  Tid w;
  Tid scales;
  Out out;
  std::optional<Tid> biases;
  int32_t group_size = 0;
  int32_t bits = 0;
  String mode;
  std::optional<Tid> global_scale;
  std::optional<DType> dtype;
  TESSERA_NODE(53, Dequantize, w, scales, out, biases, group_size, bits, mode, global_scale, dtype)
};

struct Less {
  Tid a;
  Tid b;
  Out out;
  TESSERA_NODE(54, Less, a, b, out)
};

struct LessEqual {
  Tid a;
  Tid b;
  Out out;
  TESSERA_NODE(55, LessEqual, a, b, out)
};

struct Greater {
  Tid a;
  Tid b;
  Out out;
  TESSERA_NODE(56, Greater, a, b, out)
};

struct GreaterEqual {
  Tid a;
  Tid b;
  Out out;
  TESSERA_NODE(57, GreaterEqual, a, b, out)
};

struct Equal {
  Tid a;
  Tid b;
  Out out;
  TESSERA_NODE(58, Equal, a, b, out)
};

struct NotEqual {
  Tid a;
  Tid b;
  Out out;
  TESSERA_NODE(59, NotEqual, a, b, out)
};

struct LogicalNot {
  Tid x;
  Out out;
  TESSERA_NODE(60, LogicalNot, x, out)
};

struct LogicalAnd {
  Tid a;
  Tid b;
  Out out;
  TESSERA_NODE(61, LogicalAnd, a, b, out)
};

struct LogicalOr {
  Tid a;
  Tid b;
  Out out;
  TESSERA_NODE(62, LogicalOr, a, b, out)
};

struct Tri {
  Out out;
  IntOrVid n;
  IntOrVid m;
  int32_t k = 0;
  DType scalar_type = DType::kU8;
  TESSERA_NODE(63, Tri, out, n, m, k, scalar_type)
};

struct Tril {
  Tid x;
  Out out;
  int32_t k = 0;
  TESSERA_NODE(64, Tril, x, out, k)
};

struct Triu {
  Tid x;
  Out out;
  int32_t k = 0;
  TESSERA_NODE(65, Triu, x, out, k)
};

struct Floor {
  Tid x;
  Out out;
  TESSERA_NODE(66, Floor, x, out)
};

struct Ceil {
  Tid x;
  Out out;
  TESSERA_NODE(67, Ceil, x, out)
};

struct Square {
  Tid x;
  Out out;
  TESSERA_NODE(68, Square, x, out)
};

struct Exp {
  Tid x;
  Out out;
  TESSERA_NODE(69, Exp, x, out)
};

struct Sin {
  Tid x;
  Out out;
  TESSERA_NODE(70, Sin, x, out)
};

struct Cos {
  Tid x;
  Out out;
  TESSERA_NODE(71, Cos, x, out)
};

struct Tan {
  Tid x;
  Out out;
  TESSERA_NODE(72, Tan, x, out)
};

struct Arcsin {
  Tid x;
  Out out;
  TESSERA_NODE(73, Arcsin, x, out)
};

struct Arccos {
  Tid x;
  Out out;
  TESSERA_NODE(74, Arccos, x, out)
};

struct Arctan {
  Tid x;
  Out out;
  TESSERA_NODE(75, Arctan, x, out)
};

struct Sinh {
  Tid x;
  Out out;
  TESSERA_NODE(76, Sinh, x, out)
};

struct Cosh {
  Tid x;
  Out out;
  TESSERA_NODE(77, Cosh, x, out)
};

struct Arcsinh {
  Tid x;
  Out out;
  TESSERA_NODE(78, Arcsinh, x, out)
};

struct Arccosh {
  Tid x;
  Out out;
  TESSERA_NODE(79, Arccosh, x, out)
};

struct Arctanh {
  Tid x;
  Out out;
  TESSERA_NODE(80, Arctanh, x, out)
};

struct Log2 {
  Tid x;
  Out out;
  TESSERA_NODE(81, Log2, x, out)
};

struct Log10 {
  Tid x;
  Out out;
  TESSERA_NODE(82, Log10, x, out)
};

struct Log1p {
  Tid x;
  Out out;
  TESSERA_NODE(83, Log1p, x, out)
};

struct Erf {
  Tid x;
  Out out;
  TESSERA_NODE(84, Erf, x, out)
};

struct Expm1 {
  Tid x;
  Out out;
  TESSERA_NODE(85, Expm1, x, out)
};

struct Round {
  Tid x;
  Out out;
  int32_t decimals = 0;
  TESSERA_NODE(86, Round, x, out, decimals)
};

struct Reciprocal {
  Tid x;
  Out out;
  TESSERA_NODE(87, Reciprocal, x, out)
};

struct Sqrt {
  Tid x;
  Out out;
  TESSERA_NODE(88, Sqrt, x, out)
};

struct Abs {
  Tid x;
  Out out;
  TESSERA_NODE(89, Abs, x, out)
};

struct Neg {
  Tid x;
  Out out;
  TESSERA_NODE(90, Neg, x, out)
};

struct Atan2 {
  Tid a;
  Tid b;
  Out out;
  TESSERA_NODE(91, Atan2, a, b, out)
};

struct LogAddExp {
  Tid a;
  Tid b;
  Out out;
  TESSERA_NODE(92, LogAddExp, a, b, out)
};

struct FloorDivide {
  Tid a;
  Tid b;
  Out out;
  TESSERA_NODE(93, FloorDivide, a, b, out)
};

struct Power {
  Tid a;
  Tid b;
  Out out;
  TESSERA_NODE(94, Power, a, b, out)
};

struct LogSumExp {
  Tid x;
  Out out;
  std::vector<int32_t> axes;
  bool keepdims = false;
  TESSERA_NODE(95, LogSumExp, x, out, axes, keepdims)
};

struct Sum {
  Tid x;
  Out out;
  std::vector<int32_t> axes;
  bool keepdims = false;
  TESSERA_NODE(96, Sum, x, out, axes, keepdims)
};

struct Mean {
  Tid x;
  Out out;
  std::vector<int32_t> axes;
  bool keepdims = false;
  TESSERA_NODE(97, Mean, x, out, axes, keepdims)
};

struct Var {
  Tid x;
  Out out;
  std::vector<int32_t> axes;
  bool keepdims = false;
  int32_t ddof = 0;
  TESSERA_NODE(98, Var, x, out, axes, keepdims, ddof)
};

struct Std {
  Tid x;
  Out out;
  std::vector<int32_t> axes;
  bool keepdims = false;
  int32_t ddof = 0;
  TESSERA_NODE(99, Std, x, out, axes, keepdims, ddof)
};

struct Prod {
  Tid x;
  Out out;
  std::vector<int32_t> axes;
  bool keepdims = false;
  TESSERA_NODE(100, Prod, x, out, axes, keepdims)
};

struct Max {
  Tid x;
  Out out;
  std::vector<int32_t> axes;
  bool keepdims = false;
  TESSERA_NODE(101, Max, x, out, axes, keepdims)
};

struct Min {
  Tid x;
  Out out;
  std::vector<int32_t> axes;
  bool keepdims = false;
  TESSERA_NODE(102, Min, x, out, axes, keepdims)
};

struct Argmin {
  Tid x;
  Out out;
  int32_t axis = 0;
  bool keepdims = false;
  TESSERA_NODE(103, Argmin, x, out, axis, keepdims)
};

struct Median {
  Tid x;
  Out out;
  std::vector<int32_t> axes;
  bool keepdims = false;
  TESSERA_NODE(104, Median, x, out, axes, keepdims)
};

struct ModInt {
  IntOrVid a;
  IntOrVid b;
  VidOut out;
  TESSERA_NODE(105, ModInt, a, b, out)
};

struct Remainder {
  Tid a;
  Tid b;
  Out out;
  TESSERA_NODE(106, Remainder, a, b, out)
};

struct ConvTranspose1D {
  Tid x;
  Tid w;
  Out out;
  int32_t stride = 1;
  int32_t padding = 0;
  int32_t dilation = 1;
  int32_t output_padding = 0;
  int32_t groups = 1;
  TESSERA_NODE(107, ConvTranspose1D, x, w, out, stride, padding, dilation, output_padding, groups)
};

struct ConvTranspose2D {
  Tid x;
  Tid w;
  Out out;
  int32_t stride_h = 1;
  int32_t stride_w = 1;
  int32_t padding_h = 0;
  int32_t padding_w = 0;
  int32_t dilation_h = 1;
  int32_t dilation_w = 1;
  int32_t output_padding_h = 0;
  int32_t output_padding_w = 0;
  int32_t groups = 1;
  TESSERA_NODE(108, ConvTranspose2D, x, w, out, stride_h, stride_w, padding_h, padding_w, dilation_h, dilation_w,
               output_padding_h, output_padding_w, groups)
};

struct ConvTranspose3D {
  Tid x;
  Tid w;
  Out out;
  int32_t stride_d = 1;
  int32_t stride_h = 1;
  int32_t stride_w = 1;
  int32_t padding_d = 0;
  int32_t padding_h = 0;
  int32_t padding_w = 0;
  int32_t dilation_d = 1;
  int32_t dilation_h = 1;
  int32_t dilation_w = 1;
  int32_t output_padding_d = 0;
  int32_t output_padding_h = 0;
  int32_t output_padding_w = 0;
  int32_t groups = 1;
  TESSERA_NODE(109, ConvTranspose3D, x, w, out, stride_d, stride_h, stride_w, padding_d, padding_h, padding_w,
               dilation_d, dilation_h, dilation_w, output_padding_d, output_padding_h, output_padding_w, groups)
};

struct Clip {
  Tid x;
  Out out;
  std::optional<Tid> a_min;
  std::optional<Tid> a_max;
  TESSERA_NODE(110, Clip, x, out, a_min, a_max)
};

struct Cumsum {
  Tid x;
  Out out;
  int32_t axis = 0;
  bool reverse = false;
  bool inclusive = true;
  TESSERA_NODE(111, Cumsum, x, out, axis, reverse, inclusive)
};

struct Stack {
  RequiredVector<Tid> tensors;
  Out out;
  int32_t axis = 0;
  TESSERA_NODE(112, Stack, tensors, out, axis)
};

struct Sign {
  Tid x;
  Out out;
  TESSERA_NODE(113, Sign, x, out)
};

struct Any {
  Tid x;
  Out out;
  std::vector<int32_t> axes;
  bool keepdims = false;
  TESSERA_NODE(114, Any, x, out, axes, keepdims)
};

struct All {
  Tid x;
  Out out;
  std::vector<int32_t> axes;
  bool keepdims = false;
  TESSERA_NODE(115, All, x, out, axes, keepdims)
};

struct Repeat {
  Tid x;
  Out out;
  IntOrVid repeats;
  int32_t axis = 0;
  TESSERA_NODE(116, Repeat, x, out, repeats, axis)
};

struct Sort {
  Tid x;
  Out out;
  int32_t axis = 0;
  TESSERA_NODE(117, Sort, x, out, axis)
};

struct Argsort {
  Tid x;
  Out out;
  int32_t axis = 0;
  TESSERA_NODE(118, Argsort, x, out, axis)
};

struct Partition {
  Tid x;
  Out out;
  IntOrVid kth;
  int32_t axis = 0;
  TESSERA_NODE(119, Partition, x, out, kth, axis)
};

struct ArgPartition {
  Tid x;
  Out out;
  IntOrVid kth;
  int32_t axis = 0;
  TESSERA_NODE(120, ArgPartition, x, out, kth, axis)
};

struct QuantizedMatmul {
  Tid x;
  Tid w;
  Tid scales;
  Out out;
  std::optional<Tid> biases;
  int32_t group_size = 0;
  int32_t bits = 0;
  String mode;
  bool transpose = true;
  TESSERA_NODE(121, QuantizedMatmul, x, w, scales, out, biases, group_size, bits, mode, transpose)
};

struct ScatterAdd {
  Tid x;
  Tid indices;
  Tid updates;
  Out out;
  int32_t axis = 0;
  TESSERA_NODE(122, ScatterAdd, x, indices, updates, out, axis)
};

struct GatherMm {
  Tid a;
  Tid b;
  Out out;
  std::optional<Tid> lhs_indices;
  std::optional<Tid> rhs_indices;
  bool sorted_indices = false;
  std::optional<IntOrVid> sorted_indices_flag;
  TESSERA_NODE(123, GatherMm, a, b, out, lhs_indices, rhs_indices, sorted_indices, sorted_indices_flag)
};

struct GatherQmm {
  Tid x;
  Tid w;
  Tid scales;
  Out out;
  String mode;
  std::optional<Tid> biases;
  std::optional<Tid> lhs_indices;
  std::optional<Tid> rhs_indices;
  bool transpose = true;
  int32_t group_size = 0;
  int32_t bits = 0;
  bool sorted_indices = false;
  std::optional<IntOrVid> sorted_indices_flag;
  TESSERA_NODE(124, GatherQmm, x, w, scales, out, mode, biases, lhs_indices, rhs_indices, transpose, group_size, bits,
               sorted_indices, sorted_indices_flag)
};

struct Scan {
  RequiredVector<Tid> originals;
  RequiredVector<Out> sliced;
  RequiredVector<Out> outputs;
  RequiredVector<Tid> carry;
  int32_t body_chain_idx = 0;
  int32_t scan_axis = 1;
  TESSERA_NODE(125, Scan, originals, sliced, outputs, carry, body_chain_idx, scan_axis)
};

struct MetalKernel {
  String name;
  String source;
  RequiredVector<Tid> inputs;
  RequiredVector<Out> outputs;
  RequiredVector<IntOrVid> grid;
  RequiredVector<IntOrVid> threadgroup;
  std::optional<String> header;
  std::vector<String> input_names;
  std::vector<String> output_names;
  bool ensure_row_contiguous = true;
  bool atomic_outputs = false;
  std::vector<IntOrVid> output_shapes_flat;
  std::vector<int32_t> output_shape_lengths;
  std::vector<DType> output_dtypes;
  std::vector<String> template_arg_names;
  std::vector<int8_t> template_arg_kinds;
  std::vector<int32_t> template_arg_values;
  std::optional<float> init_value;
  TESSERA_NODE(126, MetalKernel, name, source, inputs, outputs, grid, threadgroup, header, input_names, output_names,
               ensure_row_contiguous, atomic_outputs, output_shapes_flat, output_shape_lengths, output_dtypes,
               template_arg_names, template_arg_kinds, template_arg_values, init_value)
};

struct BitwiseInvert {
  Tid x;
  Out out;
  TESSERA_NODE(127, BitwiseInvert, x, out)
};

struct Roll {
  Tid x;
  Out out;
  RequiredVector<IntOrVid> shift;
  RequiredVector<int32_t> axes;
  TESSERA_NODE(128, Roll, x, out, shift, axes)
};

struct BitwiseAnd {
  Tid a;
  Tid b;
  Out out;
  TESSERA_NODE(129, BitwiseAnd, a, b, out)
};

struct BitwiseOr {
  Tid a;
  Tid b;
  Out out;
  TESSERA_NODE(130, BitwiseOr, a, b, out)
};

struct BitwiseXor {
  Tid a;
  Tid b;
  Out out;
  TESSERA_NODE(131, BitwiseXor, a, b, out)
};

struct If {
  IntOrVid cond;
  uint32_t then_chain_idx = 0;
  uint32_t else_chain_idx = 0;
  TESSERA_NODE(132, If, cond, then_chain_idx, else_chain_idx)
};

struct RandomBits {
  Out out;
  RequiredVector<IntOrVid> shape;
  std::optional<Vid> seed;
  int32_t width = 4;
  TESSERA_NODE(133, RandomBits, out, shape, seed, width)
};

struct UpdateAndAttend {
  Tid q;
  Tid k;
  Tid v;
  Tid position;
  Out out;
  std::optional<int32_t> layer_id;
  std::optional<float> scale;
  std::optional<DType> out_dtype;
  TESSERA_NODE(134, UpdateAndAttend, q, k, v, position, out, layer_id, scale, out_dtype)
};

#undef TESSERA_NODE

// In tag order: alternative i carries union tag i + 1.
using NodeVariant =
    std::variant<Noop, IdCopy, Addmm, ItemInt, ExpandDims, Tile, TakeAlongAxis, Take, RMSNorm, LayerNorm, Rope, Sdpa,
                 Add, AddInt, SubtractInt, MultiplyInt, FloorDivideInt, SymSize, Multiply, Divide, Subtract, Conv1D,
                 Conv2D, Conv3D, Gelu, ARange, Silu, Sigmoid, Tanh, Squeeze, Split, Rsqrt, Maximum, Minimum, Log,
                 Softmax, BroadcastTo, Pad, Where, Reshape, Transpose, AsStrided, Contiguous, Gather, Slice, AsType,
                 Concatenate, Full, FullLike, Argmax, SliceUpdate, IndexCopy, Dequantize, Less, LessEqual, Greater,
                 GreaterEqual, Equal, NotEqual, LogicalNot, LogicalAnd, LogicalOr, Tri, Tril, Triu, Floor, Ceil, Square,
                 Exp, Sin, Cos, Tan, Arcsin, Arccos, Arctan, Sinh, Cosh, Arcsinh, Arccosh, Arctanh, Log2, Log10, Log1p,
                 Erf, Expm1, Round, Reciprocal, Sqrt, Abs, Neg, Atan2, LogAddExp, FloorDivide, Power, LogSumExp, Sum,
                 Mean, Var, Std, Prod, Max, Min, Argmin, Median, ModInt, Remainder, ConvTranspose1D, ConvTranspose2D,
                 ConvTranspose3D, Clip, Cumsum, Stack, Sign, Any, All, Repeat, Sort, Argsort, Partition, ArgPartition,
                 QuantizedMatmul, ScatterAdd, GatherMm, GatherQmm, Scan, MetalKernel, BitwiseInvert, Roll, BitwiseAnd,
                 BitwiseOr, BitwiseXor, If, RandomBits, UpdateAndAttend>;
static_assert(std::variant_size_v<NodeVariant> == 134);

// One instruction, to be used as its variant is. What a variant of 134 types generates to copy, move and destroy itself
// is compiled once, in nodes.cpp: in every source that has a vector of these it took twenty seconds each.
struct Node : NodeVariant {
  Node();
  template <typename N, uint8_t = N::kTag>
  Node(N node) : NodeVariant(std::in_place_type<N>, std::move(node)) {}
  Node(const Node&);
  Node(Node&&) noexcept;
  Node& operator=(const Node&);
  Node& operator=(Node&&) noexcept;
  ~Node();
  bool operator==(const Node&) const;
};

// The instruction's name as in the schema ("RMSNorm").
std::string_view name_of(const Node& node);

}  // namespace tessera::program
