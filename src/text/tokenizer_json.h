// A vocabulary as tokenizer.json, the form Hugging Face's tokenizers read: what ExecuTorch's runners ask for. Ids come
// out as Tokenizer's for any text; control tokens written out in a text are always parsed there, and bytes that are not
// UTF-8 cannot be asked about.
#pragma once

#include <string>

#include "base/result.h"
#include "text/vocabulary.h"

namespace tessera::text {

// The whole file; for 262144 tokens some 35 MB. Errors: kNotImplemented (a model or pre-tokenizer without such a form),
// kInvalidFormat (a token that is not UTF-8, which JSON cannot hold).
Result<std::string> to_tokenizer_json(const Vocabulary& vocabulary);

}  // namespace tessera::text
