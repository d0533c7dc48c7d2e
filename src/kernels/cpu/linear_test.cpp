#include "kernels/cpu/linear.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>
#include <string>

#include "kernels/cpu/float_kernels.h"
#include "kernels/cpu/linear_kernels.h"
#include "kernels/cpu/linear_reference.h"
#include "kernels/cpu/linear_testing.h"
#include "quant/code_words.h"
#include "test_util.h"

namespace tessera::kernels::cpu {
namespace {

using quant::GgmlType;
using testing::kPoison;
using testing::random_rows;
using testing::RandomGroups;
using testing::RandomWeight;
using testing::rows_of;
using testing::run;

constexpr int64_t kRows[] = {1, 7, 16, 31, 33, 300};
constexpr int64_t kTokens[] = {0, 1, 2, 3, 4, 5, 8, 9, 12, 13, 15, 16, 17, 19, 33, 50};
constexpr int64_t kMostRows = 300;

// Every output of the reference: (m, n).
std::vector<float> reference(const LinearWeight& weight, const InputRows& x, Arithmetic arithmetic) {
  ThreadPool one(1);
  Activations activations;
  activations.prepare(one, Isa::kScalar, x, weight.forms(arithmetic));
  std::vector<float> out(static_cast<size_t>(x.m * weight.n));
  for (int64_t t = 0; t < x.m; ++t)
    for (int64_t r = 0; r < weight.n; ++r)
      out[static_cast<size_t>(t * weight.n + r)] = dot_reference(weight, r, activations.view(), t);
  return out;
}

struct Case {
  GgmlType type;
  std::vector<int64_t> ks;
  Arithmetic arithmetic;
};

std::string name_of(const ::testing::TestParamInfo<Case>& info) {
  return std::string(quant::find_format(info.param.type)->name) +
         (info.param.arithmetic == Arithmetic::kExact ? "_exact" : "_int8");
}

// The comparisons below mean something.
TEST(Linear, EveryIsaHasKernelsOfItsOwn) {
  for (const Isa a : available_isas())
    for (const Isa b : available_isas()) EXPECT_EQ(&linear_kernels(a) == &linear_kernels(b), a == b);
}

// Every shape of the last rows of a weight against one large reference: an output depends on its row and its token
// alone.
template <typename Weight>
void expect_reference(Weight& weight, int64_t k, std::span<const int64_t> rows, std::span<const int64_t> tokens,
                      Arithmetic arithmetic, std::mt19937_64& rng) {
  ThreadPool two(2);
  const int64_t most_rows = rows.back(), most_tokens = tokens.back();
  const auto x = random_rows(DType::kF32, most_tokens, k, rng);
  const auto expected = reference(weight.last_rows(most_rows), rows_of(x, DType::kF32, most_tokens, k), arithmetic);
  for (const Isa isa : available_isas())
    for (const int64_t n : rows)
      for (const int64_t m : tokens) {
        if (isa == Isa::kScalar && n * m > 64) continue;
        const auto out = run(two, isa, weight.last_rows(n), rows_of(x, DType::kF32, m, k), arithmetic);
        ASSERT_EQ(out.size(), static_cast<size_t>(m * n));
        for (int64_t t = 0; t < m; ++t)
          for (int64_t r = 0; r < n; ++r) {
            const float want = expected[static_cast<size_t>(t * most_rows + most_rows - n + r)];
            const float got = out[static_cast<size_t>(t * n + r)];
            ASSERT_EQ(std::bit_cast<uint32_t>(got), std::bit_cast<uint32_t>(want))
                << cpu::name_of(isa) << " m " << m << " n " << n << " k " << k << " token " << t << " row " << r << ": "
                << got << " expected " << want;
          }
      }
}

class LinearFormat : public ::testing::TestWithParam<Case> {};

TEST_P(LinearFormat, EqualsReferenceBitForBit) {
  std::mt19937_64 rng = tessera::testing::fresh_rng();
  const quant::Format& format = *quant::find_format(GetParam().type);
  for (const int64_t k : GetParam().ks) {
    RandomWeight weight(format, kMostRows, k, rng);
    expect_reference(weight, k, kRows, kTokens, GetParam().arithmetic, rng);
  }
}

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const GgmlType type :
       {GgmlType::kQ2_K, GgmlType::kQ3_K, GgmlType::kQ4_K, GgmlType::kQ5_K, GgmlType::kQ6_K, GgmlType::kIQ1_S,
        GgmlType::kIQ1_M, GgmlType::kIQ2_XXS, GgmlType::kIQ2_XS, GgmlType::kIQ2_S, GgmlType::kIQ3_XXS, GgmlType::kIQ3_S,
        GgmlType::kIQ4_XS, GgmlType::kTQ1_0, GgmlType::kTQ2_0})
    cases.push_back({type, {256, 1280}, Arithmetic::kInt8});
  for (const GgmlType type : {GgmlType::kQ4_0, GgmlType::kQ4_1, GgmlType::kQ5_0, GgmlType::kQ5_1, GgmlType::kQ8_0,
                              GgmlType::kIQ4_NL, GgmlType::kMXFP4})
    cases.push_back({type, {32, 256, 704}, Arithmetic::kInt8});
  for (const GgmlType type : {GgmlType::kNVFP4, GgmlType::kQ2_0})
    cases.push_back({type, {64, 256, 704}, Arithmetic::kInt8});
  cases.push_back({GgmlType::kQ1_0, {128, 256, 896}, Arithmetic::kInt8});
  for (const GgmlType type : {GgmlType::kF32, GgmlType::kF16, GgmlType::kBF16})
    cases.push_back({type, {1, 19, 256, 1300}, Arithmetic::kInt8});
  for (const GgmlType type : {GgmlType::kQ4_K, GgmlType::kQ6_K, GgmlType::kQ8_0, GgmlType::kIQ2_XS, GgmlType::kIQ3_S,
                              GgmlType::kTQ1_0, GgmlType::kNVFP4})
    cases.push_back({type, {256, 1280}, Arithmetic::kExact});
  return cases;
}

