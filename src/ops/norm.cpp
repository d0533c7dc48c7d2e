#include "ops/norm.h"

#include <cmath>
#include <vector>

#include "ops/cast.h"
#include "ops/checks.h"
#include "ops/dtype_rules.h"
#include "ops/elements.h"

namespace tessera::ops {
namespace {

Status check_parameter(const Tensor* parameter, const Tensor& x, std::string_view name) {
  if (!parameter) return {};
  TRY(check_float(*parameter, name));
  return check_shape(*parameter, {x.shape.back()}, name);
}

// Normalizes rows with center_and_scale(row) -> {center, scale}, then applies weight and bias.
struct CenterScale {
  double center, scale;
};

template <typename F>
Result<Tensor> normalize(const Tensor& x, const Tensor* weight, const Tensor* bias, F&& center_and_scale) {
  TRY(check_float(x, "x"));
  if (x.shape.rank() == 0) return invalid_argument("a norm needs an axis, found {}", describe(x));
  TRY(check_parameter(weight, x, "weight"));
  TRY(check_parameter(bias, x, "bias"));
  DType dtype = x.dtype;
  for (const Tensor* parameter : {weight, bias})
    if (parameter) dtype = promote(dtype, parameter->dtype);
  Tensor out = TRY(Tensor::allocate(dtype, x.shape));
  if (out.n_elements() == 0) return out;  // before a buffer for rows that are not there
  const std::vector<double> weights = weight ? to_doubles(*weight) : std::vector<double>();
  const std::vector<double> offsets = bias ? to_doubles(*bias) : std::vector<double>();
  const int64_t length = x.shape.back(), n_rows = x.n_elements() / length;
  std::vector<double> row(static_cast<size_t>(length));
  for (int64_t r = 0; r < n_rows; ++r) {
    load(x, r * length, length, row.data());
    const CenterScale by = center_and_scale(row);
    dispatch(dtype, [&]<typename T>() {
      const auto round = [](double value) { return number<double>(stored<T>(value)); };
      for (size_t i = 0; i < row.size(); ++i) {
        double value = round(static_cast<double>(static_cast<float>((row[i] - by.center) * by.scale)));
        if (weight) value = round(value * round(weights[i]));
        if (bias) value = round(value + round(offsets[i]));
        row[i] = value;
      }
    });
    store(row.data(), length, out, r * length);
  }
  return out;
}

double mean_square(const std::vector<double>& row, double center) {
  double total = 0;
  for (double value : row) total += (value - center) * (value - center);
  return total / static_cast<double>(row.size());
}

}  // namespace

Result<Tensor> rms_norm(const Tensor& x, const Tensor* weight, float eps) {
  return normalize(x, weight, nullptr, [&](const std::vector<double>& row) {
    return CenterScale{0.0, 1.0 / std::sqrt(mean_square(row, 0.0) + static_cast<double>(eps))};
  });
}

Result<Tensor> layer_norm(const Tensor& x, const Tensor* weight, const Tensor* bias, float eps) {
  return normalize(x, weight, bias, [&](const std::vector<double>& row) {
    double mean = 0;
    for (double value : row) mean += value;
    mean /= static_cast<double>(row.size());
    return CenterScale{mean, 1.0 / std::sqrt(mean_square(row, mean) + static_cast<double>(eps))};
  });
}

}  // namespace tessera::ops
