// The loops behind limits.h, one table per instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/isa.h"

namespace tessera::kernels::cpu {

struct LimitKernels {
  // Reads all bytes (a multiple of 64 n_streams), from n_streams places at once; unless `ahead` is 0, lines so many
  // bytes further on are asked for meanwhile, into the second cache.
  void (*read)(const std::byte* bytes, int64_t n_bytes, int n_streams, int64_t ahead);
  // n rounds of independent chains, ops_per_dot_round and ops_per_fma_round operations each.
  void (*dots)(int64_t n);
  void (*fmas)(int64_t n);
  int64_t ops_per_dot_round;
  int64_t ops_per_fma_round;
};

const LimitKernels& limit_kernels(Isa isa);

}  // namespace tessera::kernels::cpu
