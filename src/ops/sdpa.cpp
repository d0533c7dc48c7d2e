#include "ops/sdpa.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "ops/cast.h"
#include "ops/checks.h"
#include "ops/dtype_rules.h"
#include "ops/elements.h"
#include "ops/shape_ops.h"
#include "ops/softmax.h"

namespace tessera::ops {
namespace {

// The score of a key that must not be seen: finite, so that a row that sees nothing becomes uniform and not NaN.
constexpr double kRefused = std::numeric_limits<float>::lowest();

struct Sizes {
  int64_t batch, n_heads, n_kv_heads, n_queries, n_keys, head_dim, v_dim;
};

Result<Sizes> sizes_of(const Tensor& q, const Tensor& k, const Tensor& v) {
  for (const Tensor* x : {&q, &k, &v}) {
    TRY(check_float(*x, "q, k and v"));
    TRY(check_rank(*x, 4, "q, k and v"));
  }
  const Sizes s{q.shape[0], q.shape[1], k.shape[1], q.shape[2], k.shape[2], q.shape[3], v.shape[3]};
  TRY(check_shape(k, {s.batch, s.n_kv_heads, s.n_keys, s.head_dim}, "k"));
  TRY(check_shape(v, {s.batch, s.n_kv_heads, s.n_keys, s.v_dim}, "v"));
  if (s.n_kv_heads == 0 || s.n_heads % s.n_kv_heads != 0)
    return invalid_argument("{} query heads are not a multiple of {} kv heads", s.n_heads, s.n_kv_heads);
  return s;
}

// mask_score(b, h, i, j, score) is the score of key j for query i after masking.
template <typename F>
Result<Tensor> attend(const Tensor& q, const Tensor& k, const Tensor& v, const Sizes& s, float scale, F&& mask_score) {
  Tensor out =
      TRY(Tensor::allocate(promote(promote(q.dtype, k.dtype), v.dtype), {s.batch, s.n_heads, s.n_queries, s.v_dim}));
  if (out.n_elements() == 0) return out;  // before buffers for rows that are not there
  const std::vector<double> keys = to_doubles(k), values = to_doubles(v);
  std::vector<double> query(static_cast<size_t>(s.head_dim)), scores(static_cast<size_t>(s.n_keys));
  std::vector<double> sums(static_cast<size_t>(s.v_dim));
  for (int64_t row = 0; row < s.batch * s.n_heads * s.n_queries; ++row) {
    const int64_t i = row % s.n_queries, h = row / s.n_queries % s.n_heads, b = row / s.n_queries / s.n_heads;
    const int64_t kv = (b * s.n_kv_heads + h / (s.n_heads / s.n_kv_heads)) * s.n_keys;
    load(q, row * s.head_dim, s.head_dim, query.data());
    for (int64_t j = 0; j < s.n_keys; ++j) {
      double score = 0;
      for (int64_t d = 0; d < s.head_dim; ++d)
        score += query[static_cast<size_t>(d)] * keys[static_cast<size_t>((kv + j) * s.head_dim + d)];
      scores[static_cast<size_t>(j)] = mask_score(b, h, i, j, score * static_cast<double>(scale));
    }
    softmax_row(scores);
    std::fill(sums.begin(), sums.end(), 0.0);
    for (int64_t j = 0; j < s.n_keys; ++j)
      for (int64_t d = 0; d < s.v_dim; ++d)
        sums[static_cast<size_t>(d)] +=
            scores[static_cast<size_t>(j)] * values[static_cast<size_t>((kv + j) * s.v_dim + d)];
    store(sums.data(), s.v_dim, out, row * s.v_dim);
  }
  return out;
}

}  // namespace

Result<Tensor> sdpa(const Tensor& q, const Tensor& k, const Tensor& v, float scale, const Tensor* mask, bool causal) {
  const Sizes s = TRY(sizes_of(q, k, v));
  if (mask && causal) return invalid_argument("attention is either causal or has a mask, not both");
  if (!mask) {
    return attend(q, k, v, s, scale, [&](int64_t, int64_t, int64_t i, int64_t j, double score) {
      return causal && j > i + s.n_keys - s.n_queries ? kRefused : score;
    });
  }
  if (mask->shape.rank() > 4) return invalid_argument("a mask has rank 4 at most, found {}", describe(*mask));
  const bool boolean = mask->dtype == DType::kBool;
  const Shape full{s.batch, s.n_heads, s.n_queries, s.n_keys};
  const Tensor wide = TRY(cast_and_broadcast(*mask, boolean ? DType::kBool : q.dtype, full));
  const std::vector<double> added = to_doubles(wide);
  return attend(q, k, v, s, scale, [&](int64_t b, int64_t h, int64_t i, int64_t j, double score) {
    const double value = added[static_cast<size_t>(((b * s.n_heads + h) * s.n_queries + i) * s.n_keys + j)];
    return boolean ? (value != 0 ? score : kRefused) : score + value;
  });
}

Result<Tensor> sliding_attention(const Tensor& q, const Tensor& k, const Tensor& v, float scale, int64_t window) {
  const Sizes s = TRY(sizes_of(q, k, v));
  if (s.n_queries > s.n_keys) return invalid_argument("{} queries over {} positions", s.n_queries, s.n_keys);
  return attend(q, k, v, s, scale, [&](int64_t, int64_t, int64_t i, int64_t j, double score) {
    const int64_t distance = i + s.n_keys - s.n_queries - j;
    return distance < 0 || (window > 0 && distance >= window) ? kRefused : score;
  });
}

}  // namespace tessera::ops