INSTANTIATE_TEST_SUITE_P(All, LinearFormat, ::testing::ValuesIn(all_cases()), name_of);

// linear_exact_few.h, and one token too many for it.
TEST(Linear, FewExactTokensOfEveryPackedFormat) {
  std::mt19937_64 rng = tessera::testing::fresh_rng();
  constexpr int64_t rows[] = {1, 15, 70};
  int64_t tokens[kMostFewExactTokens + 1];
  std::iota(std::begin(tokens), std::end(tokens), 1);
  for (const quant::Format& format : quant::all_formats()) {
    if (ActivationForms::of(format, Arithmetic::kInt8).floats) continue;
    for (const int64_t k : {32, 256, 704, 896, 1280}) {
      if (k % format.block_values != 0) continue;
      SCOPED_TRACE(format.name);
      RandomWeight weight(format, rows[2], k, rng);
      expect_reference(weight, k, rows, tokens, Arithmetic::kExact, rng);
      if (HasFatalFailure()) return;
    }
  }
}

// linear_exact.h: every number of tokens that it reads rows in place for, and more than a piece of rows is used for.
TEST(Linear, ExactTokensInPlaceAndOfSeveralPieces) {
  std::mt19937_64 rng = tessera::testing::fresh_rng();
  constexpr int64_t k = 1280, rows[] = {3, 66}, tokens[] = {6, 7, 130, 263};
  for (const GgmlType type : {GgmlType::kF16, GgmlType::kQ4_K}) {
    RandomWeight weight(*quant::find_format(type), rows[1], k, rng);
    expect_reference(weight, k, rows, tokens, Arithmetic::kExact, rng);
  }
}

class LinearGroups : public ::testing::TestWithParam<int> {};  // bits

TEST_P(LinearGroups, EqualReferenceBitForBit) {
  std::mt19937_64 rng = tessera::testing::fresh_rng();
  constexpr int64_t kFewRows[] = {1, 7, 33, 70}, kFewTokens[] = {0, 1, 3, 6, 17};
  for (const int group : {16, 32, 64, 128})
    for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16})
      for (const int64_t k : {group, 512, 512 + group, 768 - group})
        for (const Arithmetic arithmetic : {Arithmetic::kInt8, Arithmetic::kExact}) {
          if (arithmetic == Arithmetic::kExact && group != 64) continue;  // groups of 16 are exact always
          SCOPED_TRACE(fmt::format("groups of {} {}", group, tessera::name_of(dtype)));
          RandomGroups weight(GetParam(), group, dtype, 70, k, rng);
          expect_reference(weight, k, kFewRows, kFewTokens, arithmetic, rng);
          if (HasFatalFailure()) return;
        }
}

INSTANTIATE_TEST_SUITE_P(Bits, LinearGroups, ::testing::Values(2, 3, 4, 5, 6, 8));

