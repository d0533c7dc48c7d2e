// Attention of a tile of rows over a few blocks of keys, with a running softmax (Milakov & Gimelshein 2018; the tiling
// of FlashAttention, Dao 2022), over a float vocabulary V and the loads L of a cache's dtype.
//
// Every row is computed by the same operations in the same order whatever tile it sits in: a dot product is one fma
// chain per lane and one reduction tree, blocks start at multiples of kKeyBlock in absolute position, values are added
// in key order. Sums begin anew at each multiple of kKeySpan, and those of the spans are merged in their order. A block
// or a span in which a row sees no key leaves the row unchanged to the bit. So a token's result does not depend on how
// a prompt was cut into chunks, on the ring's size, or on the number of threads.
//
// Rows are taken R at a time, as many as there are, so that a key is loaded once for several of them. Accumulators are
// registers of the instruction set, which may be parts of a V: R rows times as many keys, then R rows times as many
// registers of values. Keys that none of the R rows sees are left out.
#pragma once

#include <cstdint>
#include <type_traits>

#include "kernels/cpu/float_kernels.h"
#include "kernels/cpu/float_loads.h"
#include "kernels/cpu/math.h"
#include "kernels/cpu/unroll.h"

namespace tessera::kernels::cpu {

template <typename V>
struct AttentionImpl {
  using Register = typename V::Register;
  static constexpr int kLanes = Register::kLanes;
  static constexpr int kMaxRows = V::kAccumulators / 2;  // widening a cache's dtype is shared by so many
  static constexpr int fewer_rows(int rows) { return rows == 6 ? 4 : rows / 2; }
  // Keys, or registers of values, that meet `rows` rows: a power of two that leaves room for the operands.
  static constexpr int operands(int rows) {
    int n = 1;
    while (2 * n * rows <= V::kAccumulators && n < kKeyBlock) n *= 2;
    return n;
  }

  // What the scores of a tile become: weights, and what the sums so far are worth under the new maxima.
  struct Softmax {
    float weights[kAttentionRows][kMaxKeyBlocks * kKeyBlock];
    float factors[kMaxKeyBlocks][kAttentionRows];
    bool is_rescaled[kMaxKeyBlocks][kAttentionRows];  // by its first row: whether one of R factors is not 1
  };

  static void attend(const AttentionTile& tile, const AttentionBlocks& blocks) {
    if (blocks.dtype == DType::kF32) return run<LoadF32>(tile, blocks);
    if (blocks.dtype == DType::kF16) return run<LoadF16>(tile, blocks);
    run<LoadBF16>(tile, blocks);
  }

  static void merge(const AttentionSums& into, const AttentionSums& later, int n_rows, int head_dim) {
    for (int row = 0; row < n_rows; ++row) {
      float *values = into.values + int64_t{row} * head_dim, &max = into.max[row], &weight = into.weight[row];
      const float *later_values = later.values + int64_t{row} * head_dim, later_max = later.max[row];
      if (later.weight[row] == 0) continue;  // sees none of these keys
      const bool is_first = weight == 0;     // saw none before: theirs, to the bit
      const float new_max = later_max > max ? later_max : max;
      float factors[16] = {max - new_max, later_max - new_max};
      cpu::exp(V::load(factors)).store(factors);
      max = new_max;
      weight = is_first ? later.weight[row] : weight * factors[0] + later.weight[row] * factors[1];
      const V old_factor = V::set(factors[0]), later_factor = V::set(factors[1]);
      for (int i = 0; i < head_dim; i += 16) {
        const V x = V::load(later_values + i);
        (is_first ? x : V::fma(x, later_factor, V::load(values + i) * old_factor)).store(values + i);
      }
    }
  }

 private:
  // All keys before all values: one of the two at a time fits a first-level cache.
  template <template <class> class L>
  static void run(const AttentionTile& tile, const AttentionBlocks& blocks) {
    Softmax softmax;
    const int64_t n_bytes = blocks.n * kKeyBlock * tile.head_dim * L<V>::kBytes;
    Requests next_keys{blocks.next_k, n_bytes}, none{nullptr, 0};
    for (int block = 0; block < blocks.n; ++block)
      for_rows<kMaxRows>(
          tile.n_rows, 0, [&]<int R>(int row) __attribute__((always_inline)) {
            const Keys seen = seen_keys(tile, blocks, row, R);
            if (seen.begin < (block + 1) * kKeyBlock && seen.end > block * kKeyBlock)
              scores<L, R>(tile, blocks, block, row, row == 0 ? next_keys : none, softmax);
          });
    for_rows<kMaxRows>(
        tile.n_rows, 0, [&]<int R>(int row) __attribute__((always_inline)) {
          const Requests next_values{row == 0 ? blocks.next_v : nullptr, n_bytes};
          columns<L<Register>, R, operands(R)>(tile, blocks, row, softmax, 0, next_values);
        });
  }

