// A loop whose index is a constant in the body: f.template operator()<0>(), .. <n - 1>(). Always inlined, so that a
// source compiled for one instruction set leaves no symbol another could pick up.
#pragma once

#include <utility>

namespace tessera::kernels::cpu {

template <int n, typename F>
[[gnu::always_inline]] inline void unroll(F&& f) {
  [&]<int... i>(std::integer_sequence<int, i...>) __attribute__((always_inline)) { (f.template operator()<i>(), ...); }
  (std::make_integer_sequence<int, n>{});
}

// f.template operator()<r, t>() for all r < R, t < T.
template <int R, int T, typename F>
[[gnu::always_inline]] inline void for_each(F&& f) {
  unroll<R>([&]<int r>() __attribute__((always_inline)) {
    unroll<T>([&]<int t>() __attribute__((always_inline)) { f.template operator()<r, t>(); });
  });
}

}  // namespace tessera::kernels::cpu
