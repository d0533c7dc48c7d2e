// A Hugging Face tokenizer.json as a tokenizer's tables: for programs that carry none, as those of ExecuTorch's own
// exporter.
#pragma once

#include <string>

#include "base/result.h"
#include "text/vocabulary.h"

namespace tessera::compile {

// Errors: those of models::read_hf_tokenizer, and what text::check finds.
Result<text::Vocabulary> vocabulary_from_json(const std::string& path);

}  // namespace tessera::compile
