// Rotary position embedding.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ops/tensor.h"

namespace tessera::ops {

struct RopeArgs {
  int32_t dims = 0;                 // features 0 .. dims - 1 are rotated, the rest pass through; even
  bool traditional = false;         // pairs (2i, 2i + 1) instead of (i, i + dims / 2)
  float base = 10000.0f;            // ignored when periods are given
  float scale = 1.0f;               // of positions
  const Tensor* periods = nullptr;  // f32 (dims / 2): the angle is position / period
};

// cos and sin of every pair at one position, in f32: the angle is p * base^(-i / (dims / 2)) or p / period[i] with
// p = position * scale; frequencies and angles are rounded to f32, as the program format's runtime does. `cos` and
// `sin` hold dims / 2 values. Fused kernels take their tables from here, so that they turn by the same angles.
void rope_angles(int64_t position, float scale, std::span<const float> frequencies, bool are_periods, float* cos,
                 float* sin);
// base^(-i / (dims / 2)) for i < dims / 2.
std::vector<float> rope_frequencies(int32_t dims, float base);

// x (B, T, D) or (B, ..., T, D), float; row t of batch entry b turns by position offsets[b] + t (one offset: shared).
// cos and sin are rounded to x's dtype; the rotation is computed in double and rounded once. Keeps x's dtype.
Result<Tensor> rope(const Tensor& x, std::span<const int64_t> offsets, const RopeArgs& args);

}  // namespace tessera::ops
