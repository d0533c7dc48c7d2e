// Attention of a tile of rows over a few blocks of keys, with a running softmax (Milakov & Gimelshein 2018; the tiling
// of FlashAttention, Dao 2022), over a float vocabulary V and the loads L of a cache's dtype.
//
// Every row is computed by the same operations in the same order whatever tile it sits in: a dot product is one fma
// chain per lane and one reduction tree, blocks start at multiples of kKeyBlock in absolute position, values are added
// in key order. A block in which a row sees no key leaves the row unchanged to the bit. So a token's result does not
// depend on how a prompt was cut into chunks, on the ring's size, or on the number of threads.
//
// Rows are taken R at a time, as many as there are, so that a key is loaded once for several of them: V::kAccumulators
// accumulators are R rows times as many keys, then R rows times as many vectors of values.
#pragma once

#include <cstdint>

#include "kernels/cpu/float_kernels.h"
#include "kernels/cpu/float_loads.h"
#include "kernels/cpu/math.h"
#include "kernels/cpu/unroll.h"

namespace tessera::kernels::cpu {

template <typename V>
struct AttentionImpl {
  // Eight rows times two keys were half as fast as four times four; where registers hold four accumulators, one row
  // times four keys, which widens each key for each row, takes a third longer than four rows times one key.
  static constexpr int kMaxRows = 4;

  // What the scores of a tile become: weights, and what the sums so far are worth under the new maxima.
  struct Softmax {
    float weights[kAttentionRows][kMaxKeyBlocks * kKeyBlock];
    float factors[kMaxKeyBlocks][kAttentionRows];
  };

  static void attend(const AttentionTile& tile, const AttentionBlocks& blocks) {
    if (blocks.dtype == DType::kF32) return run<LoadF32<V>>(tile, blocks);
    if (blocks.dtype == DType::kF16) return run<LoadF16<V>>(tile, blocks);
    run<LoadBF16<V>>(tile, blocks);
  }

 private:
  // All keys before all values: one of the two at a time fits a first-level cache.
  template <class L>
  static void run(const AttentionTile& tile, const AttentionBlocks& blocks) {
    Softmax softmax;
    for_rows<kMaxRows>(
        tile.n_rows, 0, [&]<int R>(int row) __attribute__((always_inline)) {
          for (int block = 0; block < blocks.n; ++block) {
            scores<L, R>(tile, blocks, block, row, softmax.weights + row);
            weights<R>(tile, blocks, block, row, softmax);
          }
        });
    for_rows<kMaxRows>(
        tile.n_rows, 0, [&]<int R>(int row) __attribute__((always_inline)) {
          columns<L, R, V::kAccumulators / R>(tile, blocks, row, softmax, 0, row == 0 ? blocks.next_v : nullptr);
        });
  }

  template <int R, typename F>
  [[gnu::always_inline]] static void for_rows(int n_rows, int row, F f) {
    for (; row + R <= n_rows; row += R) f.template operator()<R>(row);
    if constexpr (R > 1) for_rows<R / 2>(n_rows, row, f);
  }

  // Asks for the next kBytes of the following block, of which this pass over the keys is the first to know.
  template <int64_t kBytes>
  [[gnu::always_inline]] static void fetch(V& after, const std::byte*& next) {
    if (!next) return;
    for (int64_t i = 0; i < kBytes; i += 64) after.fetch(next + i);
    next += kBytes;
  }

  template <class L, int R>
  static void scores(const AttentionTile& tile, const AttentionBlocks& blocks, int block, int row,
                     float (*p)[kMaxKeyBlocks * kKeyBlock]) {
    constexpr int K = V::kAccumulators / R, kParts = 16 / V::kAccumulators;  // parts that make up one V::sums
    const int64_t d = tile.head_dim, key_bytes = d * L::kBytes;
    const float* q = tile.q + row * d;
    const std::byte* next = row == 0 && blocks.next_k ? blocks.next_k + block * kKeyBlock * key_bytes : nullptr;
    for (int key = block * kKeyBlock; key < (block + 1) * kKeyBlock; key += kParts * K) {
      V products[16];
      for (int part = 0; part < kParts; ++part) {
        const std::byte* k = blocks.k + (key + part * K) * key_bytes;
        V acc[R][K];
        for_each<R, K>([&]<int r, int j>() __attribute__((always_inline)) { acc[r][j] = V::zero(); });
        for (int64_t i = 0; i < d; i += 16) {
          V keys[K];
          unroll<K>([&]<int j>()
                        __attribute__((always_inline)) { keys[j] = L::load(k + j * key_bytes + i * L::kBytes); });
          fetch<16 * K * L::kBytes>(keys[0], next);
          unroll<R>([&]<int r>() __attribute__((always_inline)) {
            const V query = V::load(q + r * d + i);
            unroll<K>([&]<int j>() __attribute__((always_inline)) { acc[r][j] = V::fma(query, keys[j], acc[r][j]); });
          });
        }
        for_each<R, K>([&]<int r, int j>()
                           __attribute__((always_inline)) { products[(part * R + r) * K + j] = acc[r][j]; });
      }
      float sums[16];
      (V::sums(products) * V::set(tile.scale)).store(sums);
      for (int part = 0; part < kParts; ++part)
        for (int r = 0; r < R; ++r)
          for (int j = 0; j < K; ++j) p[r][key + part * K + j] = sums[(part * R + r) * K + j];
    }
  }

