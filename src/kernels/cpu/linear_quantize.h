// Activations to int8 (arithmetic.md) over an integer vocabulary V. Reference: quantize_reference.
#pragma once

#include "kernels/cpu/linear_kernels.h"
#include "kernels/cpu/products.h"
#include "kernels/cpu/unroll.h"

namespace tessera::kernels::cpu {

template <class V>
struct Quantize {
  using Bits = typename V::Bits;
  using Floats = typename V::Floats;

  static void block256(const float* x, ActivationBlock256& out) {
    out.d = group<256>(x, out.q);
    Most most;
    for (int first = 0; first < 16; first += V::kRows) sixteenths(first, out, most);
    for (int j = 0; j < 8; ++j) out.sums32[j] = static_cast<int16_t>(out.sums16[2 * j] + out.sums16[2 * j + 1]);
    out.most_magnitude16 = static_cast<int16_t>(most.magnitude16.max_lane());
    out.most_one_sided32 = static_cast<int16_t>(most.twice_one_sided32.max_lane() / 2);
    out.most_one_sided8 = static_cast<int16_t>(most.twice_one_sided8.max_lane() / 2);
  }

  static void block32x8(const float* x, int n_groups, ActivationBlock32x8& out) {
    __builtin_memset(&out, 0, sizeof(out));
    for (int j = 0; j < n_groups; ++j) {
      out.d[j] = group<32>(x + 32 * j, out.q + 32 * j);
    }
    for (int j = 0; j < 16; ++j) {
      int sum = 0;
      for (int i = 0; i < 16; ++i) sum += out.q[16 * j + i];
      out.sums16[j] = static_cast<int16_t>(sum);
    }
  }

 private:
  // How large sums can become, as in ActivationBlock256.
  struct Most {
    Floats magnitude16 = Floats::zero(), twice_one_sided32 = Floats::zero(), twice_one_sided8 = Floats::zero();
  };

  // Of V::kRows groups of 16 values from `first` on.
  [[gnu::always_inline]] static void sixteenths(int first, ActivationBlock256& out, Most& most) {
    // Quarter q of vector z holds group 4q + z, whose sum lands in lane 4q + z.
    Bits values[4];
    for (int z = 0; z < 4; ++z)
      values[z] = V::load_quarters([&](int quarter) { return out.q + 16 * (first + z + 4 * quarter); });
    Bits sums[2], magnitudes[2];
    unroll<2>([&]<int half>() __attribute__((always_inline)) {
      const Bits ones = V::splat32(half == 0 ? 0x00000101 : 0x01010000);
      Bits dots[4], of_magnitudes[4];
      for (int z = 0; z < 4; ++z) {
        dots[z] = V::template dot<false>(V::zero(), ones, values[z]);
        of_magnitudes[z] = V::template dot<false>(V::zero(), ones, V::abs8(values[z]));
      }
      sums[half] = V::quarter_sums(dots);
      magnitudes[half] = V::quarter_sums(of_magnitudes);
      most.twice_one_sided8 = Floats::max(most.twice_one_sided8, twice_one_sided(sums[half], magnitudes[half]));
    });
    const Bits sum = V::add(sums[0], sums[1]), magnitude = V::add(magnitudes[0], magnitudes[1]);
    if constexpr (V::kProducts == Products::kMatrix)
      V::store(V::bf16_parts(sum), out.bf16_sums + first);
    else
      V::store(V::subtract(V::zero(), sum), out.minus_sums + first);
    V::store_words(sum, out.sums16 + first);
    most.magnitude16 = Floats::max(most.magnitude16, V::to_floats(magnitude));
    most.twice_one_sided32 =
        Floats::max(most.twice_one_sided32, twice_one_sided(with_neighbour(sum), with_neighbour(magnitude)));
  }
  // The larger of sum |q| + sum q and sum |q| - sum q.
  static Floats twice_one_sided(Bits sum, Bits magnitude) { return V::to_floats(magnitude) + V::to_floats(sum).abs(); }
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
