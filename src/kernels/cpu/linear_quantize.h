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
    Floats most16 = Floats::zero(), most32 = Floats::zero();
    for (int first = 0; first < 16; first += V::kRows) sixteenths(first, out, most16, most32);
    for (int j = 0; j < 8; ++j) out.sums32[j] = static_cast<int16_t>(out.sums16[2 * j] + out.sums16[2 * j + 1]);
    out.most_magnitude16 = static_cast<int16_t>(most16.max_lane());
    out.most_one_sided32 = static_cast<int16_t>(most32.max_lane() / 2);
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
  // Of V::kRows groups of 16 values from `first` on: their sums; the largest sums of magnitudes; of neighbours, the
  // largest of twice the sum of the positive values, and of minus the negative ones.
  [[gnu::always_inline]] static void sixteenths(int first, ActivationBlock256& out, Floats& most16, Floats& most32) {
    // Quarter q of vector z holds group 4q + z, whose sum lands in lane 4q + z.
    Bits dots[4], magnitudes[4];
    for (int z = 0; z < 4; ++z) {
      const Bits values = V::load_quarters([&](int quarter) { return out.q + 16 * (first + z + 4 * quarter); });
      dots[z] = V::template dot<false>(V::zero(), V::splat8(1), values);
      magnitudes[z] = V::template dot<false>(V::zero(), V::splat8(1), V::abs8(values));
    }
    const Bits sums = V::quarter_sums(dots), magnitude = V::quarter_sums(magnitudes);
    if constexpr (V::kProducts == Products::kMatrix)
      V::store(V::bf16_parts(sums), out.bf16_sums + first);
    else
      V::store(V::subtract(V::zero(), sums), out.minus_sums + first);
    V::store_words(sums, out.sums16 + first);
    most16 = Floats::max(most16, V::to_floats(magnitude));
    // sum |q| + sum q, and sum |q| - sum q.
    most32 = Floats::max(most32, V::to_floats(with_neighbour(magnitude)) + V::to_floats(with_neighbour(sums)).abs());
  }
  static Bits with_neighbour(Bits x) { return V::add(x, V::template shuffle_dwords<1, 0, 3, 2>(x)); }

  template <int n>
  [[gnu::always_inline]] static float group(const float* x, int8_t* q) {
    Floats amax = Floats::load(x).abs();
    for (int i = Floats::kLanes; i < n; i += Floats::kLanes) amax = Floats::max(amax, Floats::load(x + i).abs());
    const float a = amax.max_lane();
    const Floats inverse = Floats::set(a == 0 ? 0 : 127.0f / a);
    for (int i = 0; i < n; i += Floats::kLanes) {
      const Floats scaled = Floats::load(x + i) * inverse;
      V::store_int8(Floats::min(Floats::max(scaled, Floats::set(-127.0f)), Floats::set(127.0f)), q + i);
    }
    return a / 127.0f;
  }
};

}  // namespace tessera::kernels::cpu