  template <int R, typename F>
  [[gnu::always_inline]] static void for_rows(int n_rows, int row, F f) {
    for (; row + R <= n_rows; row += R) f.template operator()<R>(row);
    if constexpr (R > 1) for_rows<fewer_rows(R)>(n_rows, row, f);
  }

  // Keys of the blocks, counted from their first.
  struct Keys {
    int begin, end;
  };
  // Those that exist and that some of n rows from `row` on see, whose tokens are in order.
  static Keys seen_keys(const AttentionTile& tile, const AttentionBlocks& blocks, int row, int n) {
    const int64_t oldest = tile.window > 0 ? tile.q_pos[row] - tile.window + 1 : 0, newest = tile.q_pos[row + n - 1];
    const int64_t begin = oldest > blocks.valid_begin ? oldest : blocks.valid_begin;
    const int64_t end = newest + 1 < blocks.valid_end ? newest + 1 : blocks.valid_end;
    return {static_cast<int>(begin - blocks.first), static_cast<int>(end - blocks.first)};
  }

  // What comes next, asked for in the first pass over these keys: n_bytes, of which some streams are read side by side,
  // each of which the processor then reads ahead of by itself. Null: nothing to ask for.
  struct Requests {
    const std::byte* next;
    int64_t n_bytes;
  };

  // Asks for the next line of each stream, kBytes in all.
  template <int64_t kBytes, class Part>
  [[gnu::always_inline]] static void fetch(Part& after, Requests& requests) {
    constexpr int64_t kStreams = kBytes / 64;
    if (!requests.next) return;
    for (int64_t i = 0; i < kStreams; ++i) after.fetch(requests.next + i * (requests.n_bytes / kStreams));
    requests.next += 64;
  }

  template <template <class> class L, int R>
  static void scores(const AttentionTile& tile, const AttentionBlocks& blocks, int block, int row, Requests& requests,
                     Softmax& softmax) {
    // Parts of all sixteen lanes, one after the other, leave registers for more rows. One or two rows wait for keys to
    // come from memory, which are asked for best in one pass over all lanes.
    using Part = std::conditional_t<(R > 2), Register, V>;
    const int64_t block_bytes = kKeyBlock * tile.head_dim * L<Part>::kBytes;
    alignas(64) float products[R][kKeyBlock][16];
    Requests of_pass = requests;
    for (int lane = 0; lane < 16; lane += Part::kLanes) {
      multiply<L<Part>, Part, R>(tile, blocks.k + block * block_bytes, row, lane, of_pass, products);
      if (lane == 0) requests = of_pass;
      of_pass.next = nullptr;
    }
    V scores[R];
    for (int r = 0; r < R; ++r) {
      V of_keys[kKeyBlock];
      for (int key = 0; key < kKeyBlock; ++key) of_keys[key] = V::load(products[r][key]);
      scores[r] = V::sums(of_keys) * V::set(tile.scale);
    }
    weights<R>(tile, blocks, block, row, scores, softmax);
  }

  // The products of R rows with the keys of a block, added up over the head's dimensions: lanes from `lane` on.
  template <class L, class Part, int R>
  [[gnu::always_inline]] static void multiply(const AttentionTile& tile, const std::byte* keys, int row, int lane,
                                              Requests& requests, float (&products)[R][kKeyBlock][16]) {
    constexpr int K = operands(R * Part::kLanes / kLanes);
    const int64_t d = tile.head_dim, key_bytes = d * L::kBytes;
    const float* q = tile.q + row * d;
    for (int key = 0; key < kKeyBlock; key += K) {
      Part acc[R][K];
      for_each<R, K>([&]<int r, int j>() __attribute__((always_inline)) { acc[r][j] = Part::zero(); });
      for (int64_t i = lane; i < d; i += 16) {
        Part k[K];
        unroll<K>([&]<int j>()
                      __attribute__((always_inline)) { k[j] = L::load(keys + (key + j) * key_bytes + i * L::kBytes); });
        fetch<16 * K * L::kBytes>(k[0], requests);
        unroll<R>([&]<int r>() __attribute__((always_inline)) {
          const Part query = Part::keep(Part::load(q + r * d + i));  // once, not with each fma
          unroll<K>([&]<int j>() __attribute__((always_inline)) { acc[r][j] = Part::fma(query, k[j], acc[r][j]); });
        });
      }
      for_each<R, K>([&]<int r, int j>()
                         __attribute__((always_inline)) { acc[r][j].store(products[r][key + j] + lane); });
    }
  }

