// The header of one GGUF file, parsed from untrusted bytes and checked against their number: after this, every tensor
// is known to lie inside the file, aligned, on its own, and to consist of whole blocks of a known format.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "gguf/metadata.h"
#include "gguf/tensor_info.h"

namespace tessera::gguf {

struct Header {
  uint32_t version = 0;
  uint64_t alignment = 0;
  Metadata metadata;
  std::vector<TensorInfo> tensors;  // offsets count from the start of the file
  uint64_t size_bytes = 0;          // from the magic to the last tensor info
};

// `bytes` is the whole file (only the header is touched); `source` names it in messages; `owner` keeps it.
Result<Header> parse_header(std::span<const std::byte> bytes, const std::string& source,
                            const std::shared_ptr<const void>& owner);

// general.alignment or the default. Errors: not a u32, or not a power of two.
Result<uint64_t> alignment_of(const Metadata& metadata, const std::string& source);

}  // namespace tessera::gguf
