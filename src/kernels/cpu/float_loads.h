// Sixteen values of a dtype as f32, over a float vocabulary V (avx512/f32x16.h): what makes one kernel serve caches and
// weights of f32, f16 and bf16.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tessera::kernels::cpu {

template <class V>
struct LoadF32 {
  static constexpr int64_t kBytes = 4;  // of one value
  [[gnu::always_inline]] static V load(const std::byte* p) { return V::load(reinterpret_cast<const float*>(p)); }
};
template <class V>
struct LoadF16 {
  static constexpr int64_t kBytes = 2;
  [[gnu::always_inline]] static V load(const std::byte* p) { return V::load_f16(reinterpret_cast<const uint16_t*>(p)); }
};
template <class V>
struct LoadBF16 {
  static constexpr int64_t kBytes = 2;
  [[gnu::always_inline]] static V load(const std::byte* p) {
    return V::load_bf16(reinterpret_cast<const uint16_t*>(p));
  }
};

}  // namespace tessera::kernels::cpu
