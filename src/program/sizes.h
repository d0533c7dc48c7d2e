// Sizes of tensors that files describe.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "base/checked_math.h"
#include "base/dtype.h"

namespace tessera::program {

inline constexpr size_t kMaxRank = 16;
// Of a slot's name. A file may refer to one text a million times, and each slot keeps a copy.
inline constexpr size_t kMaxNameBytes = 4096;

// Bytes of a row-major tensor; nothing when the dtype is unknown, a size is negative or the product overflows.
template <typename Size>
std::optional<uint64_t> tensor_bytes(DType dtype, std::span<const Size> sizes) {
  std::optional<uint64_t> bytes = size_of(dtype);
  if (*bytes == 0) return std::nullopt;
  for (const Size size : sizes) {
    if (size < 0) return std::nullopt;
    bytes = checked_mul(*bytes, static_cast<uint64_t>(size));
    if (!bytes) return std::nullopt;
  }
  return bytes;
}

}  // namespace tessera::program
