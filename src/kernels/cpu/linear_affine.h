// What the drivers of small blocks need to know about affine groups: their numbers lie apart from the codes, in
// any of three types, one for 32, 64 or 128 values. Here they become what the drivers take, a scale and an offset for
// each 32 values of a panel's rows, rows in lanes.
#pragma once

#include "kernels/cpu/linear_format.h"
#include "kernels/cpu/unpack/affine.h"

namespace tessera::kernels::cpu {

// A panel's rows of scales, or of biases.
template <class V>
struct ParamRows {
  const std::byte* row[V::kRows];
};

// Parameters of 256 values of a row.
inline constexpr int kMostParams = 8;

template <class V, int bits>
struct PanelRows<V, UnpackAffine<V, bits>> : BlockRows<V, typename UnpackAffine<V, bits>::Block> {
  ParamRows<V> scales, biases;
  DType dtype;
  int param_bytes;          // of one
  int step_bytes;           // of those of 256 values
  int64_t param_row_bytes;  // from row to row

  PanelRows() = default;
  PanelRows(const LinearTile& tile, PanelPlace place)
      : BlockRows<V, typename UnpackAffine<V, bits>::Block>(tile, place),
        dtype(tile.groups.dtype),
        param_bytes(dtype == DType::kF32 ? 4 : 2),
        step_bytes(256 / tile.groups.group_size * param_bytes),
        param_row_bytes(tile.x.k / tile.groups.group_size * param_bytes) {
    for (int r = 0; r < V::kRows; ++r) {
      const int64_t offset = place.row(tile, r) * param_row_bytes;
      scales.row[r] = tile.groups.scales + offset;
      biases.row[r] = tile.groups.biases + offset;
    }
  }
};

template <class V, int bits>
struct PaddedTail<V, UnpackAffine<V, bits>> {
  using F = UnpackAffine<V, bits>;
  PaddedBlocks<V, typename F::Block> blocks;
  std::byte scales[V::kRows][kMostParams * sizeof(float)] = {};
  std::byte biases[V::kRows][kMostParams * sizeof(float)] = {};
  PanelRows<V, F> rows;

  PaddedTail(const PanelRows<V, F>& from, int64_t begin, int64_t end) : blocks(from, begin, end), rows(from) {
    const int64_t at = begin / 256 * from.step_bytes, n = (end - begin) * from.step_bytes / 256;
    for (int r = 0; r < V::kRows; ++r) {
      __builtin_memcpy(scales[r], from.scales.row[r] + at, static_cast<size_t>(n));
      __builtin_memcpy(biases[r], from.biases.row[r] + at, static_cast<size_t>(n));
      rows.row[r] = blocks.bytes[r];
      rows.scales.row[r] = scales[r];
      rows.biases.row[r] = biases[r];
    }
    rows.param_row_bytes = sizeof(scales[0]);
  }
  PaddedTail(const PaddedTail&) = delete;
  PaddedTail& operator=(const PaddedTail&) = delete;
};

template <class V>
struct LoadParams {
  using Bits = typename V::Bits;
  using Floats = typename V::Floats;

  // `n_bytes` of parameters of each row from byte `at` on: out[j] belongs to values 32 j .. 32 j + 31 of 256. Meanwhile
  // asks for as many bytes from `ahead` on. A function of its own, because it is long, called once for 4096 values and
  // the same for any number of bits.
  [[gnu::noinline, gnu::flatten]] static void run(const ParamRows<V>& rows, int64_t at, int n_bytes, DType dtype,
                                                  const std::byte* ahead, Floats (&out)[8]) {
    Floats params[kMostParams];
    for (int done = 0; done < n_bytes; done += 16) {
      Bits x[4];
      for (int z = 0; z < 4; ++z) {
        x[z] = load(rows.row + z, at + done, n_bytes);
        if (64 * z < V::kRows * n_bytes) x[z] = V::fetch(x[z], ahead + V::kRows * done + 64 * z);
      }
      V::transpose_quarters(x);
      for (int c = 0; c < 4 && done + 4 * c < n_bytes; ++c) widen(x[c], dtype, params, done / 4 + c);
    }
    const int n_params = n_bytes / (dtype == DType::kF32 ? 4 : 2);
    for (int j = 0; j < 8; ++j) out[j] = params[j * n_params / 8];
  }

 private:
  // Of rows r, r + 4 and so on: up to 16 bytes, no byte past the `n_bytes`, which are a power of two from 4 on.
  static Bits load(const std::byte* const* rows, int64_t at, int n_bytes) {
    if (n_bytes >= 16) return V::load_quarters([&](int q) { return rows[4 * q] + at; });
    return V::set_quarters([&](int q) {
      if (n_bytes == 8) return word_of<uint64_t>(rows[4 * q] + at);
      return word_of<uint32_t>(rows[4 * q] + at);
    });
  }
  template <typename T>
  static uint64_t word_of(const std::byte* p) {
    T word;
    __builtin_memcpy(&word, p, sizeof(word));
    return word;
  }
  // Dword `i` of each row: a parameter, or two of 16 bits.
  static void widen(Bits dwords, DType dtype, Floats (&params)[kMostParams], int i) {
    if (dtype == DType::kF32) {
      params[i] = V::as_floats(dwords);
    } else if (dtype == DType::kF16) {
      params[2 * i] = V::f16_low(dwords);
      params[2 * i + 1] = V::f16_high(dwords);
    } else {
      params[2 * i] = V::as_floats(V::template shift_left32<16>(dwords));
      params[2 * i + 1] = V::as_floats(dwords & V::splat32(0xffff0000));
    }
  }
};

template <class V, int bits>
class PanelScales32<V, UnpackAffine<V, bits>> {
 public:
  using F = UnpackAffine<V, bits>;
  using Floats = typename V::Floats;

  PanelScales32(const PanelRows<V, F>& rows, int64_t offset, const Lanes<V>&) {
    const int64_t step = offset / kStepBytes<typename F::Block>, at = step * rows.step_bytes;
    // Of neighbouring rows: the parameters of the rows after these lie behind theirs, and each step asks for its share
    // of them. (Of distant ones these are the next rows of the first stretch: asked for once more, to no use.)
    const int64_t after = V::kRows * (rows.param_row_bytes + at);
    const auto load = [&](const ParamRows<V>& params, Floats(&out)[8]) {
      LoadParams<V>::run(params, at, rows.step_bytes, rows.dtype, params.row[0] + after, out);
    };
    load(rows.scales, d_);
    load(rows.biases, m_);
    if constexpr (F::kBias != 0)
      for (int j = 0; j < 8; ++j) m_[j] = Floats::fma(Floats::set(F::kBias), d_[j], m_[j]);
  }
  template <int j>
  void load(Floats& d, Floats& m) {
    d = d_[j];
    m = m_[j];
  }

 private:
  Floats d_[8], m_[8];
};

}  // namespace tessera::kernels::cpu
