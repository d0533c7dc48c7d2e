// A GGUF file's tokenizer metadata as the tables that travel inside a program (text/vocabulary.h). Repairs what
// published Gemma 4 files are known to get wrong: add_bos false or missing, end tokens typed as normal text, an eos
// that is only one of three.
#pragma once

#include <string>

#include "base/result.h"
#include "gguf/file.h"
#include "gguf/metadata.h"
#include "text/vocabulary.h"

namespace tessera::compile {

// Token texts are views into the file's mapping, which the result's `storage` keeps alive.
Result<text::Vocabulary> vocabulary_from_gguf(const gguf::File& file);

// The same from metadata alone, which must outlive the result. `path` is the metadata's source, which errors name.
Result<text::Vocabulary> vocabulary_from_metadata(const gguf::Metadata& metadata, const std::string& path = {});

}  // namespace tessera::compile
