// A complete Gemma 4 GGUF file with random weights, for measuring and testing without a download: `tessera synth`.
// Packed blocks are drawn directly from a counter-based generator, in chunks, so memory stays small and an 18.7 GB
// model is written at about the disk's speed. Bytes depend on shape, type and seed alone, not on threads.
//
// The numbers are shaped so that a forward pass behaves: a row of K weights has variance 1/K, norms are near one, and
// layer scales keep the residual stream in range. Logits are finite and differ; the text is nonsense.
// A matrix in NVFP4 has a factor beside it, as in files of a converter.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "compile/progress.h"
#include "gguf/writer.h"

namespace tessera::compile {

// A dense Gemma 4 model. "full" layers attend to everything, the others ("sliding") to a window.
struct SynthShape {
  int64_t hidden = 256;
  int64_t layers = 6;
  int64_t heads = 4;
  int64_t head_dim = 64;  // of sliding layers
  int64_t head_dim_full = 128;
  int64_t kv_heads = 2;  // of sliding layers
  int64_t kv_heads_full = 1;
  int64_t ffn = 512;
  int64_t window = 32;
  int64_t vocab = 512;
  int64_t period = 6;  // every period-th layer and the last one are full
  int64_t context = 4096;
  bool v_from_k = true;  // full layers own no attn_v

  bool is_full(int64_t layer) const { return layer % period == period - 1 || layer == layers - 1; }
};

// "gemma4-31b", "gemma4-12b", "gemma4-1.5b", "gemma4-tiny". Errors: kNotImplemented, listing the names there are.
Result<SynthShape> named_shape(std::string_view name);
// "gemma4-31b, gemma4-12b, ..."
std::string list_shapes();

struct SynthOptions {
  std::string type = "q4_k_m";  // a mix (compile/quant_mix.h) or any format that can be read
  uint64_t seed = 0;
  int n_threads = 0;  // 0: one per processor
};

// The tensors that synth_model() writes, in order: what the model will weigh, without writing it.
Result<std::vector<gguf::TensorDeclaration>> synth_tensors(const SynthShape& shape, std::string_view type);

Status synth_model(const std::string& out_path, const SynthShape& shape, const SynthOptions& options,
                   const Progress& progress = nullptr);

}  // namespace tessera::compile
