#include "compile/vocabulary_from_json.h"

#include "compile/vocabulary_from_gguf.h"
#include "models/hf_config.h"

namespace tessera::compile {

Result<text::Vocabulary> vocabulary_from_json(const std::string& path) {
  auto metadata = std::make_shared<gguf::Metadata>(path);
  TRY(models::read_hf_tokenizer(path, *metadata));
  text::Vocabulary vocabulary = TRY(vocabulary_from_metadata(*metadata, path));
  vocabulary.storage = metadata;  // the texts are views into it
  return vocabulary;
}

}  // namespace tessera::compile
