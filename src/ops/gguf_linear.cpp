#include "ops/gguf_linear.h"

#include <cmath>
#include <vector>

#include "ops/checks.h"
#include "ops/elements.h"
#include "ops/gguf_checks.h"

namespace tessera::ops {

Result<GgufLinearShape> check_gguf_linear(const Tensor& x, const Tensor& weight, const quant::Format& format,
                                          const Tensor* bias, DType out_dtype) {
  const GgufRows rows = TRY(check_gguf_weight(weight, format));
  TRY(check_activation_dtype(x.dtype, "x"));
  TRY(check_activation_dtype(out_dtype, "the result"));
  if (x.shape.rank() < 1 || x.shape.back() != rows.k)
    return invalid_argument("x must end in {}, the values of a weight row ({} {}), found {}", rows.k, format.name,
                            to_string(weight.shape), describe(x));
  if (bias) {
    TRY(check_float(*bias, "bias"));
    TRY(check_shape(*bias, {rows.n_rows}, "bias"));
  }
  GgufLinearShape shape{product(x.shape, 0, x.shape.rank() - 1), rows.n_rows, rows.k, x.shape};
  shape.out[x.shape.rank() - 1] = rows.n_rows;
  return shape;
}

float dot_exact(const float* w, const float* x, int64_t k) {
  constexpr int kLanes = 16;
  float acc[kLanes] = {};
  for (int64_t i = 0; i < k; i += kLanes) {
    const int n = static_cast<int>(std::min<int64_t>(kLanes, k - i));
    for (int lane = 0; lane < n; ++lane) acc[lane] = std::fma(w[i + lane], x[i + lane], acc[lane]);
  }
  for (int step = kLanes / 2; step > 0; step /= 2)
    for (int lane = 0; lane < step; ++lane) acc[lane] += acc[lane + step];
  return acc[0];
}

Result<Tensor> gguf_linear(const Tensor& x, const Tensor& weight, const quant::Format& format, const Tensor* bias,
                           DType out_dtype, ThreadPool* pool) {
  const GgufLinearShape shape = TRY(check_gguf_linear(x, weight, format, bias, out_dtype));
  Tensor out = TRY(Tensor::allocate(out_dtype, shape.out));
  if (out.n_elements() == 0) return out;  // before buffers for rows that are not there
  std::vector<float> rows(static_cast<size_t>(shape.m * shape.k)), offsets(static_cast<size_t>(shape.n), 0.0f);
  load(x, 0, shape.m * shape.k, rows.data());
  if (bias) load(*bias, 0, shape.n, offsets.data());
  const auto fill = [&](int64_t begin, int64_t end) {
    std::vector<float> values(static_cast<size_t>(shape.k));
    for (int64_t n = begin; n < end; ++n) {
      format.dequantize(weight.data + n * weight.shape[1], shape.k, values.data());
      for (int64_t m = 0; m < shape.m; ++m) {
        const float sum = dot_exact(values.data(), rows.data() + m * shape.k, shape.k);
        const float shifted = bias ? sum + offsets[static_cast<size_t>(n)] : sum;
        store(&shifted, 1, out, m * shape.n + n);
      }
    }
  };
  constexpr int64_t kRowsPerTask = 16;
  if (pool) {
    pool->parallel_for(shape.n, kRowsPerTask, fill);
  } else {
    fill(0, shape.n);
  }
  return out;
}

}  // namespace tessera::ops