// The reference against the dot products, in double, of a weight's values and rows of x: in integer arithmetic an
// activation is off by at most half of its group's largest / 127.
void expect_dot_products(const LinearWeight& weight, const std::vector<double>& values, const std::vector<std::byte>& x,
                         int64_t m) {
  const int64_t k = weight.k, n = weight.n;
  const auto smaller = [](float a, float b) { return std::fabs(a) < std::fabs(b); };
  for (const Arithmetic arithmetic : {Arithmetic::kInt8, Arithmetic::kExact}) {
    const ActivationForms forms = weight.forms(arithmetic);
    const int64_t group = forms.blocks256 ? 256 : 32;
    const auto out = reference(weight, rows_of(x, DType::kF32, m, k), arithmetic);
    for (int64_t t = 0; t < m; ++t)
      for (int64_t r = 0; r < n; ++r) {
        const float* token = reinterpret_cast<const float*>(x.data()) + t * k;
        double dot = 0, bound = 0;
        float amax = 0;
        for (int64_t i = 0; i < k; ++i) {
          if (i % group == 0) amax = std::fabs(*std::max_element(token + i, token + i + group, smaller));
          const double w = values[static_cast<size_t>(r * k + i)];
          dot += w * static_cast<double>(token[i]);
          bound += std::fabs(w) * static_cast<double>(amax);
        }
        bound *= forms.floats ? 1e-5 : 0.5 / 127 + 1e-5;
        EXPECT_NEAR(static_cast<double>(out[static_cast<size_t>(t * n + r)]), dot, bound)
            << "token " << t << " row " << r;
      }
  }
}

// The reference against the meaning of the op, in double, from codes packed by the writer of programs.
TEST(Linear, GroupsMeanScaleTimesCodePlusBias) {
  std::mt19937_64 rng = tessera::testing::fresh_rng();
  constexpr int64_t k = 256, n = 3, m = 2, group = 64;
  const auto x = random_rows(DType::kF32, m, k, rng);
  for (const int bits : {2, 3, 4, 5, 6, 8}) {
    std::vector<uint8_t> codes(n * k);
    for (uint8_t& code : codes) code = static_cast<uint8_t>(rng() % (1u << bits));
    std::vector<uint32_t> words(codes.size() * static_cast<size_t>(bits) / 32);
    quant::pack_codes(codes, bits, words.data());
    std::vector<float> scales(n * k / group), biases(n * k / group);
    std::normal_distribution<float> normal;
    for (float& scale : scales) scale = normal(rng);
    for (float& bias : biases) bias = normal(rng);
    const LinearWeight weight{.data = words.data(),
                              .n = n,
                              .k = k,
                              .groups = {.bits = bits,
                                         .group_size = group,
                                         .dtype = DType::kF32,
                                         .scales = std::as_bytes(std::span(scales)).data(),
                                         .biases = std::as_bytes(std::span(biases)).data()}};
    std::vector<double> values;
    for (size_t at = 0; at < codes.size(); ++at)
      values.push_back(static_cast<double>(scales[at / group]) * codes[at] + static_cast<double>(biases[at / group]));
    SCOPED_TRACE(fmt::format("{} bits", bits));
    expect_dot_products(weight, values, x, m);
  }
}

TEST(Linear, PrefillInChunksEqualsOneByOneAndAnyThreads) {
  std::mt19937_64 rng = tessera::testing::fresh_rng();
  constexpr int64_t k = 512, n = 100, m = kTileTokens + 9;
  RandomWeight weight(*quant::find_format(GgmlType::kQ4_K), n, k, rng);
  const auto x = random_rows(DType::kF32, m, k, rng);
  const float* rows = reinterpret_cast<const float*>(x.data());
  for (const Isa isa : available_isas()) {
    if (isa == Isa::kScalar) continue;
    ThreadPool one(1), three(3);
    const auto whole = run(three, isa, weight.last_rows(n), rows_of(x, DType::kF32, m, k), Arithmetic::kInt8);
    EXPECT_EQ(whole, run(one, isa, weight.last_rows(n), rows_of(x, DType::kF32, m, k), Arithmetic::kInt8));
    for (int64_t t = 0; t < m; t += 40) {
      const InputRows row{.dtype = DType::kF32, .data = rows + t * k, .m = 1, .k = k, .row_stride = k};
      const auto single = run(one, isa, weight.last_rows(n), row, Arithmetic::kInt8);
      EXPECT_TRUE(std::equal(single.begin(), single.end(), whole.begin() + t * n))
          << cpu::name_of(isa) << " token " << t;
    }
  }
}

