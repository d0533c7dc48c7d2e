// From a GGUF file to a program: the model's graph (models/), the passes over it (compile/passes.h), then instructions
// (compile/lower.h). Weights stay where they are: the program borrows the file's mapping and shares its ownership, so
// compiling costs milliseconds and a few megabytes whatever the model's size. Thread-safe; no global state.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "base/result.h"
#include "compile/weight_form.h"
#include "gguf/file.h"
#include "models/model_source.h"
#include "program/program.h"

namespace tessera::compile {

struct CompileOptions {
  DType dtype = DType::kBF16;     // of activations and norm weights: f32, bf16 or f16
  std::optional<DType> kv_dtype;  // of the caches; absent: `dtype`
  int64_t max_seq_len = 0;        // slots of a flat cache; 0: the model's context, at most kDefaultMaxSeqLen
  int64_t prefill_chunk = 256;    // most tokens of one step (ExecuTorch's runner expects 256)
  LoweringKind lowering = LoweringKind::kPacked;
  UnknownFormats unknown_formats = UnknownFormats::kKeep;
  bool turboquant = false;                   // full layers' caches in 4 bits (compile/compressed_cache.h)
  bool sampling = false;                     // tokens instead of logits (compile/sampler.h)
  std::vector<std::string> disabled_passes;  // by name, for tests and for finding faults (compile/passes.h)
};

inline constexpr int64_t kDefaultMaxSeqLen = 4096;

// Errors: kNotImplemented (architecture, or a feature of a known one; the message names it and what is supported),
// kNotFound / kInvalidFormat (missing or mis-shaped tensors and keys, all named in one message), kInvalidArgument
// (options). `warnings`, when given, receives what the caller may want to tell: defaults taken, tensors not used.
Result<program::Program> compile_gguf(std::shared_ptr<const gguf::File> file, const CompileOptions& options,
                                      std::vector<std::string>* warnings = nullptr);
// The same from any source of tensors and metadata. The program keeps what it borrows alive.
Result<program::Program> compile_model(const models::ModelSource& source, const CompileOptions& options,
                                       std::vector<std::string>* warnings = nullptr);

}  // namespace tessera::compile
