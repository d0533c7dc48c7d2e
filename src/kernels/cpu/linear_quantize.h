// Activations to int8 (arithmetic.md) over an integer vocabulary V. Reference: quantize_reference.
#pragma once

#include "kernels/cpu/linear_kernels.h"
#include "kernels/cpu/products.h"

namespace tessera::kernels::cpu {

template <class V>
struct Quantize {
  using Bits = typename V::Bits;
  using Floats = typename V::Floats;

  static void block256(const float* x, ActivationBlock256& out) {
    out.d = group<256>(x, out.q);
    // Quarter q of vector z holds group 4q + z, whose sum lands in lane 4q + z.
    Bits dots[4], magnitudes[4];
    for (int z = 0; z < 4; ++z) {
      const int8_t* q = out.q + 16 * z;
      const Bits values = V::load_quarters(q, q + 64, q + 128, q + 192);
      dots[z] = V::template dot<false>(V::zero(), V::splat8(1), values);
      magnitudes[z] = V::template dot<false>(V::zero(), V::splat8(1), V::abs8(values));
    }
    const Bits sums = V::quarter_sums(dots), magnitude = V::quarter_sums(magnitudes);
    if constexpr (V::kProducts == Products::kMatrix)
      V::store(V::bf16_parts(sums), out.bf16_sums);
    else
      V::store(V::subtract(V::zero(), sums), out.minus_sums);
    V::store_words(sums, out.sums16);
    for (int j = 0; j < 8; ++j) out.sums32[j] = static_cast<int16_t>(out.sums16[2 * j] + out.sums16[2 * j + 1]);
    out.most_magnitude16 = static_cast<int16_t>(V::to_floats(magnitude).max_lane());
    // Of the positive values (sum |q| + sum q) / 2, of the negative ones (sum |q| - sum q) / 2.
    const Floats one_sided = V::to_floats(with_neighbour(magnitude)) + V::to_floats(with_neighbour(sums)).abs();
    out.most_one_sided32 = static_cast<int16_t>(one_sided.max_lane() / 2);
  }

  static void block32x8(const float* x, int n_groups, ActivationBlock32x8& out) {
    __builtin_memset(&out, 0, sizeof(out));
    for (int j = 0; j < n_groups; ++j) {
      out.d[j] = group<32>(x + 32 * j, out.q + 32 * j);
      int sum = 0;
      for (int i = 0; i < 32; ++i) sum += out.q[32 * j + i];
      out.minus_sums[j] = -sum;
    }
  }

 private:
  static Bits with_neighbour(Bits x) { return V::add(x, V::template shuffle_dwords<1, 0, 3, 2>(x)); }

  template <int n>
  [[gnu::always_inline]] static float group(const float* x, int8_t* q) {
    Floats amax = Floats::load(x).abs();
    for (int i = 16; i < n; i += 16) amax = Floats::max(amax, Floats::load(x + i).abs());
    const float a = amax.max_lane();
    const Floats inverse = Floats::set(a == 0 ? 0 : 127.0f / a);
    for (int i = 0; i < n; i += 16) {
      const Floats scaled = Floats::load(x + i) * inverse;
      V::store_int8(Floats::min(Floats::max(scaled, Floats::set(-127.0f)), Floats::set(127.0f)), q + i);
    }
    return a / 127.0f;
  }
};

}  // namespace tessera::kernels::cpu
