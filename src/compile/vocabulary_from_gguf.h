// A GGUF file's tokenizer metadata as the tables that travel inside a program (text/vocabulary.h). Repairs what
// published Gemma 4 files are known to get wrong: missing add_bos, end tokens typed as normal text, an eos that is only
// one of three.
#pragma once

#include "base/result.h"
#include "text/vocabulary.h"

namespace tessera::gguf {
class File;
}

namespace tessera::compile {

// Token texts are views into the file's mapping: `file` must outlive the result.
Result<text::Vocabulary> vocabulary_from_gguf(const gguf::File& file);

}  // namespace tessera::compile