// The reference against the meaning of the op, in double: int8 rounding keeps within its bound.
TEST(Linear, ReferenceMeansTheDotProduct) {
  std::mt19937_64 rng = tessera::testing::fresh_rng();
  constexpr int64_t k = 512, n = 8, m = 2;
  for (const quant::Format& format : quant::all_formats()) {
    if (!format.dequantize || !format.quantize) continue;
    std::normal_distribution<float> normal;
    std::vector<float> values(n * k), x(m * k), dequantized(n * k);
    for (float& v : values) v = normal(rng);
    for (float& v : x) v = normal(rng);
    std::vector<std::byte> bytes(static_cast<size_t>(format.bytes_for(n * k)));
    format.quantize(values.data(), n * k, bytes.data());
    format.dequantize(bytes.data(), n * k, dequantized.data());
    const LinearWeight weight{.format = &format, .data = bytes.data(), .n = n, .k = k};
    const InputRows rows{.dtype = DType::kF32, .data = x.data(), .m = m, .k = k, .row_stride = k};
    for (const Arithmetic arithmetic : {Arithmetic::kInt8, Arithmetic::kExact}) {
      const auto out = reference(weight, rows, arithmetic);
      for (int64_t t = 0; t < m; ++t)
        for (int64_t r = 0; r < n; ++r) {
          double dot = 0, norm = 0;  // the rounding error of an activation is at most max|x| / 254
          for (int64_t i = 0; i < k; ++i) {
            const double w = dequantized[static_cast<size_t>(r * k + i)];
            dot += w * x[static_cast<size_t>(t * k + i)];
            norm += w * w;
          }
          const double bound = arithmetic == Arithmetic::kExact ? 1e-4 : 5.0 / 254 * std::sqrt(norm) * 3;
          EXPECT_NEAR(out[static_cast<size_t>(t * n + r)], dot, bound) << format.name;
        }
    }
  }
}

// The same of random blocks, also of formats that Tessera does not write.
TEST(Linear, ReferenceMeansTheDotProductOfAnyBlocks) {
  std::mt19937_64 rng = tessera::testing::fresh_rng();
  constexpr int64_t k = 512, n = 8, m = 2;
  const auto x = random_rows(DType::kF32, m, k, rng);
  for (const quant::Format& format : quant::all_formats()) {
    if (!format.dequantize) continue;
    SCOPED_TRACE(format.name);
    RandomWeight weights(format, n, k, rng);
    const LinearWeight weight = weights.last_rows(n);
    std::vector<float> values(n * k);
    format.dequantize(weight.data, n * k, values.data());
    expect_dot_products(weight, {values.begin(), values.end()}, x, m);
  }
}

TEST(Linear, SeveralJobsBiasFactorGateAndDtypes) {
  std::mt19937_64 rng = tessera::testing::fresh_rng();
  constexpr int64_t k = 512, m = 5;
  const quant::Format &q4 = *quant::find_format(GgmlType::kQ4_K), &q6 = *quant::find_format(GgmlType::kQ6_K),
                      &q8 = *quant::find_format(GgmlType::kQ8_0), &f16 = *quant::find_format(GgmlType::kF16);
  RandomWeight a(q4, 70, k, rng), b(q8, 33, k, rng), gate(q6, 50, k, rng), up(f16, 50, k, rng);
  std::vector<float> bias(70);
  for (float& v : bias) v = static_cast<float>(rng() % 100) / 7;
  for (const Isa isa : available_isas())
    for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
      const FloatKernels& floats = float_kernels(isa);
      const auto x = random_rows(dtype, m, k, rng);
      ThreadPool pool(2);
      Activations activations;
      activations.prepare(pool, isa, rows_of(x, dtype, m, k), {.floats = true, .blocks256 = true, .blocks32 = true});
      LinearWeight with_bias = a.last_rows(70);
      with_bias.bias = bias.data();
      with_bias.factor = 0.3f;
      LinearWeight gate_weight = gate.last_rows(50), up_weight = up.last_rows(50);
      gate_weight.factor = -0.7f;
      up_weight.factor = 3.1f;
      std::vector<float> out_b(m * 33);
      std::vector<uint16_t> out_a(m * 70), out_gated(m * 50);
      const LinearJob jobs[] = {
          {.weight = with_bias, .out = {.dtype = DType::kBF16, .data = out_a.data(), .row_stride = 70}},
          {.weight = b.last_rows(33), .out = {.dtype = DType::kF32, .data = out_b.data(), .row_stride = 33}},
          {.weight = up_weight,
           .out = {.dtype = DType::kF16, .data = out_gated.data(), .row_stride = 50},
           .gate = &gate_weight}};
      linear(pool, isa, jobs, activations);

      const auto rows = rows_of(x, dtype, m, k);
      auto want_a = reference(a.last_rows(70), rows, Arithmetic::kInt8);
      for (size_t i = 0; i < want_a.size(); ++i)
        EXPECT_EQ(out_a[i], to_bf16(0.3f * (want_a[i] + bias[i % 70])).bits) << cpu::name_of(isa) << " " << i;
      EXPECT_EQ(out_b, reference(b.last_rows(33), rows, Arithmetic::kInt8));
      auto want_gate = reference(gate_weight, rows, Arithmetic::kInt8);
      auto want = reference(up_weight, rows, Arithmetic::kInt8);
      for (float& v : want_gate) v *= gate_weight.factor;
      for (float& v : want) v *= up_weight.factor;
      floats.gelu_multiply(want_gate.data(), want.data(), want.data(), m * 50);
      for (size_t i = 0; i < want.size(); ++i)
        EXPECT_EQ(out_gated[i], to_f16(want[i]).bits) << cpu::name_of(isa) << " " << i;
    }
}

