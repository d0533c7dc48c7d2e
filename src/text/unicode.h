// The character classes pre-tokenizers speak of. Each character has exactly one.
#pragma once

#include <cstdint>

namespace tessera::text {

enum class CharClass : uint8_t {
  kLetter,       // \p{L}
  kMark,         // \p{M}
  kNumber,       // \p{N}
  kPunctuation,  // \p{P}
  kSymbol,       // \p{S}
  kSpace,        // \s: the property White_Space
  kOther,        // controls, formats, unassigned
};

CharClass class_of(uint32_t code_point);

}  // namespace tessera::text
