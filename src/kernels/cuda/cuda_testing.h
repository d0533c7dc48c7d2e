// What the tests of the CUDA kernels share: every test runs on the emulated device and, where libtessera_cuda.so and a
// GPU are there, on the GPU; elsewhere the second is skipped and says why.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "base/float16.h"
#include "kernels/cuda/emulator/device.h"
#include "kernels/cuda/gpu.h"
#include "kernels/cuda/library.h"
#include "kernels/emulator/random_operands.h"
#include "test_util.h"

namespace tessera::kernels::cuda::testing {

inline Result<std::shared_ptr<Gpu>> open_gpu(bool emulated) {
  if (emulated) return Gpu::open(emulated_api(), 0);
  return Gpu::open(*TRY(load_library()), 0);
}

class OnDevice : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    auto gpu = open_gpu(std::string(GetParam()) == "emulated");
    if (!gpu) GTEST_SKIP() << "no GPU: " << gpu.error().message;
    gpu_ = std::move(*gpu);
  }
  void TearDown() override {
    const auto expect_zeros = [this](Address from, uint64_t bytes) {
      const auto words = get<uint32_t>(from, bytes / 4);
      EXPECT_EQ(std::ranges::count(words, 0u), std::ssize(words)) << "parts of tiles that nobody took";
    };
    if (parts_ != 0) expect_zeros(parts_, parts_bytes());
    if (matmul_parts_ != 0) expect_zeros(matmul_parts_, kMatmulFlagBytes);
    buffers_.clear();
    gpu_.reset();
  }

  template <typename T>
  Address put(const std::vector<T>& values) {
    return keep(gpu_->upload(std::as_bytes(std::span(values))));
  }
  // Filled with bytes that are NaN in every float type: what a kernel forgets to write, or reads too early, shows.
  Address poisoned(size_t bytes) { return put(std::vector<uint8_t>(bytes, 0xff)); }
  // Scratch of matvec, and of matmul, one for all launches of a test; of the one that takes a form.
  Address parts(Form form) { return form == Form::kF16Tiles ? matmul_parts() : parts(); }
  Address parts() {
    if (parts_ == 0) parts_ = put(std::vector<uint8_t>(parts_bytes()));
    return parts_;
  }
  Address matmul_parts() {
    if (matmul_parts_ != 0) return matmul_parts_;
    std::vector<uint8_t> bytes(kMatmulPartsBytes, 0xff);
    std::fill_n(bytes.begin(), kMatmulFlagBytes, uint8_t{0});
    return matmul_parts_ = put(bytes);
  }
  // Poisoned places for m rows of k in a form.
  Activations empty_form(Form form, int m, int64_t k, int group) {
    const FormBytes n = form_bytes(form, m, static_cast<int32_t>(k), group);
    const auto place = [&](size_t bytes) { return bytes == 0 ? 0 : poisoned(bytes); };
    return {.form = form,
            .m = m,
            .k = static_cast<int32_t>(k),
            .group = group,
            .q = place(n.q),
            .d = place(n.d),
            .sums = place(n.sums),
            .values = place(n.values)};
  }
  // What a kernel left in a form besides its result `x` is what making that form of x gives, to the bit.
  void expect_form_of(Address x, Element element, const Activations& made) {
    const Activations alone = empty_form(made.form, made.m, made.k, made.group);
    run(&Api::activations, ActivationsArgs{.x = x, .element = element, .out = alone});
    const FormBytes bytes = form_bytes(made.form, made.m, made.k, made.group);
    const auto expect_same = [&](Address a, Address b, size_t size) {
      if (size == 0) return;
      const auto got = get<uint8_t>(a, size), expected = get<uint8_t>(b, size);
      const auto differs = std::mismatch(got.begin(), got.end(), expected.begin()).first;
      EXPECT_TRUE(differs == got.end()) << "byte " << differs - got.begin() << " of " << size << ", m " << made.m
                                        << " k " << made.k << " group " << made.group;
    };
    expect_same(made.q, alone.q, bytes.q);
    expect_same(made.d, alone.d, bytes.d);
    expect_same(made.sums, alone.sums, bytes.sums);
    expect_same(made.values, alone.values, bytes.values);
  }
  std::vector<float> floats(Address from, size_t n) {
    std::vector<float> out(n);
    expect_ok(gpu_->download(std::as_writable_bytes(std::span(out)), from));
    return out;
  }
  template <typename T>
  std::vector<T> get(Address from, size_t n) {
    std::vector<T> out(n);
    expect_ok(gpu_->download(std::as_writable_bytes(std::span(out)), from));
    return out;
  }
  // Values as a slot or a cache of this type keeps them.
  Address put_as(const std::vector<float>& values, Element element) {
    if (element == Element::kF32) return put(values);
    std::vector<uint16_t> bits;
    for (const float x : values) bits.push_back(element == Element::kF16 ? to_f16(x).bits : to_bf16(x).bits);
    return put(bits);
  }
  std::vector<float> get_as(Address from, size_t n, Element element) {
    if (element == Element::kF32) return floats(from, n);
    std::vector<float> out;
    for (const uint16_t bits : get<uint16_t>(from, n))
      out.push_back(element == Element::kF16 ? to_f32(F16{bits}) : to_f32(BF16{bits}));
    return out;
  }
  template <typename Args>
  void run(int (*Api::*operation)(Device*, const Args*, Failure*), const Args& args) {
    expect_ok(gpu_->run(operation, args));
  }
  static void expect_ok(const Status& status) { EXPECT_TRUE(status) << status.error().message; }

  std::shared_ptr<Gpu> gpu_;
  std::mt19937_64 rng_ = tessera::testing::fresh_rng();

 private:
  uint64_t parts_bytes() const { return kMatvecPartsBytes; }
  Address keep(Result<Buffer> buffer) {
    EXPECT_TRUE(buffer) << buffer.error().message;
    if (!buffer) return 0;
    buffers_.push_back(std::move(*buffer));
    return buffers_.back().address();
  }
  std::vector<Buffer> buffers_;
  Address parts_ = 0, matmul_parts_ = 0;
};

inline std::vector<float> random_floats(size_t n, std::mt19937_64& rng, float scale = 1) {
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> out(n);
  for (float& x : out) x = normal(rng);
  return out;
}

using Doubles = std::vector<double>;

inline Doubles widen(const std::vector<float>& x) { return {x.begin(), x.end()}; }

// x / sqrt(mean(x^2) + eps) * weight over pieces of n; weight may be empty.
inline Doubles norm_of(const Doubles& x, const std::vector<float>& weight, size_t n, double eps) {
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

// ||got - expected|| / ||expected||; a NaN anywhere gives a NaN, which is smaller than nothing.
inline double relative_error(const std::vector<float>& got, const std::vector<double>& expected) {
  double error = 0, norm = 0;
  EXPECT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size() && i < expected.size(); ++i) {
    error += (static_cast<double>(got[i]) - expected[i]) * (static_cast<double>(got[i]) - expected[i]);
    norm += expected[i] * expected[i];
  }
  return std::sqrt(error / norm);
}

inline std::string device_name(const ::testing::TestParamInfo<const char*>& info) { return info.param; }
#define TESSERA_ON_DEVICES(Suite) \
  INSTANTIATE_TEST_SUITE_P(Devices, Suite, ::testing::Values("emulated", "gpu"), device_name)

}  // namespace tessera::kernels::cuda::testing