  // Scores to exp(score - max), masked keys to 0; updates the rows' maxima and sums.
  template <int R>
  [[gnu::always_inline]] static void weights(const AttentionTile& tile, const AttentionBlocks& blocks, int block,
                                             int row, V (&scores)[R], Softmax& softmax) {
    float old_max[16] = {}, new_max[16] = {}, factors[16];
    for (int r = 0; r < R; ++r) {
      scores[r] = visible(seen_keys(tile, blocks, row + r, 1), block, scores[r]);
      const float block_max = scores[r].max_lane();
      old_max[r] = tile.sums.max[row + r];
      new_max[r] = block_max > old_max[r] ? block_max : old_max[r];
    }
    cpu::exp(V::load(old_max) - V::load(new_max)).store(factors);
    bool is_rescaled = false;
    for (int r = 0; r < R; ++r) {
      const V weight = cpu::exp(scores[r] - V::set(new_max[r]));
      weight.store(softmax.weights[row + r] + block * kKeyBlock);
      softmax.factors[block][row + r] = factors[r];
      is_rescaled |= factors[r] != 1;
      tile.sums.max[row + r] = new_max[r];
      tile.sums.weight[row + r] *= factors[r];
      tile.sums.weight[row + r] += weight.sum();
    }
    softmax.is_rescaled[block][row] = is_rescaled;
  }

  // The scores of a block's keys that are among `seen`, minus infinity for the others.
  [[gnu::always_inline]] static V visible(Keys seen, int block, V score) {
    static constexpr float kIndices[kKeyBlock] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const int begin = seen.begin - block * kKeyBlock, end = seen.end - block * kKeyBlock;
    if (begin <= 0 && end >= kKeyBlock) return score;
    const V indices = V::load(kIndices), masked = V::set(-__builtin_inff());
    score = V::select_less(indices, V::set(static_cast<float>(begin)), masked, score);
    return V::select_less(indices, V::set(static_cast<float>(end)), score, masked);
  }

  // out = factor * out + weights * values of each block, the keys in order: the head's dimensions from `column` on, C
  // registers at a time, what is left in halves of that.
  template <class L, int R, int C>
  static void columns(const AttentionTile& tile, const AttentionBlocks& blocks, int row, const Softmax& softmax,
                      int64_t column, Requests requests) {
    const int64_t d = tile.head_dim, key_bytes = d * L::kBytes;
    const Keys seen = seen_keys(tile, blocks, row, R);
    for (; column + kLanes * C <= d; column += kLanes * C) {
      float* out = tile.sums.values + row * d + column;
      Register acc[R][C];
      for_each<R, C>([&]<int r, int c>()
                         __attribute__((always_inline)) { acc[r][c] = Register::load(out + r * d + kLanes * c); });
      for (int j = seen.begin, end; j < seen.end; j = end) {
        const int block = j / kKeyBlock;
        end = (block + 1) * kKeyBlock < seen.end ? (block + 1) * kKeyBlock : seen.end;
        if (softmax.is_rescaled[block][row])  // maxima rarely change; times 1 is exact
          for_each<R, C>([&]<int r, int c>() __attribute__((always_inline)) {
            acc[r][c] = acc[r][c] * Register::set(softmax.factors[block][row + r]);
          });
        for (; j < end; ++j) {
          Register values[C];
          unroll<C>([&]<int c>() __attribute__((always_inline)) {
            values[c] = L::load(blocks.v + j * key_bytes + (column + kLanes * c) * L::kBytes);
          });
          if constexpr (kLanes * C * L::kBytes >= 64) fetch<kLanes * C * L::kBytes>(values[0], requests);
          unroll<R>([&]<int r>() __attribute__((always_inline)) {
            const Register weight = Register::set(softmax.weights[row + r][j]);
            unroll<C>([&]<int c>()
                          __attribute__((always_inline)) { acc[r][c] = Register::fma(weight, values[c], acc[r][c]); });
          });
        }
      }
      for_each<R, C>([&]<int r, int c>() __attribute__((always_inline)) { acc[r][c].store(out + r * d + kLanes * c); });
    }
    if constexpr (C > 1) columns<L, R, C / 2>(tile, blocks, row, softmax, column, requests);
  }
};

}  // namespace tessera::kernels::cpu
