#include "ops/sort.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "ops/checks.h"
#include "ops/elements.h"
#include "ops/strided.h"
#include "ops/wrapping.h"

namespace tessera::ops {
namespace {

// Moves `axis` last, lets f(in, out) fill each row of the result, and moves it back. U is double or int64_t.
template <typename U, typename F>
Result<Tensor> map_rows_as(const Tensor& x, int axis, DType dtype, F&& f) {
  const Tensor rows = TRY(move_axis_last(x, axis));
  Tensor out = TRY(Tensor::allocate(dtype, rows.shape));
  const int64_t length = x.shape[axis], n_rows = length == 0 ? 0 : x.n_elements() / length;
  if (n_rows == 0) return move_last_to(out, axis);  // before a buffer for rows that are not there
  std::vector<U> from(static_cast<size_t>(length)), to(static_cast<size_t>(length));
  for (int64_t i = 0; i < n_rows; ++i) {
    load(rows, i * length, length, from.data());
    f(from, to);
    store(to.data(), length, out, i * length);
  }
  return move_last_to(out, axis);
}

template <typename F>
Result<Tensor> map_rows(const Tensor& x, int64_t axis, DType dtype, F&& f) {
  const int at = TRY(normalize_axis(axis, x.shape.rank()));
  return is_float(x.dtype) ? map_rows_as<double>(x, at, dtype, f) : map_rows_as<int64_t>(x, at, dtype, f);
}

// NaN after everything else.
const auto kBefore = [](auto a, auto b) { return a < b || (a == a && b != b); };

}  // namespace

Result<Tensor> sort(const Tensor& x, int64_t axis) {
  return map_rows(x, axis, x.dtype, [](const auto& from, auto& to) {
    to = from;
    std::stable_sort(to.begin(), to.end(), kBefore);
  });
}

Result<Tensor> argsort(const Tensor& x, int64_t axis) {
  return map_rows(x, axis, DType::kU32, [](const auto& from, auto& to) {
    std::vector<size_t> order(from.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return kBefore(from[a], from[b]); });
    std::transform(order.begin(), order.end(), to.begin(),
                   [](size_t i) { return static_cast<typename std::decay_t<decltype(to)>::value_type>(i); });
  });
}

namespace {

Status check_kth(const Tensor& x, int64_t kth, int64_t axis) {
  const int at = TRY(normalize_axis(axis, x.shape.rank()));
  TRY(normalize_index(kth, x.shape[at]));
  return {};
}

}  // namespace

Result<Tensor> partition(const Tensor& x, int64_t kth, int64_t axis) {
  TRY(check_kth(x, kth, axis));
  return sort(x, axis);
}

Result<Tensor> arg_partition(const Tensor& x, int64_t kth, int64_t axis) {
  TRY(check_kth(x, kth, axis));
  return argsort(x, axis);
}

Result<Tensor> cumsum(const Tensor& x, int64_t axis, bool reverse, bool inclusive) {
  const DType dtype = x.dtype == DType::kBool ? DType::kI32 : x.dtype;
  return map_rows(x, axis, dtype, [&](const auto& from, auto& to) {
    typename std::decay_t<decltype(to)>::value_type total{0};
    for (size_t step = 0; step < from.size(); ++step) {
      const size_t i = reverse ? from.size() - 1 - step : step;
      const auto before = total;
      total = wrapping_add(total, from[i]);
      to[i] = inclusive ? total : before;
    }
  });
}

}  // namespace tessera::ops
