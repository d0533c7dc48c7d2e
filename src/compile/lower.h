// Graph to program: each op becomes the instructions ExecuTorch's exporter would emit for it, slots are numbered and
// recycled, and hints tell our planner which instructions form one attention.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "compile/weight_form.h"
#include "graph/graph.h"
#include "program/program.h"

namespace tessera::compile {

struct LowerOptions {
  int64_t max_seq_len = 0;    // slots of a full layer's cache
  int64_t prefill_chunk = 0;  // most tokens of one step; a windowed cache has window + chunk - 1 slots
  WeightOptions weights = {};
  bool turboquant = false;  // caches of full layers are compressed (compile/compressed_cache.h)
  bool sampling = false;    // the result is a token drawn inside the program (compile/sampler.h), not logits
};

// The graph has inputs `tokens` i64 (1, T) and `input_pos` i64 (T); its result becomes the output `logits`, f32
// (1, vocabulary), or with `sampling` the output `token`, i64 (1).
// Errors: kNotImplemented for a weight's format that no instruction reads; caches that cannot be compressed.
// `warnings`, when given, receives what became of formats that are not ExecuTorch's.
Result<program::Program> lower(const graph::Graph& graph, const LowerOptions& options,
                               std::vector<std::string>* warnings = nullptr);

}  // namespace tessera::compile
