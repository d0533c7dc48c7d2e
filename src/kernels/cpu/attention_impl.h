// Attention of a tile of rows over one block of keys, with a running softmax (Milakov & Gimelshein 2018; the tiling of
// FlashAttention, Dao 2022), over a float vocabulary V.
//
// Every row is computed by the same operations in the same order whatever tile it sits in: a dot product is one fma
// chain per lane and one reduction tree, blocks start at multiples of kKeyBlock in absolute position, values are added
// in key order. A block in which a row sees no key leaves the row unchanged to the bit. So a token's result does not
// depend on how a prompt was cut into chunks, on the ring's size, or on the number of threads.
#pragma once

#include <cstdint>

#include "kernels/cpu/float_kernels.h"
#include "kernels/cpu/math.h"

namespace tessera::kernels::cpu {

template <typename V>
struct AttentionImpl {
  static constexpr int kRows = 4;  // 4 rows x 4 keys: 16 accumulators, reduced together by V::sums
  static constexpr float kNoKeyYet = -1e30f;

  static void attend(const AttentionTile& tile, const float* k, const float* v, int64_t first, int64_t valid_begin,
                     int64_t valid_end) {
    for (int row = 0; row < tile.n_rows; row += kRows) {
      const int n = tile.n_rows - row < kRows ? tile.n_rows - row : kRows;
      float p[kRows][kKeyBlock];
      scores(tile, row, n, k, p);
      for (int r = 0; r < n; ++r) weights(tile, row + r, first, valid_begin, valid_end, p[r]);
      for (int r = n; r < kRows; ++r)
        for (float& x : p[r]) x = 0;
      accumulate(tile, row, n, v, p, static_cast<int>(valid_begin > first ? valid_begin - first : 0),
                 static_cast<int>(valid_end - first < kKeyBlock ? valid_end - first : kKeyBlock));
    }
  }

 private:
  static void scores(const AttentionTile& tile, int row, int n, const float* k, float (&p)[kRows][kKeyBlock]) {
    const int64_t d = tile.head_dim;
    const float* q[kRows];
    for (int r = 0; r < kRows; ++r) q[r] = tile.q + (row + (r < n ? r : n - 1)) * d;
    for (int key = 0; key < kKeyBlock; key += 4) {
      V acc[16];
      for (V& a : acc) a = V::zero();
      for (int64_t i = 0; i < d; i += 16) {
        V keys[4];
        for (int j = 0; j < 4; ++j) keys[j] = V::load(k + (key + j) * d + i);
        for (int r = 0; r < kRows; ++r) {
          const V query = V::load(q[r] + i);
          for (int j = 0; j < 4; ++j) acc[4 * r + j] = V::fma(query, keys[j], acc[4 * r + j]);
        }
      }
      float sums[16];
      V::sums(acc).store(sums);
      for (int r = 0; r < kRows; ++r)
        for (int j = 0; j < 4; ++j) p[r][key + j] = sums[4 * r + j] * tile.scale;
    }
  }

  // Scores to exp(score - max), masked keys to 0; updates the row's maximum, sum and accumulator scale.
  static void weights(const AttentionTile& tile, int row, int64_t first, int64_t valid_begin, int64_t valid_end,
                      float (&p)[kKeyBlock]) {
    const int64_t pos = tile.q_pos[row];
    const int64_t oldest = tile.window > 0 ? pos - tile.window + 1 : 0;
    const int64_t begin = (oldest > valid_begin ? oldest : valid_begin) - first;
    const int64_t end = (pos + 1 < valid_end ? pos + 1 : valid_end) - first;
    if (begin >= kKeyBlock || end <= 0 || begin >= end) {
      for (float& x : p) x = 0;
      return;
    }
    constexpr float kMasked = -__builtin_inff();
    for (int j = 0; j < kKeyBlock; ++j)
      if (j < begin || j >= end) p[j] = kMasked;
    const V score = V::load(p);
    const float block_max = score.max_lane();
    const float old_max = tile.row_max[row];
    const float new_max = block_max > old_max ? block_max : old_max;
    const V weight = cpu::exp(score - V::set(new_max));
    weight.store(p);
    if (new_max > old_max) {
      float correction[16];
      cpu::exp(V::set(old_max - new_max)).store(correction);
      tile.row_max[row] = new_max;
      tile.row_sum[row] *= correction[0];
      const V factor = V::set(correction[0]);
      float* out = tile.out + row * static_cast<int64_t>(tile.head_dim);
      for (int i = 0; i < tile.head_dim; i += 16) (V::load(out + i) * factor).store(out + i);
    }
    tile.row_sum[row] += weight.sum();
  }

  // out += p * v, keys [begin, end) in order.
  static void accumulate(const AttentionTile& tile, int row, int n, const float* v, const float (&p)[kRows][kKeyBlock],
                         int begin, int end) {
    const int64_t d = tile.head_dim;
    float* out[kRows];
    for (int r = 0; r < kRows; ++r) out[r] = tile.out + (row + (r < n ? r : n - 1)) * d;
    for (int64_t i = 0; i < d; i += 32) {
      const bool two = i + 16 < d;
      V a[kRows], b[kRows];
      for (int r = 0; r < kRows; ++r) {
        a[r] = V::load(out[r] + i);
        b[r] = two ? V::load(out[r] + i + 16) : V::zero();
      }
      for (int j = begin; j < end; ++j) {
        const V x = V::load(v + j * d + i);
        const V y = two ? V::load(v + j * d + i + 16) : V::zero();
        for (int r = 0; r < kRows; ++r) {
          const V weight = V::set(p[r][j]);
          a[r] = V::fma(weight, x, a[r]);
          b[r] = V::fma(weight, y, b[r]);
        }
      }
      for (int r = 0; r < n; ++r) {
        a[r].store(out[r] + i);
        if (two) b[r].store(out[r] + i + 16);
      }
    }
  }
};

}  // namespace tessera::kernels::cpu
