// A GGUF file rewritten in other weight formats: `tessera quantize`. Tensors are streamed one after another in tiles
// that all threads share, so memory stays at some tens of megabytes whatever the model's size.
#pragma once

#include <string>

#include "base/result.h"
#include "compile/progress.h"

namespace tessera::compile {

struct QuantizeOptions {
  std::string type = "q4_k_m";    // a mix or a plain format (compile/quant_mix.h)
  std::string head_type = {};     // format of the output matrix; empty: the mix's own
  bool allow_requantize = false;  // read quantized sources too: loses a little quality twice
  int n_threads = 0;              // 0: one per processor
};

// Writes `out_path`; a split source becomes one file. Metadata is kept, but for general.file_type,
// general.quantization_version and the split keys. Errors: kInvalidArgument (a quantized source without
// allow_requantize, out_path is a file of the source), kNotImplemented (a type that cannot be read or written).
Status quantize_model(const std::string& in_path, const std::string& out_path, const QuantizeOptions& options,
                      const Progress& progress = nullptr);

}  // namespace tessera::compile
