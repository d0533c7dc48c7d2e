#include "ops/matmul.h"

#include <numeric>

#include "ops/cast.h"
#include "ops/checks.h"
#include "ops/dtype_rules.h"
#include "ops/elements.h"
#include "ops/elementwise_binary.h"
#include "ops/shape_ops.h"
#include "ops/strided.h"

namespace tessera::ops {
namespace {

// One (M, K) @ (K, N) inside larger tensors, at element offsets.
struct Product {
  int64_t m, k, n;
};

// out = a @ b, row k of b at a time so that the inner loop runs along memory.
void multiply_one(const Product& size, const Tensor& a, int64_t a_at, const Tensor& b, int64_t b_at, Tensor& out,
                  int64_t out_at) {
  std::vector<double> left(static_cast<size_t>(size.m * size.k)), right(static_cast<size_t>(size.n));
  std::vector<double> sums(static_cast<size_t>(size.m * size.n), 0.0);
  load(a, a_at, size.m * size.k, left.data());
  for (int64_t k = 0; k < size.k; ++k) {
    load(b, b_at + k * size.n, size.n, right.data());
    for (int64_t m = 0; m < size.m; ++m) {
      const double factor = left[static_cast<size_t>(m * size.k + k)];
      double* row = sums.data() + m * size.n;
      for (int64_t n = 0; n < size.n; ++n) row[n] += factor * right[static_cast<size_t>(n)];
    }
  }
  store(sums.data(), size.m * size.n, out, out_at);
}

Shape batch_of(const Shape& shape) { return Shape(shape.dims().first(static_cast<size_t>(shape.rank() - 2))); }

Status check_operands(const Tensor& a, const Tensor& b, int min_rank) {
  for (const Tensor* x : {&a, &b}) {
    TRY(check_float(*x, "a matrix operand"));
    if (x->shape.rank() < min_rank)
      return invalid_argument("a matrix operand must have rank {} or more, found {}", min_rank, describe(*x));
  }
  return {};
}

Result<Product> product_size(const Tensor& a, const Tensor& b) {
  const Product size{a.shape[a.shape.rank() - 2], a.shape.back(), b.shape.back()};
  if (b.shape[b.shape.rank() - 2] != size.k)
    return invalid_argument("inner sizes differ: {} @ {}", describe(a), describe(b));
  return size;
}

// Flat batch entry of `batch` for every entry of `indices`, or each entry in turn.
Result<Tensor> entries_of(const Shape& batch, const Tensor* indices) {
  const int64_t n = batch.n_elements();
  if (!indices) {
    Tensor out = TRY(Tensor::allocate(DType::kI64, batch));
    std::iota(out.as<int64_t>(), out.as<int64_t>() + n, int64_t{0});
    return out;
  }
  TRY(check_integer(*indices, "batch indices"));
  const Tensor wide = TRY(cast(*indices, DType::kI64));
  Tensor out = TRY(clone(wide));
  for (int64_t i = 0; i < out.n_elements(); ++i) out.as<int64_t>()[i] = TRY(normalize_index(out.as<int64_t>()[i], n));
  return out;
}

}  // namespace

Result<BatchPairs> resolve_batch_pairs(const Shape& lhs_batch, const Tensor* lhs_indices, const Shape& rhs_batch,
                                       const Tensor* rhs_indices) {
  const Tensor lhs = TRY(entries_of(lhs_batch, lhs_indices));
  const Tensor rhs = TRY(entries_of(rhs_batch, rhs_indices));
  BatchPairs pairs;
  pairs.shape = TRY(broadcast_shapes(lhs.shape, rhs.shape));
  if (pairs.shape.rank() > Shape::kMaxRank - 2)
    return invalid_argument("batch shape {} leaves no room for a matrix", to_string(pairs.shape));
  const Tensor left = TRY(broadcast_to(lhs, pairs.shape));
  const Tensor right = TRY(broadcast_to(rhs, pairs.shape));
  pairs.lhs = to_int64s(left);
  pairs.rhs = to_int64s(right);
  return pairs;
}

namespace {

Result<Tensor> multiply_pairs(const Product& size, const Tensor& a, const Tensor& b, const BatchPairs& pairs) {
  Shape shape = pairs.shape;
  shape.push_back(size.m);
  shape.push_back(size.n);
  Tensor out = TRY(Tensor::allocate(promote(a.dtype, b.dtype), shape));
  if (out.n_elements() == 0) return out;  // before buffers for rows that are not there
  for (size_t i = 0; i < pairs.lhs.size(); ++i)
    multiply_one(size, a, pairs.lhs[i] * size.m * size.k, b, pairs.rhs[i] * size.k * size.n, out,
                 static_cast<int64_t>(i) * size.m * size.n);
  return out;
}

}  // namespace

Result<Tensor> gather_mm(const Tensor& a, const Tensor& b, const Tensor* lhs_indices, const Tensor* rhs_indices) {
  if (!lhs_indices && !rhs_indices) return matmul(a, b);
  TRY(check_operands(a, b, 2));
  const Product size = TRY(product_size(a, b));
  const BatchPairs pairs = TRY(resolve_batch_pairs(batch_of(a.shape), lhs_indices, batch_of(b.shape), rhs_indices));
  return multiply_pairs(size, a, b, pairs);
}

Result<Tensor> matmul(const Tensor& a, const Tensor& b) {
  TRY(check_operands(a, b, 1));
  const bool row = a.shape.rank() == 1, column = b.shape.rank() == 1;
  const Tensor left = row ? a.reshaped({1, a.shape[0]}) : a;
  const Tensor right = column ? b.reshaped({b.shape[0], 1}) : b;
  const Product size = TRY(product_size(left, right));
  const BatchPairs pairs = TRY(resolve_batch_pairs(batch_of(left.shape), nullptr, batch_of(right.shape), nullptr));
  const Tensor out = TRY(multiply_pairs(size, left, right, pairs));
  Shape shape = pairs.shape;
  if (!row) shape.push_back(size.m);
  if (!column) shape.push_back(size.n);
  return out.reshaped(shape);
}

Result<Tensor> addmm(const Tensor& a, const Tensor& b, const Tensor* bias, float alpha, float beta) {
  Tensor out = TRY(matmul(a, b));
  if (bias) TRY(check_float(*bias, "bias"));
  if (!bias && alpha == 1.0f) return out;
  const DType dtype = bias ? promote(out.dtype, bias->dtype) : out.dtype;
  const auto scaled = [&](const Tensor& x, float factor) -> Result<Tensor> {
    const Tensor wide = TRY(cast(x, dtype));
    if (factor == 1.0f) return wide;
    const Tensor scalar = TRY(from_doubles({static_cast<double>(factor)}, {}, dtype));
    return binary(BinaryOp::kMultiply, wide, scalar);
  };
  out = TRY(scaled(out, alpha));
  if (!bias) return out;
  const Tensor offset = TRY(scaled(*bias, beta));
  const Tensor fitted = TRY(broadcast_to(offset, out.shape));
  return binary(BinaryOp::kAdd, out, fitted);
}

}  // namespace tessera::ops
