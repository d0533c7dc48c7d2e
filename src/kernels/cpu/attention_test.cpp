#include "kernels/cpu/attention.h"

#include <cmath>

#include "quant/tq4.h"
#include "test_util.h"

namespace tessera::kernels::cpu {
namespace {

using testing::fresh_rng;

struct Case {
  int64_t start, n_tokens, n_heads, n_kv_heads, head_dim, window, n_slots;
  DType dtype = DType::kF32;
};

// Queries of all positions and a history of keys and values by position, from which caches of any layout are filled.
struct Inputs {
  std::vector<float> q, k, v;  // q (positions, n_heads, d); k, v (positions, n_kv_heads, d), already rounded to dtype

  Inputs(std::mt19937_64& rng, const Case& c) {
    const int64_t positions = c.start + c.n_tokens;
    std::normal_distribution<float> normal(0, 1);
    const auto fill = [&](std::vector<float>& x, int64_t n) {
      x.resize(static_cast<size_t>(n));
      for (float& y : x) y = normal(rng);
    };
    fill(q, positions * c.n_heads * c.head_dim);
    fill(k, positions * c.n_kv_heads * c.head_dim);
    fill(v, positions * c.n_kv_heads * c.head_dim);
    for (auto* x : {&k, &v}) {
      std::vector<uint16_t> half(x->size());
      if (c.dtype == DType::kF32) continue;
      const FloatKernels& f = float_kernels(Isa::kScalar);
      f.store(c.dtype, x->data(), half.data(), static_cast<int64_t>(x->size()));
      f.load(c.dtype, half.data(), x->data(), static_cast<int64_t>(x->size()));
    }
  }
};

// The queries of positions [from, to) as attention reads them: heads that share keys together.
std::vector<float> queries(const Inputs& in, const Case& c, int64_t from, int64_t to) {
  const int64_t group = c.n_heads / c.n_kv_heads;
  std::vector<float> out;
  for (int64_t kv_head = 0; kv_head < c.n_kv_heads; ++kv_head)
    for (int64_t p = from; p < to; ++p) {
      const auto first = in.q.begin() + (p * c.n_heads + kv_head * group) * c.head_dim;
      out.insert(out.end(), first, first + group * c.head_dim);
    }
  return out;
}

// A cache holding positions [0, end), later ones over earlier ones; slots nobody wrote are poisoned.
std::vector<std::byte> make_cache(const std::vector<float>& rows, const Case& c, int64_t end) {
  const auto d = static_cast<size_t>(c.head_dim);
  std::vector<float> wide(static_cast<size_t>(c.n_kv_heads * c.n_slots) * d, std::nanf(""));
  for (int64_t p = 0; p < end; ++p)
    for (int64_t head = 0; head < c.n_kv_heads; ++head)
      std::copy_n(rows.begin() + (p * c.n_kv_heads + head) * c.head_dim, d,
                  wide.begin() + (head * c.n_slots + p % c.n_slots) * c.head_dim);
  std::vector<std::byte> out(wide.size() * size_of(c.dtype));
  float_kernels(Isa::kScalar).store(c.dtype, wide.data(), out.data(), static_cast<int64_t>(wide.size()));
  return out;
}

// Tokens [from, to) in one call, the cache as it is when they have been written.
std::vector<float> attend(const Inputs& in, const Case& c, int64_t from, int64_t to, Isa isa, ThreadPool& pool) {
  const auto q = queries(in, c, from, to);
  const auto k = make_cache(in.k, c, to), v = make_cache(in.v, c, to);
  std::vector<float> out(static_cast<size_t>((to - from) * c.n_heads * c.head_dim), -777.0f);
  AttentionScratch scratch;
  attention(pool, float_kernels(isa),
            {.q = q.data(),
             .out = out.data(),
             .k_cache = k.data(),
             .v_cache = v.data(),
             .kv_dtype = c.dtype,
             .n_slots = c.n_slots,
             .start = from,
             .n_tokens = to - from,
             .n_heads = c.n_heads,
             .n_kv_heads = c.n_kv_heads,
             .head_dim = c.head_dim,
             .window = c.window,
             .scale = 0.25f},
            scratch);
  return out;
}

std::vector<double> brute_force(const Inputs& in, const Case& c) {
  std::vector<double> out;
  for (int64_t p = c.start; p < c.start + c.n_tokens; ++p) {
    for (int64_t h = 0; h < c.n_heads; ++h) {
      const int64_t g = h / (c.n_heads / c.n_kv_heads);
      const int64_t first = c.window > 0 ? std::max<int64_t>(0, p - c.window + 1) : 0;
      std::vector<double> score;
      double top = -1e300, sum = 0;
      for (int64_t j = first; j <= p; ++j) {
        double dot = 0;
        for (int64_t i = 0; i < c.head_dim; ++i)
          dot += static_cast<double>(in.q[static_cast<size_t>((p * c.n_heads + h) * c.head_dim + i)]) *
                 in.k[static_cast<size_t>((j * c.n_kv_heads + g) * c.head_dim + i)];
        score.push_back(0.25 * dot);
        top = std::max(top, score.back());
      }
      for (double& s : score) sum += s = std::exp(s - top);
      for (int64_t i = 0; i < c.head_dim; ++i) {
        double value = 0;
        for (int64_t j = first; j <= p; ++j)
          value += score[static_cast<size_t>(j - first)] / sum *
                   in.v[static_cast<size_t>((j * c.n_kv_heads + g) * c.head_dim + i)];
        out.push_back(value);
      }
    }
  }
  return out;
}

const std::vector<Case> kCases = {
    {0, 1, 1, 1, 16, 0, 8},
    {0, 7, 4, 2, 32, 0, 16},
    {5, 33, 8, 1, 48, 0, 64},
    {100, 3, 4, 4, 64, 0, 128, DType::kBF16},
    {0, 40, 4, 2, 32, 8, 47},                 // ring: window + tokens - 1
    {90, 10, 6, 3, 32, 16, 25, DType::kF16},  // wrapped several times
    {1000, 1, 16, 8, 256, 64, 319},
    {300, 17, 2, 1, 512, 0, 400, DType::kBF16},
    {15, 2, 2, 2, 16, 1, 2},  // sees only itself
    // Rows that no power of two divides, heads that no vector's width does.
    {40, 5, 1, 1, 80, 0, 64},
    {40, 11, 3, 3, 112, 24, 64, DType::kF16},
    {61, 7, 3, 1, 144, 0, 80, DType::kBF16},
    // A ring of twice the window: long before its end, around it, and in its second turn.
    {0, 4, 2, 1, 32, 750, 1500},
    {374, 4, 2, 1, 32, 750, 1500},
    {750, 4, 2, 1, 32, 750, 1500, DType::kF16},
    {812, 4, 2, 1, 32, 750, 1500},
    {1496, 4, 2, 1, 32, 750, 1500},
    {1498, 4, 2, 1, 32, 750, 1500, DType::kBF16},
    {2990, 24, 2, 1, 32, 750, 1500, DType::kF16},
    // Several spans of keys, which threads share; tokens that see the last of a span's keys, or the first of the next.
    {kKeySpan - 1, 3, 4, 2, 32, 0, 2 * kKeySpan},
    {4 * kKeySpan - 5, 8, 2, 1, 48, 0, 5 * kKeySpan, DType::kF16},
    {3 * kKeySpan + 7, 16, 1, 1, 64, 2 * kKeySpan, 3 * kKeySpan, DType::kBF16},
    {5 * kKeySpan - 2, 4, 12, 3, 16, kKeySpan + 1, 2 * kKeySpan + 40},
    {2 * kKeySpan - 20, 40, 3, 1, 112, 30, 100},
};

TEST(Attention, EqualsBruteForce) {
  auto rng = fresh_rng();
  for (const Case& c : kCases) {
    const Inputs in(rng, c);
    const auto want = brute_force(in, c);
    for (Isa isa : available_isas()) {
      ThreadPool pool(2);
      const auto got = attend(in, c, c.start, c.start + c.n_tokens, isa, pool);
      double error = 0, norm = 0;
      for (size_t i = 0; i < want.size(); ++i) {
        ASSERT_TRUE(std::isfinite(got[i]));
        error += (got[i] - want[i]) * (got[i] - want[i]);
        norm += want[i] * want[i];
      }
      EXPECT_LT(std::sqrt(error / norm), 2e-6)
          << "start " << c.start << " tokens " << c.n_tokens << " " << name_of(isa);
    }
  }
}

TEST(Attention, DoesNotDependOnThreadsChunksRingSizeOrInstructionSet) {
  auto rng = fresh_rng();
  for (const Case& c : kCases) {
    const Inputs in(rng, c);
    ThreadPool one(1), two(2), three(3);
    const int64_t end = c.start + c.n_tokens;
    const auto want = attend(in, c, c.start, end, Isa::kScalar, one);
    for (Isa isa : available_isas()) {
      EXPECT_EQ(want, attend(in, c, c.start, end, isa, two));
      EXPECT_EQ(want, attend(in, c, c.start, end, isa, three));
      std::vector<float> one_by_one;
      for (int64_t p = c.start; p < end; ++p) {
        const auto row = attend(in, c, p, p + 1, isa, two);
        one_by_one.insert(one_by_one.end(), row.begin(), row.end());
      }
      EXPECT_EQ(want, one_by_one);
    }
    Case larger = c;
    larger.n_slots += 13;
    EXPECT_EQ(want, attend(in, larger, c.start, end, best_isa(), two));
  }
}

// A cache of codes: attention over it is attention over what it decompresses to.
struct CompressedCache {
  std::vector<uint8_t> codes;
  std::vector<BF16> norms;
  std::vector<float> rows;  // decompressed, (n_kv_heads, n_slots, head_dim)

