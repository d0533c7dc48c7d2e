// Row kernels in f32: what happens between the linears. One table of functions per instruction set; all tables give the
// same bits (float vocabulary: avx512/f32x16.h). Lengths are arbitrary, pointers need no alignment.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"
#include "kernels/cpu/isa.h"

namespace tessera::kernels::cpu {

// Rows of a tile at most, which share one pass over a KV head: enough to amortise loading keys, few enough that queries
// and accumulators (48 x 256 x 4 bytes each) stay in a second-level cache.
inline constexpr int kAttentionRows = 48;

// What rows have summed up of the keys so far. Of none: zeros, and maxima below any score.
struct AttentionSums {
  float* values;  // (n_rows, head_dim) weighted, not normalised
  float* max;     // (n_rows) of the scores
  float* weight;  // (n_rows) exponentials of scores less the maximum
};

// One tile of attention rows. See attention.h for the driver.
struct AttentionTile {
  const float* q;        // (n_rows, head_dim), rows may repeat a token for the heads of a group
  const int64_t* q_pos;  // (n_rows) absolute position of each row's token, never falling
  AttentionSums sums;
  int n_rows;
  int head_dim;    // multiple of 16
  int64_t window;  // keys with q_pos - k_pos >= window are masked; 0: no window
  float scale;
};

// Keys are summed up by spans, whose sums are merged in their order: threads may share the keys of a token.
inline constexpr int kKeySpan = 256;
// A few blocks of kKeyBlock keys and values of a KV head, one behind the other, within a span. How many are taken at
// once changes no bit: a block after the other.
inline constexpr int kKeyBlock = 16, kMaxKeyBlocks = 4;
struct AttentionBlocks {
  int n;               // 1 to kMaxKeyBlocks
  const std::byte* k;  // (n kKeyBlock, head_dim) of `dtype`
  const std::byte* v;
  DType dtype;              // f32, f16 or bf16
  const std::byte* next_k;  // as many bytes that come next: fetched meanwhile; null: nothing to fetch
  const std::byte* next_v;
  int64_t first;                   // position of the first key, a multiple of kKeyBlock
  int64_t valid_begin, valid_end;  // positions of the keys that exist; the others may hold anything
};

struct FloatKernels {
  // dtype (f32, f16, bf16) -> f32 and back, round to nearest even.
  void (*load)(DType dtype, const void* in, float* out, int64_t n);
  void (*store)(DType dtype, const float* in, void* out, int64_t n);

  // y = x / sqrt(mean(x^2) + eps) * w; w may be null (no weight). In place allowed.
  void (*rms_norm)(const float* x, const float* w, float eps, float* y, int64_t n);
  // Pairs (i, i + half): (a, b) -> (a cos_i - b sin_i, a sin_i + b cos_i), in place. x has 2 * half values.
  void (*rope)(float* x, const float* cos, const float* sin, int64_t half);
  void (*add)(const float* a, const float* b, float* y, int64_t n);
  void (*multiply)(const float* a, const float* b, float* y, int64_t n);
  void (*scale)(const float* x, float factor, float* y, int64_t n);
  // y = gelu_tanh(gate) * up
  void (*gelu_multiply)(const float* gate, const float* up, float* y, int64_t n);
  // y = cap * tanh(x / cap)
  void (*soft_cap)(const float* x, float cap, float* y, int64_t n);

  // A vector of n values, a multiple of 16, of a compressed cache (quant/tq4.h): tq4_decompress. centroids (16).
  void (*tq4_decompress)(const uint8_t* codes, float norm, const float* centroids, float* x, int64_t n);

  // Adds the blocks to the tile's sums.
  void (*attend)(const AttentionTile& tile, const AttentionBlocks& blocks);
  // Adds the sums of keys that come later; head_dim is a multiple of 16.
  void (*merge)(const AttentionSums& into, const AttentionSums& later, int n_rows, int head_dim);
};

const FloatKernels& float_kernels(Isa isa);

}  // namespace tessera::kernels::cpu
