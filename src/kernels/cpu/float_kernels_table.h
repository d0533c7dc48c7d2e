// One row of function pointers per float vocabulary.
#pragma once

#include "kernels/cpu/attention_impl.h"
#include "kernels/cpu/float_kernels_impl.h"

namespace tessera::kernels::cpu {

template <typename V>
constexpr FloatKernels make_float_kernels() {
  using F = FloatImpl<V>;
  return {.load = F::load,
          .store = F::store,
          .rms_norm = F::rms_norm,
          .rope = F::rope,
          .add = F::add,
          .multiply = F::multiply,
          .scale = F::scale,
          .gelu_multiply = F::gelu_multiply,
          .soft_cap = F::soft_cap,
          .tq4_decompress = F::tq4_decompress,
          .attend = AttentionImpl<V>::attend,
          .merge = AttentionImpl<V>::merge};
}

}  // namespace tessera::kernels::cpu
