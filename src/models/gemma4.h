// Gemma 4, the dense variants (31B, 12B): sliding and full attention layers, norms before and after each branch, K = V
// on full layers, proportional RoPE. Formulas: gemma4-gguf, "Forward pass".
#pragma once

#include "models/model.h"

namespace tessera::models {

Result<Model> build_gemma4(const ModelSource& source, const ModelOptions& options);

}  // namespace tessera::models
