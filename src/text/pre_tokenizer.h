// Splits text into the pieces that byte-level BPE merges one by one. Each published tokenizer has a regular expression
// for it; here they are matched by hand, in time linear in the text.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/unicode.h"

namespace tessera::text {

struct PreTokenizer {
  // One character of the text. Bytes that are not UTF-8 come one by one as U+FFFD.
  struct Char {
    uint32_t code_point;
    uint32_t begin;  // byte offset
    CharClass kind;
  };
  using Chars = std::span<const Char>;
  // Appends the length, in characters, of each piece of `chars`, in order; they add up to chars.size().
  using Split = void (*)(Chars chars, std::vector<uint32_t>& lengths);
  struct Range {
    uint32_t first, last;  // code points
  };
  struct Pass {
    Split split;
    std::string_view pattern;  // as published; "{}" stands for the ranges, where there are any
    std::span<const Range> ranges = {};

    std::string regex() const;
  };

  std::string_view name;            // as in tokenizer.ggml.pre
  std::span<const Pass> passes;     // each splits the pieces of the one before
  bool takes_whole_pieces = false;  // a piece that is a token is not merged

  std::vector<std::string_view> split(std::string_view text) const;

  // The pre-tokenizer of that name; an empty name is "default". Unknown names: an error that lists the known ones.
  static Result<const PreTokenizer*> find(std::string_view name);
};

}  // namespace tessera::text
