// What the tests of linear and embedding share: weights of fresh random blocks that end at an unreadable page, and
// activations with edge values.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <bit>
#include <cstddef>
#include <cstring>
#include <random>
#include <vector>

#include "base/float16.h"
#include "kernels/cpu/linear.h"
#include "quant/format.h"

namespace tessera::kernels::cpu::testing {

// Bytes whose end touches a page that cannot be read, so that a kernel reading past its weight dies.
class GuardedBytes {
 public:
  explicit GuardedBytes(size_t n) : mapped_((n + kPage - 1) / kPage * kPage + kPage) {
    base_ = static_cast<std::byte*>(mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    EXPECT_NE(base_, MAP_FAILED);
    EXPECT_EQ(mprotect(base_ + mapped_ - kPage, kPage, PROT_NONE), 0);
    data_ = base_ + mapped_ - kPage - n;
  }
  ~GuardedBytes() { munmap(base_, mapped_); }
  GuardedBytes(const GuardedBytes&) = delete;
  GuardedBytes& operator=(const GuardedBytes&) = delete;
  std::byte* data() { return data_; }

 private:
  static constexpr size_t kPage = 4096;
  size_t mapped_;
  std::byte* base_;
  std::byte* data_;
};

// Byte offsets of a block's f16 numbers; -1: none.
struct F16Fields {
  quant::GgmlType type;
  int d, other;
};
inline constexpr F16Fields kF16Fields[] = {
    {quant::GgmlType::kQ4_0, 0, -1},    {quant::GgmlType::kQ4_1, 0, 2},    {quant::GgmlType::kQ5_0, 0, -1},
    {quant::GgmlType::kQ5_1, 0, 2},     {quant::GgmlType::kQ8_0, 0, -1},   {quant::GgmlType::kIQ4_NL, 0, -1},
    {quant::GgmlType::kQ2_K, 80, 82},   {quant::GgmlType::kQ3_K, 108, -1}, {quant::GgmlType::kQ4_K, 0, 2},
    {quant::GgmlType::kQ5_K, 0, 2},     {quant::GgmlType::kQ6_K, 208, -1}, {quant::GgmlType::kIQ4_XS, 0, -1},
    {quant::GgmlType::kIQ2_XXS, 0, -1}, {quant::GgmlType::kIQ2_XS, 0, -1}, {quant::GgmlType::kIQ2_S, 0, -1},
    {quant::GgmlType::kIQ3_XXS, 0, -1}, {quant::GgmlType::kIQ3_S, 0, -1},  {quant::GgmlType::kIQ1_S, 0, -1},
    {quant::GgmlType::kTQ1_0, 52, -1},  {quant::GgmlType::kTQ2_0, 64, -1}, {quant::GgmlType::kQ1_0, 0, -1},
    {quant::GgmlType::kQ2_0, 0, -1},    {quant::GgmlType::kF16, 0, -1},    {quant::GgmlType::kBF16, -1, -1},
    {quant::GgmlType::kF32, -1, -1},
};

// Random codes and scales; some blocks all zero, all ones (the largest codes; Q6_K scales of -1), or of bytes 0x80 (its
// scales of -128) and 0x7f; d from tiny to huge and of both signs, sometimes zero.
inline void fill_block(const quant::Format& format, std::byte* block, std::mt19937_64& rng) {
  const auto bytes = static_cast<size_t>(format.block_bytes);
  for (size_t i = 0; i < bytes; ++i) block[i] = static_cast<std::byte>(rng());
  switch (rng() % 16) {
    case 0:
      std::memset(block, 0, bytes);
      break;
    case 1:
      std::memset(block, 0xff, bytes);
      break;
    case 2:
      std::memset(block, 0x80, bytes);
      break;
    case 3:
      std::memset(block, 0x7f, bytes);
      break;
    default:
      break;
  }
  std::normal_distribution<float> normal;
  const auto f16 = [&](int offset) {
    if (offset < 0) return;
    float value = normal(rng) * 0.05f;
    if (rng() % 32 == 0) value = 0;
    if (rng() % 32 == 0) value *= 1e6f;  // rounds to at most 65504 most of the time, never to NaN
    if (rng() % 32 == 0) value *= 1e-6f;
    value = std::min(std::max(value, -65000.0f), 65000.0f);
    const F16 half = to_f16(value);
    std::memcpy(block + offset, &half, 2);
  };
  for (const F16Fields& fields : kF16Fields)
    if (fields.type == format.type) f16(fields.d), f16(fields.other);
  if (format.type == quant::GgmlType::kMXFP4) {  // an exponent: subnormal at times, and nothing that overflows
    const uint64_t e = rng() % 16 == 0 ? rng() % 2 : 100 + rng() % 64;
    std::memset(block, static_cast<int>(e), 1);
  }
  if (format.type == quant::GgmlType::kIQ1_M)  // four bits of d in each of four words: below 2
    std::memset(block + 55, static_cast<int>(rng() % 64), 1);
  const float value = normal(rng);
  if (format.type == quant::GgmlType::kF32) std::memcpy(block, &value, 4);
  if (format.type == quant::GgmlType::kBF16) {
    const BF16 half = to_bf16(value);
    std::memcpy(block, &half, 2);
  }
}

// (m, k) in dtype: normal values with some zero groups, huge and tiny ones, and blocks of equal magnitudes, whose sums
// are as large as sums can be: all of one sign or of either.
inline std::vector<std::byte> random_rows(DType dtype, int64_t m, int64_t k, std::mt19937_64& rng) {
  std::normal_distribution<float> normal;
  std::vector<std::byte> out(static_cast<size_t>(m * k) * size_of(dtype));
  float factor = 1;
  uint64_t kind = 0;
  for (int64_t i = 0; i < m * k; ++i) {
    if (i % 256 == 0) kind = rng() % 8;
    if (i % 32 == 0) factor = rng() % 16 == 0 ? 0.0f : rng() % 16 == 1 ? 1e4f : rng() % 16 == 2 ? 1e-5f : 1.0f;
    const float value = kind == 0   ? 1.0f
                        : kind == 1 ? -2.0f
                        : kind == 2 ? (rng() % 2 ? 3.0f : -3.0f)
                                    : normal(rng) * factor;
    const F16 f16 = to_f16(value);
    const BF16 bf16 = to_bf16(value);
    std::byte* to = out.data() + i * static_cast<int64_t>(size_of(dtype));
    if (dtype == DType::kF32) std::memcpy(to, &value, 4);
    if (dtype == DType::kF16) std::memcpy(to, &f16, 2);
    if (dtype == DType::kBF16) std::memcpy(to, &bf16, 2);
  }
  return out;
}

class RandomWeight {
 public:
  RandomWeight(const quant::Format& format, int64_t n, int64_t k, std::mt19937_64& rng)
      : bytes_(static_cast<size_t>(n * format.bytes_for(k))) {
    for (int64_t i = 0; i < n * k / format.block_values; ++i)
      fill_block(format, bytes_.data() + i * format.block_bytes, rng);
    weight_ = {.format = &format, .data = bytes_.data(), .n = n, .k = k};
  }
  // The last n rows: they end at the unreadable page.
  LinearWeight last_rows(int64_t n) {
    LinearWeight weight = weight_;
    weight.data = bytes_.data() + (weight.n - n) * weight.format->bytes_for(weight.k);
    weight.n = n;
    return weight;
  }

