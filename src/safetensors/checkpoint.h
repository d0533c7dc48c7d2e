// A checkpoint folder: model.safetensors, or the shards that model.safetensors.index.json lists, as one table.
#pragma once

#include <string>

#include "base/result.h"
#include "safetensors/file.h"

namespace tessera::safetensors {

struct Checkpoint {
  TensorMap tensors;  // of all shards
  TextMap metadata;   // of all shards; where two say different things, the later shard's word

  // Errors: kNotFound (neither file, or a shard is missing), kInvalidFormat (a shard lacks a tensor the index promises,
  // a tensor in two shards, a shard outside the folder).
  static Result<Checkpoint> open(const std::string& folder);
};

}  // namespace tessera::safetensors
