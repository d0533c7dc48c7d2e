// What lies between the linears, against plain loops in float64: norms and residuals, soft cap, gelu, rotation, caches
// and attention over them, the position.
#include <algorithm>

#include "kernels/cuda/cuda_testing.h"

namespace tessera::kernels::cuda::testing {
namespace {

using Doubles = std::vector<double>;

Doubles widen(const std::vector<float>& x) { return {x.begin(), x.end()}; }

// x / sqrt(mean(x^2) + eps) * weight over pieces of n; weight may be empty.
Doubles norm_of(const Doubles& x, const std::vector<float>& weight, size_t n, double eps) {
  Doubles out(x.size());
  for (size_t row = 0; row < x.size(); row += n) {
    double squares = 0;
    for (size_t i = 0; i < n; ++i) squares += x[row + i] * x[row + i];
    const double factor = 1 / std::sqrt(squares / static_cast<double>(n) + eps);
    for (size_t i = 0; i < n; ++i)
      out[row + i] = x[row + i] * factor * (weight.empty() ? 1.0 : static_cast<double>(weight[i]));
  }
  return out;
}

class StepsOnDevice : public OnDevice {};

TEST_P(StepsOnDevice, NormResidualAndNextNorm) {
  constexpr double kEps = 1e-6;
  for (int32_t k : {1, 31, 256, 1030}) {
    const int32_t m = 3;
    const auto n = static_cast<size_t>(m * k);
    const auto x = random_floats(n, rng_), residual = random_floats(n, rng_),
               weight = random_floats(static_cast<size_t>(k), rng_), next = random_floats(static_cast<size_t>(k), rng_);
    NormArgs args{.x = put(x),
                  .branch_weight = put(weight),
                  .residual = 0,
                  .sum = poisoned(n * 4),
                  .next_weight = 0,
                  .next = 0,
                  .element = Element::kF32,
                  .m = m,
                  .k = k,
                  .branch_eps = static_cast<float>(kEps),
                  .next_eps = static_cast<float>(kEps),
                  .scale = 1};
    run(&Api::norm, args);
    Doubles expected = norm_of(widen(x), weight, static_cast<size_t>(k), kEps);
    EXPECT_LE(relative_error(floats(args.sum, n), expected), 1e-5);

    args.residual = put(residual), args.scale = 0.75f, args.sum = poisoned(n * 4);
    args.next_weight = put(next), args.next = poisoned(n * 4);
    run(&Api::norm, args);
    for (size_t i = 0; i < n; ++i) expected[i] = (expected[i] + static_cast<double>(residual[i])) * 0.75;
    EXPECT_LE(relative_error(floats(args.sum, n), expected), 1e-5);
    EXPECT_LE(relative_error(floats(args.next, n), norm_of(expected, next, static_cast<size_t>(k), kEps)), 1e-5);
  }
}

TEST_P(StepsOnDevice, SoftCapAndGelu) {
  const size_t n = 1000;
  const auto x = random_floats(n, rng_, 40), y = random_floats(n, rng_);
  const Address capped = poisoned(n * 4), product = poisoned(n * 4);
  run(&Api::soft_cap, SoftCapArgs{put(x), capped, Element::kF32, static_cast<int64_t>(n), 30});
  run(&Api::geglu, GegluArgs{put(x), put(y), product, Element::kF32, Element::kF32, static_cast<int64_t>(n)});
  Doubles cap(n), gelu(n);
  for (size_t i = 0; i < n; ++i) {
    const double g = x[i];
    cap[i] = 30 * std::tanh(g / 30);
    gelu[i] = 0.5 * g * (1 + std::tanh(std::sqrt(2 / M_PI) * (g + 0.044715 * g * g * g))) * static_cast<double>(y[i]);
  }
  EXPECT_LE(relative_error(floats(capped, n), cap), 1e-5);
  EXPECT_LE(relative_error(floats(product, n), gelu), 1e-5);
}

// ---- attention
// ---------------------------------------------------------------------------------------------------------

struct Shape {
  int32_t m, n_heads, n_kv_heads, head_dim, n_slots, window, position, n_splits;
};
size_t count(int64_t a, int64_t b, int64_t c = 1) { return static_cast<size_t>(a * b * c); }

// Pairs (i, i + d / 2) of a head at `position` turned by position / period[i].
void rotate(double* head, int32_t d, const Doubles& periods, int64_t position) {
  for (int32_t i = 0; i < d / 2; ++i) {
    const double angle = static_cast<double>(position) / periods[static_cast<size_t>(i)];
    const double x = head[i], y = head[i + d / 2];
    head[i] = x * std::cos(angle) - y * std::sin(angle);
    head[i + d / 2] = x * std::sin(angle) + y * std::cos(angle);
  }
}

Doubles attention_of(const Shape& s, const Doubles& q, const Doubles& k_cache, const Doubles& v_cache, double scale) {
  Doubles out(q.size(), 0.0);
  const int64_t d = s.head_dim;
  for (int64_t t = 0; t < s.m; ++t)
    for (int64_t h = 0; h < s.n_heads; ++h) {
      const int64_t last = s.position + t, first = s.window > 0 ? std::max<int64_t>(0, last - s.window + 1) : 0;
      const double* query = &q[count(t * s.n_heads + h, d)];
      const auto row = [&](const Doubles& cache, int64_t p) {
        return &cache[count(h / (s.n_heads / s.n_kv_heads) * s.n_slots + p % s.n_slots, d)];
      };
      Doubles weights;
      for (int64_t p = first; p <= last; ++p) {
        double score = 0;
        for (int64_t i = 0; i < d; ++i) score += query[i] * row(k_cache, p)[i];
        weights.push_back(score * scale);
      }
      const double largest = *std::max_element(weights.begin(), weights.end());
      double total = 0;
      for (double& w : weights) total += w = std::exp(w - largest);
      for (int64_t p = first; p <= last; ++p)
        for (int64_t i = 0; i < d; ++i)
          out[count(t * s.n_heads + h, d) + static_cast<size_t>(i)] +=
              weights[static_cast<size_t>(p - first)] / total * row(v_cache, p)[i];
    }
  return out;
}

class AttentionOnDevice : public OnDevice {
 protected:
  void check(const Shape& s) {
    constexpr double kEps = 1e-6;
    const auto d = static_cast<size_t>(s.head_dim);
    const size_t n_q = count(s.m, s.n_heads, s.head_dim), n_kv = count(s.m, s.n_kv_heads, s.head_dim),
                 n_cache = count(s.n_kv_heads, s.n_slots, s.head_dim);
    const auto q = random_floats(n_q, rng_), k = random_floats(n_kv, rng_), v = random_floats(n_kv, rng_),
               q_norm = random_floats(d, rng_, 0.4f), k_norm = random_floats(d, rng_, 0.4f);
    auto k_cache = random_floats(n_cache, rng_), v_cache = random_floats(n_cache, rng_);
    Doubles periods;
    for (size_t i = 0; i < d / 2; ++i)
      periods.push_back(std::pow(10000.0, 2.0 * static_cast<double>(i) / static_cast<double>(d)));
    const Address cos = poisoned(count(s.m, s.head_dim / 2) * 4), sin = poisoned(count(s.m, s.head_dim / 2) * 4);
    const Address position = put(std::vector<int32_t>{s.position});
    run(&Api::rope_table, RopeTableArgs{put(periods), position, cos, sin, s.m, s.head_dim / 2});
    const AttentionInputArgs input{.q = put(q),
                                   .k = put(k),
                                   .v = put(v),
                                   .q_norm = put(q_norm),
                                   .k_norm = put(k_norm),
                                   .cos = cos,
                                   .sin = sin,
                                   .position = position,
                                   .q_out = poisoned(n_q * 4),
                                   .k_cache = put(k_cache),
                                   .v_cache = put(v_cache),
                                   .element = Element::kF32,
                                   .kv_element = Element::kF32,
                                   .m = s.m,
                                   .n_heads = s.n_heads,
                                   .n_kv_heads = s.n_kv_heads,
                                   .head_dim = s.head_dim,
                                   .n_slots = s.n_slots,
                                   .eps = static_cast<float>(kEps)};
    run(&Api::attention_input, input);

    Doubles q64 = norm_of(widen(q), q_norm, d, kEps), k64 = norm_of(widen(k), k_norm, d, kEps);
    const Doubles v64 = norm_of(widen(v), {}, d, kEps);
    Doubles keys = widen(k_cache), values = widen(v_cache);
    for (int64_t t = 0; t < s.m; ++t) {
      for (int64_t h = 0; h < s.n_heads; ++h)
        rotate(&q64[count(t * s.n_heads + h, s.head_dim)], s.head_dim, periods, s.position + t);
      for (int64_t h = 0; h < s.n_kv_heads; ++h) {
        const size_t from = count(t * s.n_kv_heads + h, s.head_dim);
        rotate(&k64[from], s.head_dim, periods, s.position + t);
        const size_t to = count(h * s.n_slots + (s.position + t) % s.n_slots, s.head_dim);
        std::copy_n(&k64[from], d, &keys[to]);
        std::copy_n(&v64[from], d, &values[to]);
      }
    }
    EXPECT_LE(relative_error(floats(input.q_out, n_q), q64), 1e-5);
    EXPECT_LE(relative_error(floats(input.k_cache, n_cache), keys), 1e-5);
    EXPECT_LE(relative_error(floats(input.v_cache, n_cache), values), 1e-5);

    const AttentionArgs args{.q = input.q_out,
                             .k_cache = input.k_cache,
                             .v_cache = input.v_cache,
                             .position = position,
                             .partial = poisoned(count(s.m, s.n_heads, s.n_splits) * (d + 2) * 4),
                             .out = poisoned(n_q * 4),
                             .kv_element = Element::kF32,
                             .out_element = Element::kF32,
                             .m = s.m,
                             .n_heads = s.n_heads,
                             .n_kv_heads = s.n_kv_heads,
                             .head_dim = s.head_dim,
                             .n_slots = s.n_slots,
                             .window = s.window,
                             .n_splits = s.n_splits,
                             .scale = 0.3f};
    run(&Api::attention, args);
    EXPECT_LE(relative_error(floats(args.out, n_q), attention_of(s, q64, keys, values, 0.3f)), 1e-4)
        << "head_dim " << s.head_dim << " position " << s.position;
  }
};

TEST_P(AttentionOnDevice, HeadSizesGroupsWindowsAndPieces) {
  // m, heads, kv heads, head_dim, slots, window, position, pieces
  check({1, 4, 2, 64, 40, 0, 0, 4});      // one key: most pieces are empty
  check({1, 4, 1, 80, 40, 0, 36, 3});     // a head that is no multiple of 64
  check({3, 8, 2, 128, 64, 0, 20, 2});    // several queries
  check({1, 8, 8, 256, 24, 16, 100, 2});  // a ring that went round, no groups
  check({5, 6, 2, 256, 20, 16, 37, 3});   // queries across the end of the ring; three heads a group
  check({1, 16, 1, 512, 30, 0, 29, 5});   // the largest head, sixteen heads a group
  check({2, 10, 1, 64, 16, 8, 5, 1});     // a window that is not full yet
}

// ---- the end of a step
// ---------------------------------------------------------------------------------------------------

TEST_P(StepsOnDevice, RecordedWorkRunsAtEachReplay) {
  const Address position = put(std::vector<int32_t>{5});
  expect_ok(gpu_->begin_capture());
  run(&Api::advance, AdvanceArgs{position, 3});
  auto graph = gpu_->end_capture();
  ASSERT_TRUE(graph) << graph.error().message;
  EXPECT_EQ(get<int32_t>(position, 1)[0], 5);
  for (int i = 0; i < 4; ++i) expect_ok(gpu_->replay(*graph));
  EXPECT_EQ(get<int32_t>(position, 1)[0], 17);
  gpu_->release(*graph);
}

TEST_P(StepsOnDevice, ReadingTouchesEveryByte) {
  const size_t n = 300000;
  std::vector<uint32_t> data(n);
  for (uint32_t& x : data) x = static_cast<uint32_t>(rng_());
  uint32_t expected = 0, got = 0;
  for (uint32_t x : data) expected ^= x;
  const Address sums = poisoned(kReadChecksums * 4);
  run(&Api::read, ReadArgs{put(data), sums, n * 4});
  for (uint32_t x : get<uint32_t>(sums, kReadChecksums)) got ^= x;
  EXPECT_EQ(got, expected);
}

TESSERA_ON_DEVICES(StepsOnDevice);
TESSERA_ON_DEVICES(AttentionOnDevice);

}  // namespace
}  // namespace tessera::kernels::cuda::testing
