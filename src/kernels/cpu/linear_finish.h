// What happens to a tile's sums: bias, factor, gate, one rounding to the output's dtype. Floats is a float vocabulary
// (avx512/f32x16.h).
#pragma once

#include "kernels/cpu/linear_kernels.h"
#include "kernels/cpu/math.h"

namespace tessera::kernels::cpu {

// The rows [row, end) of a tile for the tokens [token, token + n_tokens), stored by store(Floats, T*).
template <class Floats, typename T, typename Store>
[[gnu::always_inline]] inline void finish_rows(const LinearTile& tile, int row, int end, int token, int n_tokens,
                                               Store store) {
  constexpr int kLanes = Floats::kLanes;
  for (int t = token; t < token + n_tokens; ++t) {
    T* out = tile.output ? reinterpret_cast<T*>(tile.output->rows + t * tile.output->stride_bytes) : nullptr;
    for (int r = row; r < end; r += kLanes) {
      const int n = end - r < kLanes ? end - r : kLanes;
      float* in = tile.out + tile.sums.of(r, t);
      Floats value = Floats::load(in);
      if (tile.bias && n == kLanes) value = value + Floats::load(tile.bias + r);
      if (tile.bias && n < kLanes) {
        float bias[kLanes] = {};
        __builtin_memcpy(bias, tile.bias + r, static_cast<size_t>(n) * sizeof(float));
        value = value + Floats::load(bias);
      }
      if (tile.factor != 1) value = value * Floats::set(tile.factor);
      if (!out) {
        value.store(in);
        continue;
      }
      if (tile.output->gate) value = gelu_tanh(Floats::load(tile.output->gate + tile.sums.of(r, t))) * value;
      if (n == kLanes) {
        store(value, out + r);
      } else {
        T last[kLanes];
        store(value, last);
        __builtin_memcpy(out + r, last, static_cast<size_t>(n) * sizeof(T));
      }
    }
  }
}

// `n_rows` rows from `row` on, as far as the tile has them.
template <class Floats>
[[gnu::noinline]] void finish(const LinearTile& tile, int row, int n_rows, int token, int n_tokens) {
  if (!tile.output && !tile.bias && tile.factor == 1) return;
  const int end = row + n_rows < tile.n_rows ? row + n_rows : tile.n_rows;
  const DType dtype = tile.output ? tile.output->dtype : DType::kF32;
  if (dtype == DType::kF32)
    finish_rows<Floats, float>(tile, row, end, token, n_tokens, [](Floats x, float* p) { x.store(p); });
  else if (dtype == DType::kF16)
    finish_rows<Floats, uint16_t>(tile, row, end, token, n_tokens, [](Floats x, uint16_t* p) { x.store_f16(p); });
  else
    finish_rows<Floats, uint16_t>(tile, row, end, token, n_tokens, [](Floats x, uint16_t* p) { x.store_bf16(p); });
}

// Asks for the lines that finish() will write.
template <class V>
[[gnu::always_inline]] inline void prefetch_output(const LinearTile& tile, int row, int n_rows, int token,
                                                   int n_tokens) {
  if (!tile.output) return;
  const int element = tile.output->dtype == DType::kF32 ? 4 : 2;
  const int end = row + n_rows < tile.n_rows ? row + n_rows : tile.n_rows, n_bytes = (end - row) * element;
  const std::byte* at = tile.output->rows + token * tile.output->stride_bytes + row * element;
  for (int t = 0; t < n_tokens; ++t, at += tile.output->stride_bytes)
    for (int i = 0; i < n_bytes; i += 64) V::prefetch_to_write(at + i);
}

}  // namespace tessera::kernels::cpu
