#include "ops/cast.h"

#include <cstring>

#include "ops/elements.h"

namespace tessera::ops {
namespace {

template <typename U>
void convert(const Tensor& x, Tensor& out) {
  for_each_chunk(x.n_elements(), [&](int64_t begin, int64_t n) {
    U values[kChunk];
    load(x, begin, n, values);
    store(values, n, out, begin);
  });
}

}  // namespace

Result<Tensor> cast(const Tensor& x, DType dtype) {
  if (!is_known(dtype)) return not_implemented("cast to dtype code {}", static_cast<int>(dtype));
  if (x.dtype == dtype) return x;
  Tensor out = TRY(Tensor::allocate(dtype, x.shape));
  is_float(x.dtype) ? convert<double>(x, out) : convert<int64_t>(x, out);
  return out;
}

Result<Tensor> clone(const Tensor& x) {
  Tensor out = TRY(Tensor::allocate(x.dtype, x.shape));
  if (x.n_bytes() != 0) std::memcpy(out.data, x.data, x.n_bytes());
  return out;
}

std::vector<double> to_doubles(const Tensor& x) {
  std::vector<double> out(static_cast<size_t>(x.n_elements()));
  load(x, 0, x.n_elements(), out.data());
  return out;
}

std::vector<int64_t> to_int64s(const Tensor& x) {
  std::vector<int64_t> out(static_cast<size_t>(x.n_elements()));
  load(x, 0, x.n_elements(), out.data());
  return out;
}

Result<Tensor> from_doubles(const std::vector<double>& values, const Shape& shape, DType dtype) {
  CHECK(static_cast<int64_t>(values.size()) == shape.n_elements());
  Tensor out = TRY(Tensor::allocate(dtype, shape));
  store(values.data(), shape.n_elements(), out, 0);
  return out;
}

}  // namespace tessera::ops