  CompressedCache(const std::vector<float>& values, const Case& c, const quant::Tq4Codebook& codebook)
      : codes(static_cast<size_t>(c.n_kv_heads * c.n_slots * c.head_dim / 2), 0x5a),
        norms(static_cast<size_t>(c.n_kv_heads * c.n_slots), to_bf16(std::nanf(""))),  // slots nobody wrote
        rows(codes.size() * 2) {
    for (int64_t p = 0; p < c.start + c.n_tokens; ++p)
      for (int64_t head = 0; head < c.n_kv_heads; ++head) {
        const int64_t row = head * c.n_slots + p, at = row * c.head_dim;
        norms[static_cast<size_t>(row)] =
            quant::tq4_compress(values.data() + (p * c.n_kv_heads + head) * c.head_dim, c.head_dim,
                                codebook.boundaries.data(), codes.data() + at / 2);
        quant::tq4_decompress(codes.data() + at / 2, to_f32(norms[static_cast<size_t>(row)]), c.head_dim,
                              codebook.centroids.data(), rows.data() + at);
      }
  }
};

TEST(Attention, OverACompressedCacheIsAttentionOverWhatItHolds) {
  auto rng = fresh_rng();
  for (const Case& c : {Case{0, 1, 1, 1, 64, 0, 8}, Case{0, 7, 4, 2, 64, 0, 16}, Case{5, 33, 8, 1, 128, 0, 64},
                        Case{300, 17, 2, 1, 512, 0, 400}, Case{63, 1, 32, 4, 256, 0, 64}}) {
    const Inputs in(rng, c);
    const auto codebook = quant::tq4_codebook(c.head_dim);
    const CompressedCache k(in.k, c, codebook), v(in.v, c, codebook);
    const auto q = queries(in, c, c.start, c.start + c.n_tokens);
    for (Isa isa : available_isas()) {
      ThreadPool pool(2);
      AttentionScratch scratch;
      AttentionArgs args{.q = q.data(),
                         .k_cache = k.rows.data(),
                         .v_cache = v.rows.data(),
                         .n_slots = c.n_slots,
                         .start = c.start,
                         .n_tokens = c.n_tokens,
                         .n_heads = c.n_heads,
                         .n_kv_heads = c.n_kv_heads,
                         .head_dim = c.head_dim,
                         .scale = 0.25f};
      const auto run = [&] {
        std::vector<float> out(static_cast<size_t>(c.n_tokens * c.n_heads * c.head_dim), -777.0f);
        args.out = out.data();
        attention(pool, float_kernels(isa), args, scratch);
        return out;
      };
      const auto want = run();
      args.k_cache = k.codes.data();
      args.v_cache = v.codes.data();
      args.compressed = {.k_norms = k.norms.data(), .v_norms = v.norms.data(), .centroids = codebook.centroids.data()};
      EXPECT_EQ(run(), want) << "start " << c.start << " tokens " << c.n_tokens << " " << name_of(isa);
    }
  }
}

}  // namespace
}  // namespace tessera::kernels::cpu