// The block with its sums in the form of all instruction sets but one.
ActivationBlock256 with_minus_sums(Isa isa, ActivationBlock256 block) {
  if (isa != Isa::kAmx) return block;
  for (int j = 0; j < 16; ++j) {
    const uint32_t parts = block.bf16_sums[j];
    block.minus_sums[j] =
        -static_cast<int32_t>(std::bit_cast<float>(parts << 16) + std::bit_cast<float>(parts & 0xffff0000));
  }
  return block;
}

// AMX takes the kernels of streams for few tokens, with activations of its own.
TEST(Activations, StreamsReadNoMinusSums) {
  const auto isas = available_isas();
  if (std::find(isas.begin(), isas.end(), Isa::kAvx512Streams) == isas.end()) GTEST_SKIP() << "no AVX-512 here";
  std::mt19937_64 rng = tessera::testing::fresh_rng();
  ThreadPool one(1);
  constexpr int64_t k = 512, n = 40;
  for (const quant::Format& format : quant::all_formats()) {
    if (format.block_values != 256 || !ActivationForms::of(format, Arithmetic::kInt8).blocks256) continue;
    RandomWeight weights(format, n, k, rng);
    const LinearWeight weight = weights.last_rows(n);
    for (int64_t m = 1; m <= kMostDistantTokens; ++m) {
      const auto x = random_rows(DType::kF32, m, k, rng);
      Activations activations;
      activations.prepare(one, Isa::kAvx512Streams, rows_of(x, DType::kF32, m, k), weight.forms(Arithmetic::kInt8));
      auto* blocks = const_cast<ActivationBlock256*>(activations.view().blocks256);
      for (int64_t i = 0; i < m * k / 256; ++i) std::fill_n(blocks[i].bf16_sums, 16, kPoison);
      std::vector<float> out(static_cast<size_t>(m * n));
      const LinearJob job{.weight = weight, .out = {.data = out.data(), .row_stride = n}};
      linear(one, Isa::kAvx512Streams, std::span(&job, 1), activations);
      EXPECT_EQ(out, reference(weight, rows_of(x, DType::kF32, m, k), Arithmetic::kInt8)) << format.name << " " << m;
    }
  }
}

TEST(Activations, SameBlocksOnEveryIsa) {
  std::mt19937_64 rng = tessera::testing::fresh_rng();
  ThreadPool pool(2);
  for (const int64_t k : {256, 1280, 96, 704}) {
    for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
      constexpr int64_t m = 50;
      const auto x = random_rows(dtype, m, k, rng);
      const ActivationForms forms{.floats = true, .blocks256 = k % 256 == 0, .blocks32 = true};
      Activations want;
      want.prepare(pool, Isa::kScalar, rows_of(x, dtype, m, k), forms);
      for (const Isa isa : available_isas()) {
        Activations got;
        got.prepare(pool, isa, rows_of(x, dtype, m, k), forms);
        const ActivationView a = got.view(), b = want.view();
        const auto n_cells = static_cast<size_t>((k + 255) / 256 * m);
        if (forms.blocks256) {
          for (size_t i = 0; i < n_cells; ++i) {
            const ActivationBlock256 block = with_minus_sums(isa, a.blocks256[i]);
            EXPECT_EQ(std::memcmp(&block, b.blocks256 + i, offsetof(ActivationBlock256, most_one_sided8) + 2), 0)
                << cpu::name_of(isa);
          }
        }
        EXPECT_EQ(std::memcmp(a.blocks32, b.blocks32, n_cells * sizeof(ActivationBlock32x8)), 0) << cpu::name_of(isa);
        for (int64_t t = 0; t < m; ++t)
          EXPECT_EQ(
              std::memcmp(a.floats + t * a.float_stride, b.floats + t * b.float_stride, static_cast<size_t>(k) * 4), 0);
      }
    }
  }
}

}  // namespace
}  // namespace tessera::kernels::cpu
