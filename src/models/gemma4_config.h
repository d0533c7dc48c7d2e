// What a Gemma 4 file's metadata says about the model (gemma4-gguf: keys under "gemma4."), checked and with the
// per-layer values spelled out.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "models/model_source.h"

namespace tessera::models {

struct Gemma4Layer {
  bool sliding = false;
  int64_t n_kv_heads = 0, head_dim = 0, ffn_dim = 0;
  // The layer whose cache this one attends over: itself, or for the shared-KV tail the last owner of its type.
  int64_t kv_layer = 0;
};

struct Gemma4Config {
  int64_t hidden = 0, n_heads = 0, vocab_size = 0, context_length = 0, window = 0;
  float rms_eps = 0;
  double rope_base_sliding = 0, rope_base_full = 0;
  double softcap = 0;  // of the logits
  std::vector<Gemma4Layer> layers;

  // Errors: kNotImplemented for mixtures of experts and per-layer embeddings; kNotFound, kInvalidFormat for keys that
  // are missing or contradict each other. Defaults taken are added to `warnings`.
  static Result<Gemma4Config> read(const ModelSource& source, std::vector<std::string>& warnings);
};

}  // namespace tessera::models
