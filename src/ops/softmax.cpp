#include "ops/softmax.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "ops/checks.h"
#include "ops/dtype_rules.h"
#include "ops/elements.h"
#include "ops/strided.h"

namespace tessera::ops {

void softmax_row(std::span<double> row) {
  if (row.empty()) return;
  const double high = *std::max_element(row.begin(), row.end());
  double total = 0;
  for (double& value : row) total += value = std::exp(value - high);
  for (double& value : row) value /= total;
}

Result<Tensor> softmax(const Tensor& x, int64_t axis) {
  const int at = TRY(normalize_axis(axis, x.shape.rank()));
  const Tensor rows = TRY(move_axis_last(x, at));
  Tensor out = TRY(Tensor::allocate(float_dtype(x.dtype), rows.shape));
  const int64_t length = x.shape[at], n_rows = length == 0 ? 0 : x.n_elements() / length;
  if (n_rows == 0) return move_last_to(out, at);  // before a buffer for rows that are not there
  std::vector<double> row(static_cast<size_t>(length));
  for (int64_t i = 0; i < n_rows; ++i) {
    load(rows, i * length, length, row.data());
    softmax_row(row);
    store(row.data(), length, out, i * length);
  }
  return move_last_to(out, at);
}

}  // namespace tessera::ops
