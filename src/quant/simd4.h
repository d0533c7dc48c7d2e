// Four floats at a time in the compiler's own vector extension: the quantizers' inner loops without intrinsics, the
// same arithmetic in the same order on every machine.
#pragma once

#include <cstdint>
#include <cstring>

namespace tessera::quant {

using Float4 = float __attribute__((vector_size(16)));

inline Float4 load4(const float* p) {
  Float4 v;
  std::memcpy(&v, p, sizeof(v));
  return v;
}
inline void store4(float* p, Float4 v) { std::memcpy(p, &v, sizeof(v)); }
inline Float4 splat4(float x) { return Float4{x, x, x, x}; }
inline float sum4(Float4 v) { return (v[0] + v[1]) + (v[2] + v[3]); }
inline Float4 min4(Float4 a, Float4 b) { return a < b ? a : b; }
inline Float4 max4(Float4 a, Float4 b) { return a > b ? a : b; }

// To the nearest integer, ties to even, for |v| < 2^22: adding 1.5 * 2^23 leaves no room for a fraction.
inline Float4 round4(Float4 v) {
  const Float4 magic = splat4(12582912.0f);
  return (v + magic) - magic;
}

}  // namespace tessera::quant
