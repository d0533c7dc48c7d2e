// The cache of a full layer as TQ4 (quant/tq4.h): codes and lengths instead of numbers, a quarter of the bytes. Node
// sequences, kernels and layout are those of ExecuTorch's compressed cache (neighbour-systems 5): vectors are divided
// by their lengths, rotated and coded when they are written; every step gives the live ones back, still rotated, and
// attends to them with rotated queries, so that only T vectors are ever turned and none of the cache.
#pragma once

#include <string>

#include "base/result.h"
#include "compile/step_values.h"
#include "graph/graph.h"

namespace tessera::compile {

// Buffers and constants of one cache. The constants are shared by all caches of a head_dim.
struct CompressedCache {
  program::Tid k_codes, v_codes;  // u8 (1, n_kv_heads, slots, head_dim / 2)
  program::Tid k_norms, v_norms;  // bf16 (1, n_kv_heads, slots, 1)
  program::Tid rotation;          // (head_dim, head_dim), its own inverse
  program::Tid boundaries;        // bf16 (15)
  program::Tid centroids;         // f32 (16)
  program::Tid epsilon;           // 0-d
  int64_t n_kv_heads = 0, head_dim = 0;
};

// Errors: no layer of the graph has a full cache, or one whose head_dim has no rotation.
Status check_compressible(const graph::Graph& graph);

// `dtype`: of the vectors.
CompressedCache add_compressed_cache(ProgramBuilder& builder, const std::string& name, int64_t n_kv_heads,
                                     int64_t slots, int64_t head_dim, DType dtype);

// x (..., head_dim) turned, or turned back.
program::Out emit_rotation(ProgramBuilder& builder, const CompressedCache& cache, program::Tid x);

struct CompressedVectors {
  program::Out codes, norms;
};
// x (1, n_kv_heads, T, head_dim) of `dtype`
CompressedVectors emit_compress(ProgramBuilder& builder, StepValues& step, const CompressedCache& cache, program::Tid x,
                                DType dtype);
// Positions [0, end) of `codes` and `norms` as vectors of `dtype`, rotated.
program::Out emit_decompress(ProgramBuilder& builder, StepValues& step, const CompressedCache& cache,
                             program::Tid codes, program::Tid norms, DType dtype);

}  // namespace tessera::compile
