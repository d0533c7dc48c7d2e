// The compressed key-value cache, TQ4 (quant/tq4.h), in three steps: lengths, codes, and vectors again. Between the first
// two the vectors are divided by their lengths and rotated, by the framework's own division and matrix product; the third
// gives rotated vectors, on which attention works as it does on any.
//
//   norm         grid (32, 1, M): a SIMD group per vector of D values, 4 or 2 D bytes read
//   code_pair    grid (M D / 2, 1, 1): a thread per byte, that is per two values; arithmetic is comparison alone
//   dequantize   grid (32, 1, M): a SIMD group per vector, D / 2 bytes read and 2 or 4 D written; D % 64 == 0
//
// Neighbouring lanes touch neighbouring values throughout, so that a SIMD group's loads and stores are whole lines.
#include <metal_stdlib>

using namespace metal;

namespace tq4 {

// Of vector `vector` of x, in every lane: f32 sums of a lane's squares, then of 32 lanes.
template <typename T>
inline float norm(device const T* x, int D, uint vector, uint lane) {
  x += ulong(vector) * ulong(D);
  float sum = 0;
  for (int i = int(lane); i < D; i += 32) {
    const float value = float(x[i]);
    sum += value * value;
  }
  return sqrt(simd_sum(sum));
}

// Levels are counts of boundaries below a value; that of the even one goes to the upper half of the byte.
template <typename T, typename BoundaryT>
inline uchar code_pair(device const T* values, device const BoundaryT* boundaries, int B, uint byte) {
  const float even = float(values[2 * ulong(byte)]), odd = float(values[2 * ulong(byte) + 1]);
  int even_level = 0, odd_level = 0;
  for (int i = 0; i < B; ++i) {
    const float boundary = float(boundaries[i]);
    even_level += int(boundary < even);
    odd_level += int(boundary < odd);
  }
  return uchar((even_level << 4) | odd_level);
}

template <typename CentroidT, typename OutT>
inline void dequantize(device const uchar* packed, float norm, device const CentroidT* centroids, device OutT* out,
                       int D, uint vector, uint lane) {
  packed += ulong(vector) * ulong(D / 2);
  out += ulong(vector) * ulong(D);
  for (int i = int(lane); i < D / 2; i += 32) {
    const int codes = int(packed[i]);
    out[2 * i] = OutT(float(centroids[codes >> 4]) * norm);
    out[2 * i + 1] = OutT(float(centroids[codes & 15]) * norm);
  }
}

}  // namespace tq4
