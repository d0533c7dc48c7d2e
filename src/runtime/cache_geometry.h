// The off-graph cache a program needs, as the constant methods of its exporter describe it (executorch-pte 5.6).
#pragma once

#include <cstdint>
#include <optional>

#include "base/result.h"
#include "program/program.h"
#include "runtime/off_graph_cache.h"

namespace tessera::runtime {

bool needs_off_graph_cache(const program::Program& program);

// get_n_caches layers of get_kv_heads, get_head_dims and get_windows, get_prefill_chunk_size tokens at most a step,
// get_max_ctx_len tokens unless `capacity` says otherwise. Errors: a method that is missing or of another kind.
Result<OffGraphCache::Config> cache_config(const program::Program& program, std::optional<int64_t> capacity,
                                           DType kv_dtype);

}  // namespace tessera::runtime
