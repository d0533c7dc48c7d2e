// What lies between the linears, against plain loops in float64: norms and residuals, soft cap, gelu, rotation, caches
// and attention over them, the position.
#include <algorithm>

#include "base/float16.h"
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
                  .made = {},
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

// What a norm leaves in a linear's form is what making that form of its result gives, to the bit.
TEST_P(StepsOnDevice, NormInTheFormOfALinear) {
  struct Case {
    Form form;
    int32_t m, k, group;
    Element element;
  };
  for (const Case& c : {Case{Form::kInt8, 1, 1536, 256, Element::kBF16}, Case{Form::kInt8, 11, 768, 256, Element::kF32},
                        Case{Form::kInt8, 2, 96, 32, Element::kF16}, Case{Form::kF16Tiles, 17, 288, 0, Element::kBF16},
                        Case{Form::kF16Tiles, 70, 64, 0, Element::kF32}}) {
    const auto n = static_cast<size_t>(c.m * c.k);
    const Address x = put_as(random_floats(n, rng_), c.element), sum = poisoned(n * 4);
    NormArgs args{.x = x, .branch_weight = put(random_floats(static_cast<size_t>(c.k), rng_)), .sum = sum};
    args.made = empty_form(c.form, c.m, c.k, c.group);
    args.element = c.element, args.m = c.m, args.k = c.k, args.scale = 1, args.branch_eps = 1e-6f;
    run(&Api::norm, args);
    const ActivationsArgs alone{.x = sum, .element = c.element, .out = empty_form(c.form, c.m, c.k, c.group)};
    run(&Api::activations, alone);
    const FormBytes bytes = form_bytes(c.form, c.m, c.k, c.group);
    const auto same = [&](Address a, Address b, size_t size) {
      if (size == 0) return;
      const auto got = get<uint8_t>(a, size), expected = get<uint8_t>(b, size);
      const auto differs = std::mismatch(got.begin(), got.end(), expected.begin()).first;
      EXPECT_TRUE(differs == got.end()) << "byte " << differs - got.begin() << " of " << size << ", m " << c.m << " k "
                                        << c.k;
    };
    same(args.made.q, alone.out.q, bytes.q);
    same(args.made.d, alone.out.d, bytes.d);
    same(args.made.sums, alone.out.sums, bytes.sums);
    same(args.made.values, alone.out.values, bytes.values);
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
  Element kv = Element::kF32;
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
                                   .k_cache = put_as(k_cache, s.kv),
                                   .v_cache = put_as(v_cache, s.kv),
                                   .element = Element::kF32,
                                   .kv_element = s.kv,
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
    // Half a unit in the last place of a cache's type.
    const double rounding = s.kv == Element::kF32 ? 1e-5 : s.kv == Element::kF16 ? 5e-4 : 4e-3;
    EXPECT_LE(relative_error(get_as(input.k_cache, n_cache, s.kv), keys), rounding);
    EXPECT_LE(relative_error(get_as(input.v_cache, n_cache, s.kv), values), rounding);
    if (s.kv != Element::kF32) {
      keys = widen(get_as(input.k_cache, n_cache, s.kv));
      values = widen(get_as(input.v_cache, n_cache, s.kv));
    }

    const AttentionArgs args{.q = input.q_out,
                             .k_cache = input.k_cache,
                             .v_cache = input.v_cache,
                             .position = position,
                             .partial = poisoned(count(s.m, s.n_heads, s.n_splits) * (d + 2) * 4),
                             .out = poisoned(n_q * 4),
                             .kv_element = s.kv,
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
    // With 16 bits queries and probabilities are rounded, too.
    const double bound = s.kv == Element::kF32 ? 1e-4 : s.kv == Element::kF16 ? 2e-3 : 1.6e-2;
    EXPECT_LE(relative_error(floats(args.out, n_q), attention_of(s, q64, keys, values, 0.3f)), bound)
        << "m " << s.m << " head_dim " << s.head_dim << " position " << s.position;
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
  check({2, 4, 2, 64, 300, 0, 270, 4});   // pieces that all have keys
}

// Caches of 16 bits, on the tensor cores.
TEST_P(AttentionOnDevice, SixteenBits) {
  for (const Element kv : {Element::kF16, Element::kBF16}) {
    check({1, 4, 2, 64, 400, 0, 0, 4, kv});       // one key: most pieces are empty
    check({1, 4, 1, 80, 300, 0, 250, 3, kv});     // a head that is no multiple of 64
    check({3, 8, 2, 128, 264, 0, 200, 2, kv});    // several queries
    check({1, 8, 8, 256, 200, 150, 700, 2, kv});  // a ring that went round, no groups
    check({40, 4, 2, 256, 111, 72, 500, 1, kv});  // two tiles of rows across the end of the ring
    check({9, 16, 2, 512, 90, 0, 70, 1, kv});     // the largest head, rows that are no multiple of a tile
    check({1, 16, 1, 512, 140, 0, 130, 4, kv});   // sixteen heads a group
    check({70, 2, 1, 64, 96, 0, 5, 1, kv});       // a prompt after a few tokens
    check({2, 10, 1, 64, 160, 80, 50, 1, kv});    // a window that is not full yet
    check({50, 3, 1, 128, 200, 20, 90, 2, kv});   // a window smaller than the tile, three heads a group, two pieces
  }
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
