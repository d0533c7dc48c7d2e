// Any bytes as a safetensors file: an error, or a table whose every tensor can be touched.
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/check.h"
#include "safetensors/file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file = tessera::safetensors::File::from_bytes(std::as_bytes(std::span(data, size)), "fuzz", nullptr);
  if (!file) return 0;
  volatile size_t sink = 0;
  size_t n_bytes = 0;
  for (const auto& [name, tensor] : file->tensors) {
    n_bytes += tensor.bytes.size();
    for (const std::byte b : tensor.bytes) sink = sink + static_cast<size_t>(b);
    sink = sink + name.size() + describe(tensor).size();
  }
  CHECK(n_bytes <= size);
  return 0;
}
