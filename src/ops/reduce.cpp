#include "ops/reduce.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <numeric>
#include <vector>

#include "ops/checks.h"
#include "ops/dtype_rules.h"
#include "ops/elements.h"
#include "ops/shape_ops.h"
#include "ops/strided.h"
#include "ops/wrapping.h"

namespace tessera::ops {
namespace {

enum class Rule { kSum, kKeep, kFloat, kBool };

// A function sees one row; it may reorder it.
using DoubleFn = double (*)(std::span<double>, int ddof);
using IntFn = int64_t (*)(std::span<int64_t>);

struct Row {
  ReduceOp op;
  std::string_view name;
  Rule rule;
  DoubleFn on_float;
  IntFn on_int;                  // nullptr: integers are read as floats
  bool refuses_nothing = false;  // an empty row has no value
};

template <typename T>
T sum(std::span<const T> row) {
  return std::accumulate(row.begin(), row.end(), T{0}, [](T a, T b) { return wrapping_add(a, b); });
}
double mean(std::span<const double> row) { return sum(row) / static_cast<double>(row.size()); }

double variance(std::span<const double> row, int ddof) {
  const double center = mean(row);
  double squares = 0;
  for (double x : row) squares += (x - center) * (x - center);
  return squares / std::max(static_cast<double>(row.size()) - ddof, 0.0);
}

bool has_nan(std::span<const double> row) {
  return std::any_of(row.begin(), row.end(), [](double x) { return std::isnan(x); });
}
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

double median(std::span<double> row, int) {
  if (has_nan(row)) return kNaN;
  std::sort(row.begin(), row.end());
  const size_t n = row.size();
  return n % 2 ? row[n / 2] : (row[n / 2 - 1] + row[n / 2]) / 2;
}

double log_sum_exp(std::span<double> row, int) {
  if (row.empty()) return -std::numeric_limits<double>::infinity();
  if (has_nan(row)) return kNaN;
  const double high = *std::max_element(row.begin(), row.end());
  if (std::isinf(high)) return high;
  double total = 0;
  for (double x : row) total += std::exp(x - high);
  return high + std::log(total);
}

#define ON_FLOAT(expression) [](std::span<double> row, [[maybe_unused]] int ddof) -> double { return expression; }
#define ON_INT(expression) [](std::span<int64_t> row) -> int64_t { return expression; }

template <typename T>
T product_of(std::span<T> row) {
  T out{1};
  for (T x : row) out = wrapping_multiply(out, x);
  return out;
}
template <typename T>
bool any_of(std::span<T> row) {
  return std::any_of(row.begin(), row.end(), [](T x) { return x != T{0}; });
}
template <typename T>
bool all_of(std::span<T> row) {
  return std::all_of(row.begin(), row.end(), [](T x) { return x != T{0}; });
}

constexpr Row kRows[] = {
    {ReduceOp::kSum, "Sum", Rule::kSum, ON_FLOAT(sum<double>(row)), ON_INT(sum<int64_t>(row))},
    {ReduceOp::kProd, "Prod", Rule::kSum, ON_FLOAT(product_of(row)), ON_INT(product_of(row))},
    {ReduceOp::kMax, "Max", Rule::kKeep, ON_FLOAT(has_nan(row) ? kNaN : *std::max_element(row.begin(), row.end())),
     ON_INT(*std::max_element(row.begin(), row.end())), true},
    {ReduceOp::kMin, "Min", Rule::kKeep, ON_FLOAT(has_nan(row) ? kNaN : *std::min_element(row.begin(), row.end())),
     ON_INT(*std::min_element(row.begin(), row.end())), true},
    {ReduceOp::kMean, "Mean", Rule::kFloat, ON_FLOAT(mean(row)), nullptr},
    {ReduceOp::kVar, "Var", Rule::kFloat, ON_FLOAT(variance(row, ddof)), nullptr},
    {ReduceOp::kStd, "Std", Rule::kFloat, ON_FLOAT(std::sqrt(variance(row, ddof))), nullptr},
    {ReduceOp::kMedian, "Median", Rule::kFloat, median, nullptr, true},
    {ReduceOp::kLogSumExp, "LogSumExp", Rule::kFloat, log_sum_exp, nullptr},
    {ReduceOp::kAny, "Any", Rule::kBool, ON_FLOAT(any_of(row)), ON_INT(any_of(row))},
    {ReduceOp::kAll, "All", Rule::kBool, ON_FLOAT(all_of(row)), ON_INT(all_of(row))},
};

#undef ON_FLOAT
#undef ON_INT

constexpr bool rows_are_in_order() {
  for (size_t i = 0; i < std::size(kRows); ++i)
    if (kRows[i].op != static_cast<ReduceOp>(i)) return false;
  return true;
}
static_assert(rows_are_in_order(), "one row per operation, in the order of the enum");

const Row& row_of(ReduceOp op) { return kRows[static_cast<size_t>(op)]; }

DType result_dtype(Rule rule, DType x) {
  switch (rule) {
    case Rule::kSum:
      return sum_dtype(x);
    case Rule::kKeep:
      return x;
    case Rule::kFloat:
      return float_dtype(x);
    case Rule::kBool:
      return DType::kBool;
  }
  check_failed(__FILE__, __LINE__, "a known rule");
}

// x with the reduced axes moved to the end, as a matrix, and the shape of the result.
struct Rows {
  Tensor x;
  int64_t n_rows = 1, length = 1;
  Shape out;
};

Result<Rows> rows_along(const Tensor& x, const std::vector<int>& axes, bool keepdims) {
  Rows rows;
  std::vector<int32_t> kept, reduced;
  for (int i = 0; i < x.shape.rank(); ++i) {
    const bool gone = std::find(axes.begin(), axes.end(), i) != axes.end();
    (gone ? reduced : kept).push_back(i);
    (gone ? rows.length : rows.n_rows) *= x.shape[i];
    if (!gone || keepdims) rows.out.push_back(gone ? 1 : x.shape[i]);
  }
  kept.insert(kept.end(), reduced.begin(), reduced.end());
  const bool in_order = std::is_sorted(kept.begin(), kept.end());
  rows.x = in_order ? x : TRY(transpose(x, kept));
  return rows;
}

template <typename U, typename F>
void apply(const Rows& rows, F&& f, Tensor& out) {
  if (rows.n_rows == 0) return;  // a row may be as long as it likes then
  std::vector<U> row(static_cast<size_t>(rows.length));
  for (int64_t i = 0; i < rows.n_rows; ++i) {
    load(rows.x, i * rows.length, rows.length, row.data());
    const U value = f(std::span<U>(row));
    store(&value, 1, out, i);
  }
}

std::vector<int> all_axes(int rank) {
  std::vector<int> axes(static_cast<size_t>(rank));
  std::iota(axes.begin(), axes.end(), 0);
  return axes;
}

// The index of the element that no other precedes by `better`.
template <typename Better>
Result<Tensor> arg_best(const Tensor& x, int64_t axis, bool keepdims, Better better) {
  const int at = TRY(normalize_axis(axis, x.shape.rank()));
  const Rows rows = TRY(rows_along(x, {at}, keepdims));
  if (rows.length == 0)
    return invalid_argument("the largest or smallest of no elements: axis {} of {}", at, describe(x));
  Tensor out = TRY(Tensor::allocate(DType::kU32, rows.out));
  const auto index_of = [&](auto row) {
    const auto first = std::min_element(row.begin(), row.end(), better);
    return static_cast<int64_t>(first - row.begin());
  };
  if (is_float(x.dtype)) {
    apply<double>(
        rows, [&](std::span<double> row) { return static_cast<double>(index_of(row)); }, out);
  } else {
    apply<int64_t>(rows, index_of, out);
  }
  return out;
}

}  // namespace

std::string_view name_of(ReduceOp op) { return row_of(op).name; }

Result<Tensor> reduce(ReduceOp op, const Tensor& x, std::span<const int32_t> axes, bool keepdims, int ddof) {
  const Row& row = row_of(op);
  std::vector<int> over = TRY(normalize_axes(axes, x.shape.rank()));
  if (axes.empty() && op != ReduceOp::kLogSumExp) over = all_axes(x.shape.rank());
  const Rows rows = TRY(rows_along(x, over, keepdims));
  if (row.refuses_nothing && rows.length == 0 && rows.n_rows > 0)
    return invalid_argument("{} of no elements: {}", row.name, describe(x));
  Tensor out = TRY(Tensor::allocate(result_dtype(row.rule, x.dtype), rows.out));
  if (is_float(x.dtype) || !row.on_int) {
    apply<double>(
        rows, [&](std::span<double> values) { return row.on_float(values, ddof); }, out);
  } else {
    apply<int64_t>(rows, row.on_int, out);
  }
  return out;
}

Result<Tensor> argmax(const Tensor& x, int64_t axis, bool keepdims) {
  return arg_best(x, axis, keepdims, [](auto a, auto b) { return a > b || (a != a && b == b); });
}

Result<Tensor> argmin(const Tensor& x, int64_t axis, bool keepdims) {
  return arg_best(x, axis, keepdims, [](auto a, auto b) { return a < b || (a != a && b == b); });
}

}  // namespace tessera::ops
