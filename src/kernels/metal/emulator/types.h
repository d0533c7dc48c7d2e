// Metal's types that C++ lacks: half and bfloat, vectors, and packed vectors, which are aligned as their elements.
// Only what kernels may use is here; anything else does not compile.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "base/float16.h"
#include "kernels/emulator/threadgroup.h"

namespace tessera::kernels::emulator::metal {

using uchar = uint8_t;
using ushort = uint16_t;
using uint = uint32_t;
using ulong = uint64_t;

// A float of 16 bits. It widens silently; narrowing must be written out, and arithmetic of its own does not exist: what
// half * half rounds to depends on the GPU's mode, so kernels compute in float.
template <typename Storage, Storage (*Round)(float)>
class SmallFloat {
 public:
  SmallFloat() = default;
  explicit SmallFloat(float value) : storage_(Round(value)) {}
  operator float() const { return to_f32(storage_); }  // NOLINT(google-explicit-constructor)

 private:
  Storage storage_;
};
using half = SmallFloat<F16, to_f16>;
using bfloat = SmallFloat<BF16, to_bf16>;
static_assert(sizeof(half) == 2 && alignof(half) == 2 && std::is_trivially_copyable_v<half>);

template <typename T, int N>
struct packed_vec {
  T elements[N];
};

// Vectors are aligned to their size; three elements take the room of four.
template <typename T, int N>
struct alignas(sizeof(T) * (N == 3 ? 4 : N)) vec {
  T elements[N];

  vec() = default;
  explicit vec(T all) { std::fill_n(elements, N, all); }
  template <typename... Ts>
  requires(sizeof...(Ts) == N && N > 1) vec(Ts... values)
      : elements{static_cast<T>(values)...} {}  // NOLINT(google-explicit-constructor)
  vec(const packed_vec<T, N>& packed) { std::copy_n(packed.elements, N, elements); }  // NOLINT

  T& operator[](int i) { return elements[i]; }
  const T& operator[](int i) const { return elements[i]; }
};

using uint3 = Index3;  // grid positions are asked for x, y and z
using ulong2 = vec<ulong, 2>;
using ushort4 = vec<ushort, 4>;
using float4 = vec<float, 4>;
using half4 = vec<half, 4>;
using packed_ushort4 = packed_vec<ushort, 4>;
static_assert(alignof(ushort4) == 8 && alignof(packed_ushort4) == 2 && sizeof(packed_ushort4) == 8);

template <typename To, typename From>
To as_type(From value) {
  return std::bit_cast<To>(value);
}
template <typename T>
T min(T a, T b) {
  return std::min(a, b);
}
template <typename T>
T max(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) return std::fmax(a, b);  // ignores a NaN, as Metal does
  return std::max(a, b);
}
inline float sqrt(float value) { return std::sqrt(value); }
template <typename T>
T abs(T value) {
  return std::abs(value);
}

}  // namespace tessera::kernels::emulator::metal
