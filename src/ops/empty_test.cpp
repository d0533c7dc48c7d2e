// Tensors without elements may have axes of any length. What an operation does with them must not depend on it: no
// buffer as long as a row, no walk along an axis.
#include "ops/conv.h"
#include "ops/gguf_embedding.h"
#include "ops/gguf_linear.h"
#include "ops/join.h"
#include "ops/matmul.h"
#include "ops/mlx_quant.h"
#include "ops/norm.h"
#include "ops/ops_testing.h"
#include "ops/reduce.h"
#include "ops/rope.h"
#include "ops/sdpa.h"
#include "ops/softmax.h"
#include "ops/sort.h"
#include "ops/tq_cache.h"

namespace tessera::ops {
namespace {

using namespace ops::testing;
constexpr int64_t kLong = int64_t{1} << 58, kHalf = int64_t{1} << 29;  // no memory holds a row of kLong or kHalf^2

Tensor nothing(DType dtype, const Shape& shape) { return Tensor::zeroed(dtype, shape).value(); }

void expect_nothing(const Result<Tensor>& result, DType dtype, const Shape& shape) {
  expect_tensor(result, dtype, shape, {});
}

TEST(Empty, Reductions) {
  const std::vector<int32_t> axes{1, 2};
  for (DType dtype : {DType::kF32, DType::kI32})
    expect_nothing(reduce(ReduceOp::kMax, nothing(dtype, {0, kHalf, kHalf}), axes, false, 0), dtype, {0});
  expect_nothing(argmax(nothing(DType::kF32, {0, kLong}), 1, false), DType::kU32, {0});
}

TEST(Empty, RowsAlongAnAxis) {
  const Tensor x = nothing(DType::kF32, {0, kLong}), n = nothing(DType::kI32, {0, kLong});
  expect_nothing(softmax(x, 1), DType::kF32, x.shape);
  expect_nothing(sort(x, 1), DType::kF32, x.shape);
  expect_nothing(argsort(n, 1), DType::kU32, x.shape);
  expect_nothing(cumsum(n, 1, false, true), DType::kI32, x.shape);
  expect_nothing(rms_norm(x, nullptr, 0), DType::kF32, x.shape);
  expect_nothing(layer_norm(x, nullptr, nullptr, 0), DType::kF32, x.shape);
}

TEST(Empty, CompressedVectors) {
  const Tensor norms = nothing(DType::kF32, {0, 1}), centroids = nothing(DType::kF32, {16});
  expect_nothing(tq_norm(nothing(DType::kF32, {0, kLong})), DType::kF32, {0, 1});
  expect_nothing(tq_dequant(nothing(DType::kU8, {0, kLong}), norms, centroids, DType::kF32), DType::kF32,
                 {0, 2 * kLong});
}

TEST(Empty, Products) {
  expect_nothing(matmul(nothing(DType::kF32, {0, 0}), nothing(DType::kF32, {0, kLong})), DType::kF32, {0, kLong});
  const std::vector<ConvAxis> axes(1);
  expect_nothing(conv(nothing(DType::kF32, {0, 4, 0}), nothing(DType::kF32, {kLong, 1, 0}), axes, 1), DType::kF32,
                 {0, 4, kLong});
}

TEST(Empty, AffineWeights) {
  const Tensor biases = nothing(DType::kF32, {0, kLong / 32}), none = nothing(DType::kF32, {kHalf, 0});
  const QuantizedWeight wide{nothing(DType::kU32, {0, kLong / 8}), biases, &biases, 32, 4, "affine"};
  expect_nothing(dequantize(wide, nullptr), DType::kF32, {0, kLong});
  const QuantizedWeight narrow{nothing(DType::kU32, {kHalf, 0}), none, &none, 32, 4, "affine"};
  expect_nothing(quantized_matmul(nothing(DType::kF32, {0, kHalf, 0}), narrow, true), DType::kF32, {0, kHalf, kHalf});
}

TEST(Empty, PackedWeights) {
  const quant::Format& format = *quant::find_format(quant::GgmlType::kQ8_0);
  const int64_t n_blocks = kLong / format.block_values;
  const Tensor weight = nothing(DType::kU8, {0, n_blocks * format.block_bytes}), ids = nothing(DType::kI64, {0});
  expect_nothing(gguf_embedding(weight, format, ids, DType::kF32), DType::kF32, {0, kLong});
  expect_nothing(gguf_linear(nothing(DType::kF32, {0, kLong}), weight, format, nullptr, DType::kF32, nullptr),
                 DType::kF32, {0, 0});
}

TEST(Empty, Attention) {
  const Tensor q = nothing(DType::kF32, {0, 1, 1, 4}), k = nothing(DType::kF32, {0, 1, kLong, 4});
  expect_nothing(sdpa(q, k, k, 1, nullptr, false), DType::kF32, q.shape);
  const Tensor x = nothing(DType::kF32, {1, 0, kLong, 2});
  expect_nothing(rope(x, std::vector<int64_t>{0}, {.dims = 2}), DType::kF32, x.shape);
}

TEST(Empty, ASplitCountsItsPartsFirst) {
  const Tensor x = nothing(DType::kF32, {0, kLong});
  const std::vector<int64_t> chunk{1}, half{kLong / 2}, far{1, INT64_MAX, 1};
  expect_error(split(x, chunk, 1, 2), ErrorCode::kInvalidArgument, "parts, 2 expected");
  expect_error(split(x, far, 1, 3), ErrorCode::kInvalidArgument, "do not fit");
  const auto parts = split(x, half, 1, 2);
  ASSERT_TRUE(parts.has_value()) << parts.error().message;
  expect_nothing((*parts)[1], DType::kF32, {0, kLong / 2});
}

}  // namespace
}  // namespace tessera::ops
