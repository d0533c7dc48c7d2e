// Reductions over any set of axes: one table row each (reduce.cpp). No axes means all of them, except for kLogSumExp,
// where it means none. Sums are formed in double or int64 and rounded once.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "ops/tensor.h"

namespace tessera::ops {

enum class ReduceOp { kSum, kProd, kMax, kMin, kMean, kVar, kStd, kMedian, kLogSumExp, kAny, kAll };

std::string_view name_of(ReduceOp op);

// Result dtype: kSum and kProd by sum_dtype; kMax and kMin x's; kMean..kLogSumExp x's when it is a float, else f32;
// kAny and kAll bool. `ddof` is for kVar and kStd: the divisor is max(count - ddof, 0). kMax, kMin and kMedian of
// nothing are errors; NaN propagates through them.
Result<Tensor> reduce(ReduceOp op, const Tensor& x, std::span<const int32_t> axes, bool keepdims, int ddof = 0);

// The index of the largest or smallest element along one axis, u32; the first one wins a tie, NaN counts as both.
Result<Tensor> argmax(const Tensor& x, int64_t axis, bool keepdims);
Result<Tensor> argmin(const Tensor& x, int64_t axis, bool keepdims);

}  // namespace tessera::ops
