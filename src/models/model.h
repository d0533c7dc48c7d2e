// From a model's metadata and tensor list to a graph. One file per architecture; which ones exist is the table in
// model.cpp. A model file reads metadata and names tensors, nothing else: weights stay where they are.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "base/result.h"
#include "graph/graph.h"
#include "models/model_source.h"

namespace tessera::models {

struct ModelOptions {
  DType dtype = DType::kF32;      // of activations; norm weights and other small tensors are cast to it
  std::optional<DType> kv_dtype;  // of the caches; absent: `dtype`
};

struct Model {
  // Inputs `tokens` i64 (1, T) and `input_pos` i64 (T); the output is the logits of every token, f32 (1, T, vocab).
  graph::Graph graph;
  std::string architecture;  // general.architecture
  std::string name;          // general.name, or ""
  int64_t n_layers = 0, vocab_size = 0, context_length = 0;
  std::vector<std::string> warnings;  // defaults taken, tensors not used
};

// Errors: kNotImplemented for an architecture (or a feature of one) that is not known, naming it and what is supported;
// kNotFound / kInvalidFormat for keys and tensors that are missing or of another shape. The graph borrows from what the
// source reads.
Result<Model> build_model(const ModelSource& source, const ModelOptions& options);
inline Result<Model> build_model(const gguf::File& file, const ModelOptions& options) {
  return build_model(GgufSource(file), options);
}

}  // namespace tessera::models
