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

// The same for the long bodies that a function marked [[gnu::flatten]] takes in. Level by level, as always_inline does
// it, g++ optimizes the whole body anew at each level of nesting: half of the time a kernel took to compile.
template <int n, typename F>
inline void unroll_flat(F&& f) {
  [&]<int... i>(std::integer_sequence<int, i...>) { (f.template operator()<i>(), ...); }
  (std::make_integer_sequence<int, n>{});
}
template <int R, int T, typename F>
inline void for_each_flat(F&& f) {
  unroll_flat<R>([&]<int r>() { unroll_flat<T>([&]<int t>() { f.template operator()<r, t>(); }); });
}

}  // namespace tessera::kernels::cpu
