// The row kernels of float_kernels.h over a float vocabulary V. Included once per instruction set.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/cpu/float_kernels.h"
#include "kernels/cpu/math.h"

namespace tessera::kernels::cpu {

template <typename V>
struct FloatImpl {
  // Calls f(i, load, store) for whole vectors, then once for the tail through a zero-padded copy.
  template <typename Fn>
  static void unary(const float* x, float* y, int64_t n, Fn fn) {
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) fn(V::load(x + i), i).store(y + i);
    if (i < n) {
      float in[16] = {}, out[16];
      copy(in, x + i, n - i);
      fn(V::load(in), i).store(out);
      copy(y + i, out, n - i);
    }
  }
  template <typename Fn>
  static void binary(const float* a, const float* b, float* y, int64_t n, Fn fn) {
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) fn(V::load(a + i), V::load(b + i)).store(y + i);
    if (i < n) {
      float in_a[16] = {}, in_b[16] = {}, out[16];
      copy(in_a, a + i, n - i);
      copy(in_b, b + i, n - i);
      fn(V::load(in_a), V::load(in_b)).store(out);
      copy(y + i, out, n - i);
    }
  }
  template <typename T>
  static void copy(T* to, const T* from, int64_t n) {
    std::memcpy(to, from, static_cast<size_t>(n) * sizeof(T));
  }

  static void load(DType dtype, const void* in, float* out, int64_t n) {
    if (dtype == DType::kF32) return copy(out, static_cast<const float*>(in), n);
    const auto* half = static_cast<const uint16_t*>(in);
    const auto widen = dtype == DType::kF16 ? &V::load_f16 : &V::load_bf16;
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) widen(half + i).store(out + i);
    if (i < n) {
      uint16_t tail[16] = {};
      float wide[16];
      copy(tail, half + i, n - i);
      widen(tail).store(wide);
      copy(out + i, wide, n - i);
    }
  }

  static void store(DType dtype, const float* in, void* out, int64_t n) {
    if (dtype == DType::kF32) return copy(static_cast<float*>(out), in, n);
    auto* half = static_cast<uint16_t*>(out);
    const auto narrow = dtype == DType::kF16 ? &V::store_f16 : &V::store_bf16;
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) (V::load(in + i).*narrow)(half + i);
    if (i < n) {
      float wide[16] = {};
      uint16_t tail[16];
      copy(wide, in + i, n - i);
      (V::load(wide).*narrow)(tail);
      copy(half + i, tail, n - i);
    }
  }

  static void rms_norm(const float* x, const float* w, float eps, float* y, int64_t n) {
    V squares = V::zero();
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) squares = V::fma(V::load(x + i), V::load(x + i), squares);
    if (i < n) {
      float tail[16] = {};
      copy(tail, x + i, n - i);
      squares = V::fma(V::load(tail), V::load(tail), squares);
    }
    const float mean = squares.sum() / static_cast<float>(n);
    const V factor = V::set(1.0f / __builtin_sqrtf(mean + eps));
    if (w)
      binary(x, w, y, n, [factor](V a, V b) { return a * factor * b; });
    else
      unary(x, y, n, [factor](V a, int64_t) { return a * factor; });
  }

  static void rope(float* x, const float* cos, const float* sin, int64_t half) {
    int64_t i = 0;
    for (; i + 16 <= half; i += 16) rotate(x + i, x + half + i, cos + i, sin + i);
    if (i < half) {
      float a[16] = {}, b[16] = {}, c[16] = {}, s[16] = {};
      const int64_t rest = half - i;
      copy(a, x + i, rest);
      copy(b, x + half + i, rest);
      copy(c, cos + i, rest);
      copy(s, sin + i, rest);
      rotate(a, b, c, s);
      copy(x + i, a, rest);
      copy(x + half + i, b, rest);
    }
  }
  static void rotate(float* a, float* b, const float* cos, const float* sin) {
    const V x = V::load(a), y = V::load(b), c = V::load(cos), s = V::load(sin);
    (x * c - y * s).store(a);
    V::fma(x, s, y * c).store(b);
  }

  static void tq4_decompress(const uint8_t* codes, float norm, const float* centroids, float* x, int64_t n) {
    const V levels = V::load(centroids) * V::set(norm);
    for (int64_t i = 0; i < n; i += 16) V::look_up_nibbles(levels, codes + i / 2).store(x + i);
  }

  static void add(const float* a, const float* b, float* y, int64_t n) {
    binary(a, b, y, n, [](V u, V v) { return u + v; });
  }
  static void multiply(const float* a, const float* b, float* y, int64_t n) {
    binary(a, b, y, n, [](V u, V v) { return u * v; });
  }
  static void scale(const float* x, float factor, float* y, int64_t n) {
    unary(x, y, n, [factor](V v, int64_t) { return v * V::set(factor); });
  }
  static void gelu_multiply(const float* gate, const float* up, float* y, int64_t n) {
    binary(gate, up, y, n, [](V g, V u) { return cpu::gelu_tanh(g) * u; });
  }
  static void soft_cap(const float* x, float cap, float* y, int64_t n) {
    unary(x, y, n, [cap](V v, int64_t) { return V::set(cap) * cpu::tanh(v / V::set(cap)); });
  }
};

}  // namespace tessera::kernels::cpu
