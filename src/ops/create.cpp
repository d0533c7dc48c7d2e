#include "ops/create.h"

#include <cstring>

#include "ops/checks.h"
#include "ops/elements.h"

namespace tessera::ops {

Result<Tensor> arange(int64_t start, int64_t stop, int64_t step, DType dtype) {
  if (step == 0) return invalid_argument("the step of a range must not be 0");
  if (dtype == DType::kBool) return invalid_argument("a range of bool");
  const double count = std::ceil((static_cast<double>(stop) - static_cast<double>(start)) / static_cast<double>(step));
  if (!(count >= 1)) return invalid_argument("the range {}:{}:{} is empty", start, stop, step);
  const Shape shape{static_cast<int64_t>(count)};
  TRY(check_created(shape, dtype));
  Tensor out = TRY(Tensor::allocate(dtype, shape));
  for (int64_t i = 0; i < shape[0]; ++i) {
    const int64_t value = start + i * step;
    store(&value, 1, out, i);
  }
  return out;
}

Result<Tensor> filled(const Shape& shape, double value, DType dtype) {
  Tensor out = TRY(Tensor::allocate(dtype, shape));
  dispatch(dtype, [&]<typename T>() { std::fill_n(out.as<T>(), shape.n_elements(), stored<T>(value)); });
  return out;
}

Result<Tensor> zeros(const Shape& shape, DType dtype) {
  Tensor out = TRY(Tensor::allocate(dtype, shape));
  std::memset(out.data, 0, out.n_bytes());
  return out;
}

Result<Tensor> full(const Shape& shape, float value, DType dtype) {
  TRY(check_created(shape, dtype));
  return filled(shape, static_cast<double>(value), dtype);
}

namespace {

// Sets to zero what keep(row, column) refuses, in each (rows, columns) matrix.
template <typename Keep>
Result<Tensor> masked(const Tensor& x, Keep&& keep) {
  if (x.shape.rank() < 2) return invalid_argument("a triangle needs rank 2 or more, found {}", describe(x));
  const int64_t columns = x.shape.back(), rows = x.shape[x.shape.rank() - 2];
  Tensor out = TRY(Tensor::allocate(x.dtype, x.shape));
  dispatch(x.dtype, [&]<typename T>() {
    const T* from = x.as<T>();
    T* to = out.as<T>();
    for (int64_t i = 0; i < x.n_elements(); ++i)
      to[i] = keep(i / columns % rows, i % columns) ? from[i] : stored<T>(int64_t{0});
  });
  return out;
}

}  // namespace

Result<Tensor> tri(int64_t n, int64_t m, int64_t k, DType dtype) {
  const Tensor ones = TRY(full(Shape{n, m}, 1.0f, dtype));
  return tril(ones, k);
}

Result<Tensor> tril(const Tensor& x, int64_t k) {
  return masked(x, [&](int64_t row, int64_t column) { return column <= row + k; });
}

Result<Tensor> triu(const Tensor& x, int64_t k) {
  return masked(x, [&](int64_t row, int64_t column) { return column >= row + k; });
}

}  // namespace tessera::ops
