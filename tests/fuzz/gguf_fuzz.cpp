// Any bytes as a GGUF file: an error, or a file whose every string and tensor can be touched.
#include <cstddef>
#include <cstdint>
#include <span>

#include "gguf/file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file = tessera::gguf::File::from_bytes(std::as_bytes(std::span(data, size)), "fuzz", nullptr);
  if (!file) return 0;
  volatile size_t sink = (*file)->identity().header_hash;
  for (const auto& tensor : (*file)->tensors())
    for (const std::byte b : (*file)->bytes(tensor)) sink = sink + static_cast<size_t>(b);
  for (const auto& entry : (*file)->metadata().entries())
    sink = sink + tessera::gguf::to_string(entry.value, SIZE_MAX).size();
  return 0;
}
