// Token ids to text as they are generated: pieces of tokens, put together into whole UTF-8 characters.
#pragma once

#include <cstdint>
#include <string>

#include "text/tokenizer.h"
#include "text/utf8_stream.h"

namespace tessera::text {

class StreamDecoder {
 public:
  // `previous`: the last token before the first one pushed, -1 if there is none. The tokenizer must outlive this.
  explicit StreamDecoder(const Tokenizer& tokenizer, int32_t previous = -1, DecodeOptions options = {})
      : tokenizer_(&tokenizer), options_(options), previous_(previous) {}

  // The text that `id` completes; may be empty. All results and flush() together are decode() of all ids.
  std::string push(int32_t id) {
    const std::string_view piece = tokenizer_->piece(previous_, id, options_);
    previous_ = id;
    return stream_.push(piece);
  }
  std::string flush() { return stream_.flush(); }

 private:
  const Tokenizer* tokenizer_;
  DecodeOptions options_;
  int32_t previous_;
  Utf8Stream stream_;
};

}  // namespace tessera::text