 private:
  GuardedBytes bytes_;
  LinearWeight weight_;
};

// Affine groups: codes, scales and biases each end at an unreadable page of their own. Some groups are all zeros or all
// ones, some scales zero, huge, tiny or negative.
class RandomGroups {
 public:
  RandomGroups(int bits, int group_size, DType dtype, int64_t n, int64_t k, std::mt19937_64& rng)
      : codes_(static_cast<size_t>(n * k * bits / 8)),
        scales_(static_cast<size_t>(n * k / group_size) * size_of(dtype)),
        biases_(static_cast<size_t>(n * k / group_size) * size_of(dtype)) {
    const int64_t group_bytes = int64_t{group_size} * bits / 8, n_groups = n * k / group_size;
    for (int64_t g = 0; g < n_groups; ++g) {
      const uint64_t kind = rng() % 16;
      for (int64_t i = 0; i < group_bytes; ++i)
        codes_.data()[g * group_bytes + i] = static_cast<std::byte>(kind == 0 ? 0 : kind == 1 ? 0xff : rng());
    }
    fill(scales_.data(), dtype, n_groups, rng);
    fill(biases_.data(), dtype, n_groups, rng);
    weight_ = {.data = codes_.data(),
               .n = n,
               .k = k,
               .groups = {.bits = bits,
                          .group_size = group_size,
                          .dtype = dtype,
                          .scales = scales_.data(),
                          .biases = biases_.data()}};
  }
  LinearWeight last_rows(int64_t n) {
    LinearWeight weight = weight_;
    weight.data = codes_.data() + (weight.n - n) * weight.row_bytes();
    weight.groups = weight.groups.from_row(weight.n - n, weight.k);
    weight.n = n;
    return weight;
  }

 private:
  static void fill(std::byte* params, DType dtype, int64_t n, std::mt19937_64& rng) {
    std::normal_distribution<float> normal;
    for (int64_t i = 0; i < n; ++i) {
      const uint64_t kind = rng() % 16;
      const float value = normal(rng) * (kind == 0 ? 0.0f : kind == 1 ? 1e3f : kind == 2 ? 1e-3f : 0.1f);
      const F16 f16 = to_f16(value);
      const BF16 bf16 = to_bf16(value);
      const void* from = dtype == DType::kF32   ? static_cast<const void*>(&value)
                         : dtype == DType::kF16 ? static_cast<const void*>(&f16)
                                                : &bf16;
      std::memcpy(params + i * static_cast<int64_t>(size_of(dtype)), from, size_of(dtype));
    }
  }

  GuardedBytes codes_, scales_, biases_;
  LinearWeight weight_;
};

inline constexpr uint32_t kPoison = 0x7fc0beefu;

inline InputRows rows_of(const std::vector<std::byte>& x, DType dtype, int64_t m, int64_t k) {
  return {.dtype = dtype, .data = x.data(), .m = m, .k = k, .row_stride = k};
}

// The kernels' f32 output; rows are 3 longer than n, and nothing but the n outputs may have been written.
inline std::vector<float> run(ThreadPool& pool, Isa isa, const LinearWeight& weight, const InputRows& x,
                              Arithmetic arithmetic) {
  Activations activations;
  activations.prepare(pool, isa, x, weight.forms(arithmetic));
  const int64_t stride = weight.n + 3;
  std::vector<uint32_t> out(static_cast<size_t>(x.m * stride), kPoison);
  const LinearJob job{.weight = weight, .out = {.dtype = DType::kF32, .data = out.data(), .row_stride = stride}};
  linear(pool, isa, std::span(&job, 1), activations);
  std::vector<float> dense;
  for (int64_t t = 0; t < x.m; ++t) {
    const auto* row = out.data() + t * stride;
    for (int64_t r = 0; r < weight.n; ++r) dense.push_back(std::bit_cast<float>(row[r]));
    for (int64_t r = weight.n; r < stride; ++r) EXPECT_EQ(row[r], kPoison) << "wrote past the row";
  }
  return dense;
}

}  // namespace tessera::kernels::cpu::testing
