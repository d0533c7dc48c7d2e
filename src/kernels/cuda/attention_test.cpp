// Attention with its norms, rotation and caches, against plain loops in float64.
#include <algorithm>

#include "kernels/cuda/cuda_testing.h"

namespace tessera::kernels::cuda::testing {
namespace {

struct Shape {
  int32_t m, n_heads, n_kv_heads, head_dim, n_slots, window, position, n_splits;
  Element kv = Element::kF32;
  bool owns_cache = true;
  Element element = Element::kF32;  // of q, k, v and the output
};
size_t count(int64_t a, int64_t b, int64_t c = 1) { return static_cast<size_t>(a * b * c); }
// Half a unit in the last place of a type, and some.
double rounding_of(Element element) { return element == Element::kF32 ? 1e-5 : element == Element::kF16 ? 5e-4 : 4e-3; }

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
  void check(const Shape& s);
};

void AttentionOnDevice::check(const Shape& s) {
  SCOPED_TRACE(::testing::Message() << "m " << s.m << " heads " << s.n_heads << " / " << s.n_kv_heads << " of "
                                    << s.head_dim << " window " << s.window << " position " << s.position);
  constexpr double kEps = 1e-6;
  constexpr float kScale = 0.3f;
  const auto d = static_cast<size_t>(s.head_dim);
  const size_t n_q = count(s.m, s.n_heads, s.head_dim), n_kv = count(s.m, s.n_kv_heads, s.head_dim),
               n_cache = count(s.n_kv_heads, s.n_slots, s.head_dim),
               n_counters = count(s.n_kv_heads, kAttentionCounters);
  const auto q = random_floats(n_q, rng_), k = random_floats(n_kv, rng_), v = random_floats(n_kv, rng_),
             q_norm = random_floats(d, rng_, 0.4f), k_norm = random_floats(d, rng_, 0.4f);
  auto k_cache = random_floats(n_cache, rng_), v_cache = random_floats(n_cache, rng_);
  Doubles periods;
  for (size_t i = 0; i < d / 2; ++i)
    periods.push_back(std::pow(10000.0, 2.0 * static_cast<double>(i) / static_cast<double>(d)));
  const Address cos = poisoned(count(s.m, s.head_dim / 2) * 4), sin = poisoned(count(s.m, s.head_dim / 2) * 4);
  const Address position = put(std::vector<int32_t>{s.position});
  run(&Api::rope_table, RopeTableArgs{put(periods), position, cos, sin, s.m, s.head_dim / 2});
  AttentionArgs args{.q = put_as(q, s.element),
                     .k = s.owns_cache ? put_as(k, s.element) : 0,
                     .v = s.owns_cache ? put_as(v, s.element) : 0,
                     .q_norm = put(q_norm),
                     .k_norm = put(k_norm),
                     .cos = cos,
                     .sin = sin,
                     .position = position,
                     .k_cache = put_as(k_cache, s.kv),
                     .v_cache = put_as(v_cache, s.kv),
                     .queries = poisoned(n_q * 4),
                     .partial = poisoned(attention_partial_bytes(s.m * s.n_heads, s.n_splits, s.head_dim)),
                     .counters = put(std::vector<uint32_t>(n_counters)),
                     .out = poisoned(n_q * 4),
                     .element = s.element,
                     .kv_element = s.kv,
                     .out_element = s.element,
                     .m = s.m,
                     .n_heads = s.n_heads,
                     .n_kv_heads = s.n_kv_heads,
                     .head_dim = s.head_dim,
                     .n_slots = s.n_slots,
                     .window = s.window,
                     .n_splits = s.n_splits,
                     .eps = static_cast<float>(kEps),
                     .scale = kScale,
                     .made = {}};
  expect_ok(gpu_->synchronize());  // the rotation is older than the launch before (api.h)
  run(&Api::attention, args);
  const auto out = get_as(args.out, n_q, s.element);

  // As the inputs' type kept them.
  const auto widen_as = [&](const std::vector<float>& x, Element element) {
    return widen(get_as(put_as(x, element), x.size(), element));
  };
  Doubles q64 = norm_of(widen_as(q, s.element), q_norm, d, kEps),
          k64 = norm_of(widen_as(k, s.element), k_norm, d, kEps);
  const Doubles v64 = norm_of(widen_as(v, s.element), {}, d, kEps);
  Doubles keys = widen(k_cache), values = widen(v_cache);
  for (int64_t t = 0; t < s.m; ++t) {
    for (int64_t h = 0; h < s.n_heads; ++h)
      rotate(&q64[count(t * s.n_heads + h, s.head_dim)], s.head_dim, periods, s.position + t);
    for (int64_t h = 0; h < s.n_kv_heads && s.owns_cache; ++h) {
      const size_t from = count(t * s.n_kv_heads + h, s.head_dim);
      rotate(&k64[from], s.head_dim, periods, s.position + t);
      const size_t to = count(h * s.n_slots + (s.position + t) % s.n_slots, s.head_dim);
      std::copy_n(&k64[from], d, &keys[to]);
      std::copy_n(&v64[from], d, &values[to]);
    }
  }
  EXPECT_LE(relative_error(get_as(args.k_cache, n_cache, s.kv), keys), rounding_of(s.kv));
  EXPECT_LE(relative_error(get_as(args.v_cache, n_cache, s.kv), values), rounding_of(s.kv));
  if (s.kv != Element::kF32) {
    keys = widen(get_as(args.k_cache, n_cache, s.kv));
    values = widen(get_as(args.v_cache, n_cache, s.kv));
  }
  // With 16 bits queries and probabilities are rounded, too.
  const double bound = s.kv == Element::kF32 ? 1e-4 : s.kv == Element::kF16 ? 2e-3 : 1.6e-2;
  EXPECT_LE(relative_error(out, attention_of(s, q64, keys, values, static_cast<double>(kScale))),
            bound + rounding_of(s.element));

  // Again, with what the first run left: the same to the bit.
  EXPECT_EQ(get<uint32_t>(args.counters, n_counters), std::vector<uint32_t>(n_counters));
  args.out = poisoned(n_q * 4);
  run(&Api::attention, args);
  EXPECT_EQ(get_as(args.out, n_q, s.element), out);

  // And in the form of the linear after it, from whichever kernel.
  if (s.m > kMaxVecTokens) return;
  for (const int32_t group : {256, 32}) {
    if (s.n_heads * s.head_dim % group != 0) continue;
    args.made = empty_form(Form::kInt8, s.m, s.n_heads * s.head_dim, group);
    args.out = poisoned(n_q * 4);
    run(&Api::attention, args);
    EXPECT_EQ(get_as(args.out, n_q, s.element), out);
    expect_form_of(args.out, s.element, args.made);
  }
}

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

// Many tokens over caches of 16 bits, on the tensor cores.
TEST_P(AttentionOnDevice, Prefill) {
  for (const Element kv : {Element::kF16, Element::kBF16}) {
    check({130, 1, 1, 128, 130, 0, 0, 1, kv, true, Element::kBF16});    // from the first token on, two tiles of rows
    check({70, 2, 1, 64, 96, 0, 5, 1, kv});                             // a prompt after a few tokens
    check({80, 4, 2, 256, 300, 130, 260, 1, kv, true, Element::kF16});  // a window, keys across the end of the ring
    check({40, 4, 2, 256, 111, 72, 500, 1, kv, true, Element::kBF16});  // a ring that went round
    check({9, 16, 2, 512, 90, 0, 70, 1, kv, true, Element::kBF16});     // the largest head, a second tile of few rows
    check({20, 4, 2, 72, 100, 0, 9, 1, kv, true, Element::kF16});       // a head that is no multiple of 64
    check({17, 2, 2, 128, 60, 0, 30, 1, kv, false});                    // a cache of another layer
    check({50, 3, 1, 128, 200, 20, 90, 1, kv});                         // a window smaller than a tile, three heads
    check({20, 16, 16, 64, 40, 0, 20, 1, kv});                          // more KV heads than are worked on at once
  }
}

// Pieces of the keys, some without a key for some rows.
TEST_P(AttentionOnDevice, PrefillInPieces) {
  check({50, 3, 1, 128, 200, 20, 90, 2, Element::kBF16, true, Element::kBF16});
  check({33, 16, 1, 64, 400, 0, 350, 3, Element::kF16});
  check({20, 8, 1, 512, 200, 60, 400, 2, Element::kBF16});
  check({12, 4, 2, 256, 320, 300, 1000, 4, Element::kF16, true, Element::kF16});
  check({12, 32, 16, 64, 200, 0, 150, 2, Element::kBF16});
}

// A decode step, which is one launch.
TEST_P(AttentionOnDevice, Decode) {
  for (const Element kv : {Element::kF16, Element::kBF16}) {
    for (const int32_t position : {0, 1, 63, 64}) check({1, 4, 2, 256, 65, 0, position, 4, kv});
    check({1, 4, 1, 80, 300, 0, 250, 3, kv});                         // a head that is no multiple of 64
    check({1, 2, 2, 64, 700, 0, 680, 4, kv});                         // no groups, several pieces
    check({1, 8, 8, 256, 200, 150, 700, 2, kv});                      // a ring that went round
    check({1, 2, 1, 256, 600, 600, 5000, 8, kv});                     // the same, in pieces
    check({1, 16, 1, 512, 340, 0, 330, 4, kv});                       // the largest head, two tiles of rows
    check({1, 5, 1, 512, 200, 0, 150, 4, kv, true, Element::kBF16});  // rows that do not fill a tile
    check({3, 8, 2, 128, 564, 0, 511, 3, kv});                        // several tokens, across two pieces
    check({2, 12, 2, 128, 400, 300, 777, 2, kv});                     // a window, six heads a group
    check({4, 4, 2, 128, 33, 16, 37, 3, kv});                         // tokens across the end of the ring
    check({1, 4, 2, 256, 400, 0, 333, 2, kv, false});                 // a cache of another layer
    check({2, 4, 1, 64, 100, 0, 20, 2, kv, false, Element::kF16});
    check({2, 8, 1, 256, 500, 0, 290, 3, kv, true, Element::kF16});  // several tokens, two tiles, pieces
  }
}

// So many pieces that they are joined in two steps.
TEST_P(AttentionOnDevice, DecodeInManyPieces) {
  check({1, 2, 1, 64, 2400, 0, 2390, 64, Element::kBF16});
  check({1, 8, 1, 512, 700, 0, 640, 33, Element::kF16});
  check({2, 6, 1, 64, 1500, 1200, 3000, 10, Element::kF16});
}

TESSERA_ON_DEVICES(AttentionOnDevice);

}  // namespace
}  // namespace tessera::kernels::cuda::testing
