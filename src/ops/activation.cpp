#include "ops/activation.h"

#include <cmath>

#include "ops/checks.h"
#include "ops/elements.h"

namespace tessera::ops {
namespace {

// Maps every element with f(x, r), where r rounds an intermediate to x's dtype.
template <typename F>
Result<Tensor> map_rounded(const Tensor& x, F&& f) {
  TRY(check_float(x, "x"));
  Tensor out = TRY(Tensor::allocate(x.dtype, x.shape));
  dispatch(x.dtype, [&]<typename T>() {
    const auto round = [](double value) { return number<double>(stored<T>(value)); };
    const T* from = x.as<T>();
    T* to = out.as<T>();
    for (int64_t i = 0; i < x.n_elements(); ++i) to[i] = stored<T>(f(number<double>(from[i]), round));
  });
  return out;
}

}  // namespace

Result<Tensor> silu(const Tensor& x) {
  return map_rounded(x, [](double v, auto r) { return v * r(1.0 / (1.0 + std::exp(-v))); });
}

Result<Tensor> gelu(const Tensor& x, bool tanh_form) {
  if (!tanh_form) {
    return map_rounded(x, [](double v, auto r) {
      const double erf = r(std::erf(r(v * r(0.70710678118654752))));
      return r(0.5 * v) * r(1.0 + erf);
    });
  }
  return map_rounded(x, [](double v, auto r) {
    const double cube = r(r(v * v) * v);
    const double inner = r(v + r(r(0.044715) * cube));
    const double tanh = r(std::tanh(r(r(0.79788456080286536) * inner)));
    return r(0.5 * v) * r(1.0 + tanh);
  });
}

}  // namespace tessera::ops