  // Scores to exp(score - max), masked keys to 0; updates the rows' maxima and sums.
  template <int R>
  static void weights(const AttentionTile& tile, const AttentionBlocks& blocks, int block, int row, Softmax& softmax) {
    V scores[R];
    float old_max[16] = {}, new_max[16] = {}, factors[16];
    for (int r = 0; r < R; ++r) {
      const V score = V::load(softmax.weights[row + r] + block * kKeyBlock);
      scores[r] = visible(tile.q_pos[row + r], tile.window, blocks, blocks.first + block * kKeyBlock, score);
      const float block_max = scores[r].max_lane();
      old_max[r] = tile.row_max[row + r];
      new_max[r] = block_max > old_max[r] ? block_max : old_max[r];
    }
    cpu::exp(V::load(old_max) - V::load(new_max)).store(factors);
    for (int r = 0; r < R; ++r) {
      const V weight = cpu::exp(scores[r] - V::set(new_max[r]));
      weight.store(softmax.weights[row + r] + block * kKeyBlock);
      softmax.factors[block][row + r] = factors[r];
      tile.row_max[row + r] = new_max[r];
      tile.row_sum[row + r] *= factors[r];
      tile.row_sum[row + r] += weight.sum();
    }
  }

  // The scores of the keys that exist and lie in the window of a row at `pos`, minus infinity for the others.
  [[gnu::always_inline]] static V visible(int64_t pos, int64_t window, const AttentionBlocks& blocks, int64_t first,
                                          V score) {
    static constexpr float kLanes[kKeyBlock] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const int64_t oldest = window > 0 ? pos - window + 1 : 0;
    const int64_t begin = (oldest > blocks.valid_begin ? oldest : blocks.valid_begin) - first;
    const int64_t end = (pos + 1 < blocks.valid_end ? pos + 1 : blocks.valid_end) - first;
    if (begin <= 0 && end >= kKeyBlock) return score;
    const V lanes = V::load(kLanes), masked = V::set(-__builtin_inff());
    score = V::select_less(lanes, V::set(static_cast<float>(begin)), masked, score);
    return V::select_less(lanes, V::set(static_cast<float>(end)), score, masked);
  }

  // out = factor * out + weights * values of each block, the existing keys in order: the head's dimensions from
  // `column` on, C vectors at a time, what is left in halves of that.
  template <class L, int R, int C>
  static void columns(const AttentionTile& tile, const AttentionBlocks& blocks, int row, const Softmax& softmax,
                      int64_t column, const std::byte* next) {
    const int64_t d = tile.head_dim, key_bytes = d * L::kBytes;
    const int64_t first = blocks.valid_begin - blocks.first, last = blocks.valid_end - blocks.first;
    for (; column + 16 * C <= d; column += 16 * C) {
      float* out = tile.out + row * d + column;
      V acc[R][C];
      for_each<R, C>([&]<int r, int c>() __attribute__((always_inline)) { acc[r][c] = V::load(out + r * d + 16 * c); });
      for (int block = 0; block < blocks.n; ++block) {
        bool is_rescaled = false;  // maxima rarely change; times 1 is exact
        for (int r = 0; r < R; ++r) is_rescaled |= softmax.factors[block][row + r] != 1;
        if (is_rescaled)
          for_each<R, C>([&]<int r, int c>() __attribute__((always_inline)) {
            acc[r][c] = acc[r][c] * V::set(softmax.factors[block][row + r]);
          });
        const int64_t begin = block * kKeyBlock, end = begin + kKeyBlock;
        for (int64_t j = first > begin ? first : begin; j < (last < end ? last : end); ++j) {
          V values[C];
          unroll<C>([&]<int c>() __attribute__((always_inline)) {
            values[c] = L::load(blocks.v + j * key_bytes + (column + 16 * c) * L::kBytes);
          });
          if constexpr (16 * C * L::kBytes >= 64) fetch<16 * C * L::kBytes>(values[0], next);
          unroll<R>([&]<int r>() __attribute__((always_inline)) {
            const V weight = V::set(softmax.weights[row + r][j]);
            unroll<C>([&]<int c>()
                          __attribute__((always_inline)) { acc[r][c] = V::fma(weight, values[c], acc[r][c]); });
          });
        }
      }
      for_each<R, C>([&]<int r, int c>() __attribute__((always_inline)) { acc[r][c].store(out + r * d + 16 * c); });
    }
    if constexpr (C > 1) columns<L, R, C / 2>(tile, blocks, row, softmax, column, next);
  }
};

}  // namespace tessera::kernels::cpu
