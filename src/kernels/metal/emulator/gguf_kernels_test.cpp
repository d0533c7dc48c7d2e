// The Metal text of the fused kernels, emulated, against the native kernels and the scalar reference.
#include "kernels/metal/emulator/gguf_kernels.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "kernels/emulator/random_operands.h"
#include "kernels/metal/emulator/trial.h"
#include "ops/elements.h"
#include "ops/gguf_embedding.h"
#include "ops/gguf_linear.h"
#include "test_util.h"

namespace tessera::kernels::emulator {
namespace {

using kernels::metal::Op;
using ops::Tensor;
using quant::GgmlType;
using tessera::testing::fresh_rng;

constexpr GgmlType kFormats[] = {GgmlType::kQ4_K, GgmlType::kQ5_K, GgmlType::kQ6_K};
constexpr DType kFloats[] = {DType::kF32, DType::kF16, DType::kBF16};

// The errors ExecuTorch's tests of these kernels allow, relative and absolute. They know mat-mat to K = 1024, Q6_K's
// further, and for half to 256: past that its roundings add up to more.
double inventory_tolerance(const Trial& trial) {
  if (trial.kernel.op == Op::kEmbedding) return 2e-2;
  if (trial.kernel.op == Op::kMatmul) {
    if (trial.k > 1024 && trial.kernel.format != GgmlType::kQ6_K) return INFINITY;
    if (trial.k > 256 || trial.out == DType::kF32) return 2e-2;
  }
  if (trial.out == DType::kBF16) return 2e-2;
  if (trial.out == DType::kF16) return trial.kernel.format == GgmlType::kQ5_K ? 2e-2 : 5e-3;
  return 1e-4;
}

std::string describe(const Trial& t) {
  constexpr const char* kOps[] = {"matvec", "matmul", "embedding"};
  return fmt::format("{} {}{} {} -> {}, {} x {} x {}", quant::find_format(t.kernel.format)->name,
                     kOps[static_cast<int>(t.kernel.op)], t.kernel.has_bias ? " bias" : "", name_of(t.in),
                     name_of(t.out), t.rows, t.n, t.k);
}

class MetalKernels : public ::testing::Test {
 protected:
  void expect_good(const Trial& trial) {
    SCOPED_TRACE(describe(trial));
    const auto samples = run_trial(trial, pool_, rng_);
    ASSERT_TRUE(samples.has_value()) << samples.error().message;
    EXPECT_FALSE(samples->empty());
    EXPECT_LE(errors_of(*samples).of_bound, 1.0);
    if (trial.has_large_rows) return;
    const double tolerance = inventory_tolerance(trial);
    for (const Sample& sample : *samples)
      ASSERT_LE(std::fabs(sample.got - sample.expected), tolerance * (1 + std::fabs(sample.expected)));
  }
  // Every format, with bias or without.
  void expect_good_linears(Trial trial) {
    trial.kernel.op = trial.rows == 1 ? Op::kMatvec : Op::kMatmul;
    for (const GgmlType format : kFormats)
      for (const bool has_bias : {false, true}) {
        trial.kernel.format = format;
        trial.kernel.has_bias = has_bias;
        expect_good(trial);
      }
  }

