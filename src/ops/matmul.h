// Matrix products of plain tensors. Products are summed in double and rounded once.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/tensor.h"

namespace tessera::ops {

// (..., M, K) @ (..., K, N): leading axes broadcast, dtypes promoted, floats only. A rank-1 operand is a row on the
// left and a column on the right, and its axis disappears.
Result<Tensor> matmul(const Tensor& a, const Tensor& b);

// alpha * (a @ b) + beta * bias; bias broadcasts to the product, and all three are promoted. Without a bias alpha still
// counts (ExecuTorch's runtime ignores it there).
Result<Tensor> addmm(const Tensor& a, const Tensor& b, const Tensor* bias, float alpha, float beta);

// One product per pair of batch entries: the batch axes of a and b flattened, lhs[i] and rhs[i] naming the entries.
// Absent indices are 0, 1, ... in the operand's batch shape; both broadcast together. Shape: that, then (M, N). Without
// any indices: matmul.
Result<Tensor> gather_mm(const Tensor& a, const Tensor& b, const Tensor* lhs_indices, const Tensor* rhs_indices);

// Which batch entries meet, for every batched product: lhs and rhs entries broadcast to `shape`, flattened.
struct BatchPairs {
  Shape shape;
  std::vector<int64_t> lhs, rhs;
};
// Batch shapes are those of the operands without their last two axes; without indices every entry in order. Errors:
// indices that are not integers or outside the batch.
Result<BatchPairs> resolve_batch_pairs(const Shape& lhs_batch, const Tensor* lhs_indices, const Shape& rhs_batch,
                                       const Tensor* rhs_indices);

}  // namespace tessera::ops
