// The four orders in which block formats spread code bits over bytes, each with its inverse. A format's source
// composes them; its header draws the result.
//
//   nibbles<B>    byte b of B: low nibble -> code b, high nibble -> code b + B
//   bit pairs     256 codes in 64 bytes: bits 2s+1..2s of byte 32h + l -> code 128h + 32s + l
//   single bits   256 codes in 32 bytes: bit j of byte l -> code 32j + l
//   word bits     32 codes in 4 bytes: bit i of the little-endian word -> code i
//
// Unpacking ORs into codes that start at zero, `shift` bits up; packing takes the bits from there.
#pragma once

#include <cstdint>
#include <cstring>

namespace tessera::quant {

template <int kBytes>
void unpack_nibbles(const uint8_t* packed, uint8_t* codes) {
  for (int b = 0; b < kBytes; ++b) {
    codes[b] = packed[b] & 15;
    codes[b + kBytes] = packed[b] >> 4;
  }
}

template <int kBytes>
void pack_nibbles(const uint8_t* codes, uint8_t* packed) {
  for (int b = 0; b < kBytes; ++b) packed[b] = static_cast<uint8_t>((codes[b] & 15) | codes[b + kBytes] << 4);
}

template <int kShift>
void unpack_bit_pairs(const uint8_t* packed, uint8_t* codes) {
  for (int h = 0; h < 2; ++h)
    for (int s = 0; s < 4; ++s)
      for (int l = 0; l < 32; ++l)
        codes[128 * h + 32 * s + l] |= uint8_t(((packed[32 * h + l] >> 2 * s) & 3) << kShift);
}

template <int kShift>
void pack_bit_pairs(const uint8_t* codes, uint8_t* packed) {
  for (int h = 0; h < 2; ++h)
    for (int l = 0; l < 32; ++l) {
      int byte = 0;
      for (int s = 0; s < 4; ++s) byte |= ((codes[128 * h + 32 * s + l] >> kShift) & 3) << 2 * s;
      packed[32 * h + l] = static_cast<uint8_t>(byte);
    }
}

template <int kShift>
void unpack_bits(const uint8_t* packed, uint8_t* codes) {
  for (int j = 0; j < 8; ++j)
    for (int l = 0; l < 32; ++l) codes[32 * j + l] |= uint8_t(((packed[l] >> j) & 1) << kShift);
}

template <int kShift>
void pack_bits(const uint8_t* codes, uint8_t* packed) {
  for (int l = 0; l < 32; ++l) {
    int byte = 0;
    for (int j = 0; j < 8; ++j) byte |= ((codes[32 * j + l] >> kShift) & 1) << j;
    packed[l] = static_cast<uint8_t>(byte);
  }
}

template <int kShift>
void unpack_word_bits(const uint8_t* packed, uint8_t* codes) {
  uint32_t word;
  std::memcpy(&word, packed, sizeof(word));
  for (int i = 0; i < 32; ++i) codes[i] |= uint8_t(((word >> i) & 1) << kShift);
}

template <int kShift>
void pack_word_bits(const uint8_t* codes, uint8_t* packed) {
  uint32_t word = 0;
  for (int i = 0; i < 32; ++i) word |= ((uint32_t{codes[i]} >> kShift) & 1) << i;
  std::memcpy(packed, &word, sizeof(word));
}

}  // namespace tessera::quant