  std::mt19937_64 rng_ = fresh_rng();
  ThreadPool pool_{1};
};

TEST_F(MetalKernels, EveryDtypeInAndOut) {
  for (const int64_t rows : {1, 33})
    for (const DType in : kFloats)
      for (const DType out : kFloats) {
        Trial trial{.in = in, .out = out, .bias = in, .rows = rows, .n = 70, .k = 512};
        if (in == out) {
          expect_good_linears(trial);
        } else {
          trial.kernel = {GgmlType::kQ4_K, rows == 1 ? Op::kMatvec : Op::kMatmul, true};
          expect_good(trial);
          trial.kernel.format = GgmlType::kQ5_K;
          expect_good(trial);
        }
      }
}

TEST_F(MetalKernels, RowsOfXAroundTheTile) {
  for (const int64_t rows : {2, 4, 8, 31, 32, 33, 40, 64, 65, 128})
    expect_good_linears({.rows = rows, .n = 300, .k = 256, .max_row_groups = 2});
}

TEST_F(MetalKernels, RowsOfTheWeightAroundTheTile) {
  for (const int64_t n : {1, 2, 3, 4, 5, 7, 63, 64, 65, 127, 128, 129, 300}) {
    expect_good_linears({.rows = 1, .n = n, .k = 256, .max_row_groups = 100});
    expect_good_linears({.rows = 5, .n = n, .k = 256, .max_row_groups = 100});
  }
}

TEST_F(MetalKernels, EveryNumberOfBlocks) {  // a SIMD group of mat-vec walks four at a time
  for (const int64_t k : {256, 512, 768, 1024, 1280, 2304, 2560}) {
    expect_good_linears({.in = DType::kF32, .out = DType::kF32, .bias = DType::kF32, .rows = 1, .n = 6, .k = k});
    expect_good_linears({.in = DType::kF16, .out = DType::kF16, .bias = DType::kF16, .rows = 3, .n = 6, .k = k});
  }
}

TEST_F(MetalKernels, ProductionShapes) {
  struct Size {
    int64_t rows, n, k;
  };
  for (const Size s : {Size{1, 512, 512}, Size{1, 512, 1024}, Size{1, 4096, 5376}, Size{1, 5376, 21504},
                       Size{1, 16384, 5376}, Size{1, 5376, 5376}, Size{8, 512, 512}, Size{64, 512, 512},
                       Size{128, 512, 512}, Size{8, 21504, 5376}, Size{8, 5376, 21504}}) {
    Trial trial{.rows = s.rows, .n = s.n, .k = s.k, .max_row_groups = 3};
    trial.kernel.op = s.rows == 1 ? Op::kMatvec : Op::kMatmul;
    for (const GgmlType format : kFormats) {
      trial.kernel.format = format;
      expect_good(trial);
    }
  }
}

TEST_F(MetalKernels, RowsPastTheRangeOfHalf) {
  for (const DType dtype : {DType::kBF16, DType::kF32})
    for (const int64_t rows : {2, 5, 40})
      expect_good_linears(
          {.in = dtype, .out = dtype, .bias = dtype, .rows = rows, .n = 65, .k = 1024, .has_large_rows = true});
}

TEST_F(MetalKernels, Embeddings) {
  struct Size {
    int64_t ids, vocab, k;
  };
  for (const Size s : {Size{1, 512, 256}, Size{8, 300, 512}, Size{64, 2048, 1024}, Size{4, 300, 5376}, Size{6, 1, 256}})
    for (const GgmlType format : kFormats)
      for (const DType out : kFloats)
        for (const DType ids : {DType::kI32, DType::kI64})
          expect_good({.kernel = {format, Op::kEmbedding, false},
                       .in = ids,
                       .out = out,
                       .rows = s.ids,
                       .n = s.vocab,
                       .k = s.k});
}

std::vector<int64_t> all_rows(int64_t n) {
  std::vector<int64_t> rows;
  for (int64_t i = 0; i < n; ++i) rows.push_back(i);
  return rows;
}

// The same bytes `shift` further from an aligned address.
Tensor shifted(const Tensor& tensor, int64_t shift) {
  Tensor room = Tensor::allocate(DType::kU8, {static_cast<int64_t>(tensor.n_bytes()) + shift}).value();
  std::memcpy(room.data + shift, tensor.data, tensor.n_bytes());
  return Tensor::borrow(tensor.dtype, tensor.shape, room.data + shift, room.owner);
}

Launch linear_launch(GgmlType format, const Tensor& x, const Tensor& weight, DType out) {
  const int64_t rows = x.shape[0];
  Launch launch;
  launch.kernel = {format, rows == 1 ? Op::kMatvec : Op::kMatmul, false};
  launch.input = x;
  launch.weight = weight;
  launch.out = Tensor::allocate(out, {rows, weight.shape[0]}).value();
  launch.grid = grid_of(launch.kernel, rows, weight.shape[0], x.shape.back());
  return launch;
}

TEST_F(MetalKernels, ViewsAtAnyEvenAddress) {
  for (const GgmlType type : kFormats)
    for (const int64_t rows : {1, 3}) {
      const quant::Format& format = *quant::find_format(type);
      const Tensor weight = random_weight(format, 70, 512, all_rows(70), rng_);
      const Tensor x = random_activations(DType::kF32, rows, 512, false, rng_);
      const Launch aligned = linear_launch(type, x, weight, DType::kF32);
      ASSERT_TRUE(run(aligned, all_groups(aligned.grid)).has_value());
      for (const int64_t shift : {2, 4, 6, 10, 210}) {
        const Launch launch = linear_launch(type, x, shifted(weight, shift), DType::kF32);
        ASSERT_TRUE(run(launch, all_groups(launch.grid)).has_value());
        EXPECT_EQ(std::memcmp(launch.out.data, aligned.out.data, aligned.out.n_bytes()), 0);
      }
      const Launch odd = linear_launch(type, x, shifted(weight, 1), DType::kF32);
      const Status status = run(odd, all_groups(odd.grid));
      ASSERT_FALSE(status.has_value());
      EXPECT_NE(status.error().message.find("of weight, whose address is no multiple of 2"), std::string::npos)
          << status.error().message;
    }
}

// Mat-vec against ops::gguf_linear, the definition, rather than the vector kernels.
TEST_F(MetalKernels, MatvecEqualsTheDefinition) {
  for (const GgmlType type : kFormats) {
    const quant::Format& format = *quant::find_format(type);
    const Tensor weight = random_weight(format, 37, 768, all_rows(37), rng_);
    const Tensor x = random_activations(DType::kF32, 1, 768, false, rng_);
    const Launch launch = linear_launch(type, x, weight, DType::kF32);
    ASSERT_TRUE(run(launch, all_groups(launch.grid)).has_value());
    const Tensor expected = ops::gguf_linear(x, weight, format, nullptr, DType::kF32).value();
    for (int64_t i = 0; i < 37; ++i)
      EXPECT_NEAR(ops::element<double>(launch.out, i), ops::element<double>(expected, i), 1e-3) << format.name;
  }
}

TEST_F(MetalKernels, EmbeddingEqualsTheReferenceBitForBit) {
  for (const GgmlType type : kFormats) {
    const quant::Format& format = *quant::find_format(type);
    Launch launch;
    launch.kernel = {type, Op::kEmbedding, false};
    launch.weight = random_weight(format, 9, 512, all_rows(9), rng_);
    launch.input = Tensor::allocate(DType::kI32, {2, 3}).value();
    const int64_t ids[] = {0, 3, 8, 1, 3, 7};
    ops::store(ids, 6, launch.input, 0);
    launch.out = Tensor::allocate(DType::kF32, {2, 3, 512}).value();
    launch.grid = grid_of(launch.kernel, 6, 9, 512);
    ASSERT_TRUE(run(launch, all_groups(launch.grid)).has_value());
    const Tensor expected = ops::gguf_embedding(launch.weight, format, launch.input, DType::kF32).value();
    EXPECT_EQ(std::memcmp(launch.out.data, expected.data, expected.n_bytes()), 0) << format.name;
  }
}

// Rows around 1e30 and 1e-30 beside ordinary ones: scaling by powers of two changes no other bit.
TEST_F(MetalKernels, EachRowHasItsOwnScale) {
  for (const GgmlType type : kFormats) {
    const quant::Format& format = *quant::find_format(type);
    const Tensor weight = random_weight(format, 64, 256, all_rows(64), rng_);
    for (const DType dtype : {DType::kBF16, DType::kF32}) {
      Tensor x = random_activations(dtype, 4, 256, false, rng_), scaled = Tensor::allocate(dtype, x.shape).value();
      const double factors[] = {1, 0x1p100, 0x1p-100, 0x1p17};
      std::vector<double> values(256);
      for (int64_t row = 0; row < 4; ++row) {
        ops::load(x, row * 256, 256, values.data());
        for (double& value : values) value *= factors[row];
        ops::store(values.data(), 256, scaled, row * 256);
      }
      const Launch plain = linear_launch(type, x, weight, dtype), large = linear_launch(type, scaled, weight, dtype);
      ASSERT_TRUE(run(plain, all_groups(plain.grid)).has_value());
      ASSERT_TRUE(run(large, all_groups(large.grid)).has_value());
      for (int64_t i = 0; i < 4 * 64; ++i)
        ASSERT_EQ(ops::element<double>(large.out, i), ops::element<double>(plain.out, i) * factors[i / 64]) << i;
    }
  }
}

TEST_F(MetalKernels, WhatWasNotCompiledIsNamed) {
  const Tensor weight = random_weight(*quant::find_format(GgmlType::kQ6_K), 4, 256, all_rows(4), rng_);
  const Tensor x = random_activations(DType::kBF16, 1, 256, false, rng_);
  const Launch launch = linear_launch(GgmlType::kQ6_K, x, weight, DType::kF32);  // to f32: Q6_K's kernels have no OutT
  const Status status = run(launch, all_groups(launch.grid));
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().message, "the emulator has no q6k kernel for linear from bf16 to f32");
}

}  // namespace
}  // namespace tessera::kernels::emulator
