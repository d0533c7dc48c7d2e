#include "kernels/cpu/float_kernels.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/cpu/math.h"
#include "kernels/cpu/scalar/f32x16.h"
#include "quant/tq4.h"
#include "test_util.h"

namespace tessera::kernels::cpu {
namespace {

using testing::fresh_rng;

constexpr float kPoison = -12345.678f;
// Around the vector width, and one of a real size.
const std::vector<int64_t> kLengths = {1, 2, 7, 15, 16, 17, 31, 32, 33, 63, 64, 100, 256, 2560};

std::vector<float> random_floats(std::mt19937_64& rng, int64_t n, float scale = 1) {
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> out(static_cast<size_t>(n));
  for (float& x : out) x = normal(rng);
  return out;
}

std::vector<Isa> vector_isas() {
  std::vector<Isa> out;
  for (Isa isa : available_isas())
    if (isa != Isa::kScalar) out.push_back(isa);
  return out;
}

void expect_same_bits(const std::vector<float>& a, const std::vector<float>& b, const std::string& what) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i)
    ASSERT_EQ(std::bit_cast<uint32_t>(a[i]), std::bit_cast<uint32_t>(b[i]))
        << what << " at " << i << ": " << a[i] << " " << b[i];
}

double exact_gelu(double x) {
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
}

TEST(Math, IsAccurateOverTheRange) {
  using V = scalar::F32x16;
  for (double x = -90; x < 88; x += 0.0137) {
    const auto f = static_cast<float>(x);
    const double want = std::exp(static_cast<double>(f));
    if (want > 1e-37) {
      EXPECT_NEAR(exp(V::set(f)).v[0] / want, 1.0, 3e-7) << x;
    }
    if (f != 0) {
      EXPECT_NEAR(tanh(V::set(f)).v[0] / std::tanh(static_cast<double>(f)), 1.0, 3e-7) << x;
    }
    EXPECT_NEAR(gelu_tanh(V::set(f)).v[0], exact_gelu(f), 4e-7 * std::max(1.0, std::fabs(x))) << x;
  }
  const float inf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(exp(V::set(-inf)).v[0], 0);
  EXPECT_EQ(exp(V::set(0)).v[0], 1);
  EXPECT_EQ(tanh(V::set(1000)).v[0], 1);
  EXPECT_EQ(tanh(V::set(-1000)).v[0], -1);
  EXPECT_EQ(tanh(V::set(1e-30f)).v[0], 1e-30f);
  EXPECT_NEAR(gelu_tanh(V::set(-1000)).v[0], 0, 1e-30);
  EXPECT_EQ(gelu_tanh(V::set(1000)).v[0], 1000);
}

TEST(FloatKernels, EveryInstructionSetGivesTheSameBits) {
  auto rng = fresh_rng();
  const FloatKernels& want = float_kernels(Isa::kScalar);
  for (Isa isa : vector_isas()) {
    const FloatKernels& got = float_kernels(isa);
    for (int64_t n : kLengths) {
      const auto x = random_floats(rng, n, 3), w = random_floats(rng, n);
      std::vector<float> a(x.size() + 1, kPoison), b = a;
      const auto compare = [&](const char* what, auto call) {
        std::fill(a.begin(), a.end(), kPoison);
        std::fill(b.begin(), b.end(), kPoison);
        call(want, a.data());
        call(got, b.data());
        ASSERT_EQ(b.back(), kPoison) << what << ": wrote past the end, n = " << n;
        expect_same_bits(a, b, std::string(what) + " on " + std::string(name_of(isa)) + ", n = " + std::to_string(n));
        for (int64_t i = 0; i < n; ++i)
          ASSERT_NE(b[static_cast<size_t>(i)], kPoison) << what << ": value " << i << " not written";
      };
      compare("rms_norm", [&](const FloatKernels& k, float* y) { k.rms_norm(x.data(), w.data(), 1e-6f, y, n); });
      compare("rms_norm without weight",
              [&](const FloatKernels& k, float* y) { k.rms_norm(x.data(), nullptr, 1e-6f, y, n); });
      compare("add", [&](const FloatKernels& k, float* y) { k.add(x.data(), w.data(), y, n); });
      compare("multiply", [&](const FloatKernels& k, float* y) { k.multiply(x.data(), w.data(), y, n); });
      compare("scale", [&](const FloatKernels& k, float* y) { k.scale(x.data(), 1.7f, y, n); });
      compare("gelu_multiply", [&](const FloatKernels& k, float* y) { k.gelu_multiply(x.data(), w.data(), y, n); });
      compare("soft_cap", [&](const FloatKernels& k, float* y) { k.soft_cap(x.data(), 30, y, n); });
    }
  }
}

