#include "ops/tq_cache.h"

#include <array>
#include <vector>

#include "ops/checks.h"
#include "ops/elements.h"
#include "ops/gguf_checks.h"
#include "quant/tq4.h"

namespace tessera::ops {
namespace {

constexpr int kLevels = quant::kTq4Levels;

// The same sizes but the last.
Shape with_last(const Shape& shape, int64_t size) {
  Shape out = shape;
  out[shape.rank() - 1] = size;
  return out;
}

Status check_vectors(const Tensor& x, std::string_view name) {
  if (x.shape.rank() >= 1 && x.shape.back() > 0) return {};
  return invalid_argument("{} must hold vectors, found {}", name, describe(x));
}

template <size_t N>
Result<std::array<float, N>> table(const Tensor& x, std::string_view name) {
  TRY(check_float(x, name));
  TRY(check_shape(x, {int64_t{N}}, name));
  std::array<float, N> out;
  load(x, 0, N, out.data());
  return out;
}

}  // namespace

Result<Tensor> tq_norm(const Tensor& x) {
  TRY(check_activation_dtype(x.dtype, "x"));
  TRY(check_vectors(x, "x"));
  const int64_t dim = x.shape.back();
  Tensor out = TRY(Tensor::allocate(x.dtype, with_last(x.shape, 1)));
  if (out.n_elements() == 0) return out;  // before a buffer for vectors that are not there
  std::vector<double> row(static_cast<size_t>(dim));
  for (int64_t i = 0; i < out.n_elements(); ++i) {
    load(x, i * dim, dim, row.data());
    double sum = 0;
    for (double value : row) sum += value * value;
    const double norm = std::sqrt(sum);
    store(&norm, 1, out, i);
  }
  return out;
}

Result<Tensor> tq4_compress(const Tensor& values, const Tensor& boundaries) {
  TRY(check_float(values, "values"));
  TRY(check_vectors(values, "values"));
  if (values.shape.back() % 2 != 0)
    return invalid_argument("values are packed in pairs, found {} in a vector", values.shape.back());
  const auto bounds = TRY(table<kLevels - 1>(boundaries, "boundaries"));
  Tensor out = TRY(Tensor::allocate(DType::kU8, with_last(values.shape, values.shape.back() / 2)));
  for_each_chunk(out.n_elements(), [&](int64_t begin, int64_t n) {
    float pairs[2 * kChunk];
    load(values, 2 * begin, 2 * n, pairs);
    for (int64_t i = 0; i < n; ++i)
      out.as<uint8_t>()[begin + i] = quant::tq4_pair(pairs[2 * i], pairs[2 * i + 1], bounds.data());
  });
  return out;
}

Result<Tensor> tq_dequant(const Tensor& packed, const Tensor& norms, const Tensor& centroids, DType dtype) {
  if (packed.dtype != DType::kU8) return invalid_argument("packed must be u8, found {}", describe(packed));
  TRY(check_vectors(packed, "packed"));
  TRY(check_float(norms, "norms"));
  TRY(check_shape(norms, with_last(packed.shape, 1), "norms"));
  TRY(check_activation_dtype(dtype, "the result"));
  const auto levels = TRY(table<kLevels>(centroids, "centroids"));
  const int64_t dim = 2 * packed.shape.back();
  Tensor out = TRY(Tensor::allocate(dtype, with_last(packed.shape, dim)));
  if (out.n_elements() == 0) return out;
  std::vector<float> row(static_cast<size_t>(dim));
  for (int64_t i = 0; i < norms.n_elements(); ++i) {
    quant::tq4_decompress(packed.as<uint8_t>() + i * dim / 2, element<float>(norms, i), dim, levels.data(), row.data());
    store(row.data(), dim, out, i * dim);
  }
  return out;
}

}  // namespace tessera::ops
