// The input of a linear, prepared once for all weights that read it: as f32 rows and, for the integer arithmetic, as
// int8 blocks with their scales and sums. kernels/cpu/arithmetic.md is the definition; activations.cpp follows it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"
#include "base/scratch_buffer.h"
#include "base/thread_pool.h"
#include "kernels/cpu/isa.h"
#include "quant/format.h"

namespace tessera::kernels::cpu {

enum class Arithmetic {
  kInt8,   // activations rounded to int8 per group for the formats that have integer kernels, f32 for the others
  kExact,  // f32 activations and dequantized weights throughout
};

// 256 values of one token under one scale, for the formats of 256 values.
struct alignas(64) ActivationBlock256 {
  int8_t q[256];             // x ~ d * q, -127..127
  union {                    // the sums over 16 values in the form that products begin from
    int32_t minus_sums[16];  // -(q[16 j] + .. + q[16 j + 15])
    uint32_t bf16_sums[16];  // Products::kMatrix: two bf16, the lower half first, that add up to q[16 j] + ..
  };
  int16_t sums16[16];  // q[16 j] + .. + q[16 j + 15]
  int16_t sums32[8];   // sums over 32 values
  float d;
  // How large sums of products with codes can become (linear_group.h):
  int16_t most_magnitude16;  // the largest sum of |q| over 16 values
  int16_t most_one_sided32;  // the largest sum of the positive values, or of minus the negative ones, over 32
  int16_t most_one_sided8;   // the same over half of 16 values: those i with i % 4 < 2, or the others
};
static_assert(sizeof(ActivationBlock256) == 384);

// 256 values of one token in 8 groups of 32 with a scale each, for the formats of fewer than 256 values. The last one
// of a row whose k is no multiple of 256 is filled up with zeros.
struct alignas(64) ActivationBlock32x8 {
  int8_t q[256];
  int16_t sums16[16];  // q[16 j] + .. + q[16 j + 15]
  float d[8];
};
static_assert(sizeof(ActivationBlock32x8) == 320);

// Rows of any float dtype, as they lie in memory.
struct InputRows {
  DType dtype = DType::kF32;  // f32, f16 or bf16
  const void* data = nullptr;
  int64_t m = 0;           // rows (tokens)
  int64_t k = 0;           // values of a row
  int64_t row_stride = 0;  // elements from row to row
};

// The forms a set of weights reads.
struct ActivationForms {
  bool floats = false;
  bool blocks256 = false;
  bool blocks32 = false;

  static ActivationForms of(const quant::Format& format, Arithmetic arithmetic);
  ActivationForms& operator|=(const ActivationForms& other) {
    floats |= other.floats;
    blocks256 |= other.blocks256;
    blocks32 |= other.blocks32;
    return *this;
  }
};

// Blocks behind the last one that kernels may read, for tokens whose outputs nobody reads.
inline constexpr int kBlocksBehind = 7;

// Prepared rows as plain pointers; null where a form is absent. What kernels get.
struct ActivationView {
  int64_t m = 0;  // tokens, also the distance between two blocks of one token
  int64_t k = 0;
  const float* floats = nullptr;  // row t begins at floats + t * float_stride
  int64_t float_stride = 0;
  const ActivationBlock256* blocks256 = nullptr;  // (k / 256, m): all tokens of a block lie together
  const ActivationBlock32x8* blocks32 = nullptr;  // (ceil(k / 256), m)
};

// Not thread safe: one per session or step. Memory grows to the largest input seen and is reused.
class Activations {
 public:
  // `x` must stay alive and unchanged while these activations are used: f32 rows are read in place.
  // blocks256 needs k % 256 == 0, blocks32 k % 32 == 0.
  void prepare(ThreadPool& pool, Isa isa, const InputRows& x, ActivationForms forms);

  const ActivationView& view() const { return view_; }

 private:
  ActivationView view_;
  ScratchBuffer float_copy_, blocks256_, blocks32_;
};

}  // namespace tessera::kernels::cpu