TEST(FloatKernels, RmsNormIsTheFormula) {
  auto rng = fresh_rng();
  for (Isa isa : available_isas()) {
    for (int64_t n : kLengths) {
      const auto x = random_floats(rng, n), w = random_floats(rng, n);
      std::vector<float> y(x.size());
      float_kernels(isa).rms_norm(x.data(), w.data(), 1e-6f, y.data(), n);
      double squares = 0;
      for (float v : x) squares += static_cast<double>(v) * v;
      const double factor = 1 / std::sqrt(squares / static_cast<double>(n) + 1e-6);
      for (size_t i = 0; i < y.size(); ++i)
        EXPECT_NEAR(y[i], x[i] * factor * w[i], 1e-6 * (1 + std::fabs(x[i] * factor * w[i])));
    }
  }
}

TEST(FloatKernels, RopeRotatesPairsHalfAHeadApart) {
  auto rng = fresh_rng();
  for (Isa isa : available_isas()) {
    for (int64_t half : {1, 5, 8, 16, 24, 32, 128, 256}) {
      const auto x = random_floats(rng, 2 * half);
      const auto angle = random_floats(rng, half, 10);
      std::vector<float> cos, sin, y = x;
      for (float a : angle) {
        cos.push_back(std::cos(a));
        sin.push_back(std::sin(a));
      }
      float_kernels(isa).rope(y.data(), cos.data(), sin.data(), half);
      for (size_t i = 0; i < static_cast<size_t>(half); ++i) {
        const double a = x[i], b = x[i + static_cast<size_t>(half)];
        EXPECT_NEAR(y[i], a * cos[i] - b * sin[i], 2e-6);
        EXPECT_NEAR(y[i + static_cast<size_t>(half)], a * sin[i] + b * cos[i], 2e-6);
      }
    }
  }
}

TEST(FloatKernels, CompressedVectorsHaveTheBitsOfTheReference) {
  auto rng = fresh_rng();
  for (Isa isa : available_isas())
    for (int64_t n : {64, 128, 256, 512, 1024}) {
      const auto codebook = quant::tq4_codebook(n);
      std::vector<uint8_t> codes(static_cast<size_t>(n / 2));
      for (uint8_t& byte : codes) byte = static_cast<uint8_t>(rng());
      std::vector<float> want(static_cast<size_t>(n)), got(static_cast<size_t>(n) + 1, kPoison);
      quant::tq4_decompress(codes.data(), 7.25f, n, codebook.centroids.data(), want.data());
      float_kernels(isa).tq4_decompress(codes.data(), 7.25f, codebook.centroids.data(), got.data(), n);
      ASSERT_EQ(got.back(), kPoison);
      got.pop_back();
      expect_same_bits(want, got, std::string(name_of(isa)) + ", n = " + std::to_string(n));
    }
}

TEST(FloatKernels, LoadAndStoreRoundToNearestEven) {
  auto rng = fresh_rng();
  const float inf = std::numeric_limits<float>::infinity();
  for (Isa isa : available_isas()) {
    const FloatKernels& k = float_kernels(isa);
    for (int64_t n : kLengths) {
      auto x = random_floats(rng, n, 100);
      for (float& v : x)
        if (rng() % 8 == 0)
          v = std::array<float, 8>{inf, -inf, 0.0f, -0.0f, 1e-7f, 65504.0f, 65520.0f, 1e30f}[rng() % 8];
      std::vector<uint16_t> half(x.size() + 1, 0x1234);
      std::vector<float> back(x.size());
      k.store(DType::kF16, x.data(), half.data(), n);
      EXPECT_EQ(half.back(), 0x1234);
      k.load(DType::kF16, half.data(), back.data(), n);
      for (size_t i = 0; i < x.size(); ++i) {
        ASSERT_EQ(half[i], to_f16(x[i]).bits) << x[i] << " " << name_of(isa);
        ASSERT_EQ(std::bit_cast<uint32_t>(back[i]), std::bit_cast<uint32_t>(to_f32(F16{half[i]})));
      }
      k.store(DType::kBF16, x.data(), half.data(), n);
      k.load(DType::kBF16, half.data(), back.data(), n);
      for (size_t i = 0; i < x.size(); ++i) {
        ASSERT_EQ(half[i], to_bf16(x[i]).bits) << x[i] << " " << name_of(isa);
        ASSERT_EQ(std::bit_cast<uint32_t>(back[i]), std::bit_cast<uint32_t>(to_f32(BF16{half[i]})));
      }
    }
    const float nan = std::numeric_limits<float>::quiet_NaN();
    uint16_t bits = 0;
    k.store(DType::kBF16, &nan, &bits, 1);
    EXPECT_TRUE(std::isnan(to_f32(BF16{bits})));
  }
}

}  // namespace
}  // namespace tessera::kernels::cpu
