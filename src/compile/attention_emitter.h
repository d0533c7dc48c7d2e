// Attention over a cache, as the instructions ExecuTorch's Gemma programs use (executorch-pte, "Node sequence"): RoPE,
// cache write, scaled dot-product attention. A windowed cache is a ring with a mask, a full one is flat and causal, and
// may be compressed.
#pragma once

#include "compile/compressed_cache.h"
#include "compile/step_values.h"
#include "graph/graph.h"

namespace tessera::compile {

// A cache of the graph as buffers of the program, (1, n_kv_heads, slots, head_dim) each; if it is compressed, `keys`
// and `values` are its codes.
struct CacheBuffers {
  program::Tid keys, values;
  DType dtype = DType::kF32;
  int64_t slots = 0;
  int64_t head_dim = 0;
  int64_t window = 0;  // 0: flat
  std::optional<CompressedCache> compressed = {};
};

struct AttentionInputs {
  program::Tid q;                              // (1, T, n_heads, head_dim), not rotated
  std::optional<program::Tid> k = {}, v = {};  // (1, T, n_kv_heads, head_dim); absent: the cache is only read
  std::optional<program::Tid> periods = {};    // f32 (head_dim / 2)
  int64_t n_heads = 0;
  DType dtype = DType::kF32;  // of q, k, v and the result
};

// Returns (1, T, n_heads * head_dim).
program::Out emit_attention(ProgramBuilder& builder, StepValues& step, const graph::Attention& op,
                            const CacheBuffers& cache, const AttentionInputs& inputs);

}  // namespace tessera::compile
