// Any bytes as a safetensors file of torchao's: an error, or matrices whose every row can be read.
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/check.h"
#include "models/torchao.h"

namespace {

using namespace tessera;

void check_matrix(const safetensors::Checkpoint& checkpoint, const std::string& name, models::Int4Zeros zeros) {
  const auto matrix = models::torchao_matrix(checkpoint, name, zeros);
  if (!matrix || !*matrix) return;
  const quant::AffineShape& shape = (*matrix)->shape();
  const auto rows = (*matrix)->rows(0, shape.n);
  if (!rows) return;
  CHECK(static_cast<int64_t>(rows->codes.size()) == shape.n * shape.k);
  CHECK(static_cast<int64_t>(rows->scales.size()) == shape.n * (shape.k / shape.group_size));
  CHECK(rows->zeros.size() == rows->scales.size());
  for (const uint8_t code : rows->codes) CHECK(code < 1 << shape.bits);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto file = safetensors::File::from_bytes(std::as_bytes(std::span(data, size)), "fuzz", nullptr);
  if (!file) return 0;
  const safetensors::Checkpoint checkpoint{.tensors = std::move(file->tensors), .metadata = std::move(file->metadata)};
  static_cast<void>(models::torchao_names(checkpoint).has_value());
  for (const auto& [name, text] : checkpoint.metadata)
    for (const auto zeros : {models::Int4Zeros::kCodes, models::Int4Zeros::kValues})
      check_matrix(checkpoint, name, zeros);
  return 0;
}
