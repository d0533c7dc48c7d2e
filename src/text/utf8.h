// One character at a time from bytes that need not be UTF-8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace tessera::text {

// U+2581: "gemma4" and "llama" vocabularies write a space with it.
inline constexpr std::string_view kSpaceMark = "\xe2\x96\x81";
inline constexpr uint32_t kSpaceMarkCodePoint = 0x2581;

struct Utf8Char {
  uint32_t code_point = 0;
  uint8_t size = 1;  // bytes
  bool is_valid = false;
};

// Bytes of the character that begins with `lead`; 0 if none does.
constexpr size_t utf8_size(uint8_t lead) {
  if (lead < 0x80) return 1;
  if (lead < 0xc2) return 0;  // continuation bytes; 0xc0 and 0xc1 would be overlong
  if (lead < 0xe0) return 2;
  if (lead < 0xf0) return 3;
  return lead < 0xf5 ? 4 : 0;
}

// True if `second` may follow `lead` in a character of several bytes: no overlong forms, no surrogates, nothing past
// U+10FFFF (Unicode 15, table 3-7).
constexpr bool is_utf8_second(uint8_t lead, uint8_t second) {
  switch (lead) {
    case 0xe0:
      return second >= 0xa0 && second <= 0xbf;
    case 0xed:
      return second >= 0x80 && second <= 0x9f;
    case 0xf0:
      return second >= 0x90 && second <= 0xbf;
    case 0xf4:
      return second >= 0x80 && second <= 0x8f;
    default:
      return second >= 0x80 && second <= 0xbf;
  }
}

// The first character of `text` (not empty). A byte that begins no valid character comes alone, as U+FFFD, not valid.
constexpr Utf8Char next_char(std::string_view text) {
  constexpr Utf8Char kInvalid{0xfffd, 1, false};
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const size_t size = utf8_size(byte(0));
  if (size == 1) return {byte(0), 1, true};
  if (size == 0 || size > text.size() || !is_utf8_second(byte(0), byte(1))) return kInvalid;
  uint32_t code_point = ((byte(0) & (0x7fu >> size)) << 6) | (byte(1) & 0x3fu);
  for (size_t i = 2; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return kInvalid;
    code_point = (code_point << 6) | (byte(i) & 0x3fu);
  }
  return {code_point, static_cast<uint8_t>(size), true};
}

inline void append_utf8(std::string& out, uint32_t code_point) {
  const auto put = [&out](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code_point < 0x80) {
    put(code_point);
  } else if (code_point < 0x800) {
    put(0xc0 | (code_point >> 6));
    put(0x80 | (code_point & 0x3f));
  } else if (code_point < 0x10000) {
    put(0xe0 | (code_point >> 12));
    put(0x80 | ((code_point >> 6) & 0x3f));
    put(0x80 | (code_point & 0x3f));
  } else {
    put(0xf0 | (code_point >> 18));
    put(0x80 | ((code_point >> 12) & 0x3f));
    put(0x80 | ((code_point >> 6) & 0x3f));
    put(0x80 | (code_point & 0x3f));
  }
}

// `text` with each byte that belongs to no character replaced by U+FFFD: for libraries that insist on UTF-8.
inline std::string to_valid_utf8(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const Utf8Char c = next_char(text);
    if (c.is_valid) {
      out += text.substr(0, c.size);
    } else {
      append_utf8(out, c.code_point);
    }
    text.remove_prefix(c.size);
  }
  return out;
}

// How many bytes at the end of `text` begin a character that more bytes could complete: 0 to 3.
constexpr size_t incomplete_tail(std::string_view text) {
  for (size_t n = 1; n <= 3 && n <= text.size(); ++n) {
    const auto lead = static_cast<uint8_t>(text[text.size() - n]);
    if ((lead & 0xc0) == 0x80) continue;
    if (utf8_size(lead) <= n) return 0;  // whole, or no lead byte at all
    if (n > 1 && !is_utf8_second(lead, static_cast<uint8_t>(text[text.size() - n + 1]))) return 0;
    return n;
  }
  return 0;
}

}  // namespace tessera::text
