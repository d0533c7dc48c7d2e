// gguf_embedding on the CPU: out[i, :] = scale * w[ids[i], :], w in the packed blocks of a GGUF file.
#pragma once

#include <cstdint>

#include "base/thread_pool.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/linear.h"

namespace tessera::kernels::cpu {

// weight.n is the vocabulary; every id lies in [0, weight.n) (the caller checks). ids: (n_ids). weight.bias is ignored.
void embedding(ThreadPool& pool, Isa isa, const LinearWeight& weight, const int64_t* ids, int64_t n_ids, float scale,
               const OutputRows& out);
void embedding(ThreadPool& pool, Isa isa, const LinearWeight& weight, const int32_t* ids, int64_t n_ids, float scale,
               const OutputRows& out);

}  // namespace tessera::kernels::cpu
