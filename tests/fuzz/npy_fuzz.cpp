// Any bytes as a NumPy file: an error, or an array whose elements can be touched and whose header can be written.
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/check.h"
#include "base/npy.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto array = tessera::parse_npy(std::as_bytes(std::span(data, size)), "fuzz");
  if (!array) return 0;
  const auto elements = array->row_major();
  CHECK(elements.size() == array->bytes.size());
  const auto header = tessera::npy_header(array->dtype, array->shape);
  std::vector<std::byte> written(header.size() + elements.size());
  const auto begin = std::as_bytes(std::span(header));
  std::copy(elements.begin(), elements.end(), std::copy(begin.begin(), begin.end(), written.begin()));
  const auto again = tessera::parse_npy(written, "again");
  CHECK(again.has_value() && again->shape == array->shape && again->dtype == array->dtype);
  return 0;
}
