#include "kernels/emulator/random_operands.h"

#include <sys/mman.h>

#include <memory>

#include "base/check.h"
#include "base/float16.h"
#include "ops/elements.h"
#include "quant/q4_k.h"
#include "quant/q5_k.h"
#include "quant/q6_k.h"

namespace tessera::kernels::emulator {
namespace {

constexpr float kScale = 7e-4f;

void set_scales(const quant::Format& format, std::byte* block, std::mt19937_64& rng) {
  const F16 d = to_f16(rng() % 2 ? kScale : -kScale), dmin = to_f16(kScale);
  const auto store = [&](size_t offset, F16 value) { std::memcpy(block + offset, &value, sizeof(value)); };
  switch (format.type) {
    case quant::GgmlType::kQ4_K:
      store(offsetof(quant::Q4_K, d), d);
      return store(offsetof(quant::Q4_K, dmin), dmin);
    case quant::GgmlType::kQ5_K:
      store(offsetof(quant::Q5_K, d), d);
      return store(offsetof(quant::Q5_K, dmin), dmin);
    case quant::GgmlType::kQ6_K:
      for (size_t i = 0; i < sizeof(quant::Q6_K::scales); ++i) {
        const auto scale = static_cast<int8_t>(static_cast<int>(rng() % 33) - 16);
        std::memcpy(block + offsetof(quant::Q6_K, scales) + i, &scale, 1);
      }
      return store(offsetof(quant::Q6_K, d), d);
    default:
      check_failed(__FILE__, __LINE__, "a format with Metal kernels");
  }
}

// Zeroed bytes that the system provides page by page.
std::shared_ptr<std::byte> lazy_bytes(size_t size) {
  void* mapped = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CHECK(mapped != MAP_FAILED);
  return {static_cast<std::byte*>(mapped), [size](std::byte* p) { munmap(p, size); }};
}

}  // namespace

ops::Tensor random_weight(const quant::Format& format, int64_t n, int64_t k, const std::vector<int64_t>& rows,
                          std::mt19937_64& rng) {
  const int64_t row_bytes = format.bytes_for(k);
  const std::shared_ptr<std::byte> bytes = lazy_bytes(static_cast<size_t>(n * row_bytes));
  for (int64_t row : rows) {
    std::byte* begin = bytes.get() + row * row_bytes;
    for (int64_t i = 0; i < row_bytes; ++i) begin[i] = static_cast<std::byte>(rng());
    for (int64_t i = 0; i < row_bytes; i += format.block_bytes) set_scales(format, begin + i, rng);
  }
  return ops::Tensor::borrow(DType::kU8, {n, row_bytes}, bytes.get(), bytes);
}

ops::Tensor random_activations(DType dtype, int64_t rows, int64_t k, bool has_large_rows, std::mt19937_64& rng) {
  ops::Tensor x = ops::Tensor::allocate(dtype, {rows, k}).value();
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(k));
  for (int64_t row = 0; row < rows; ++row) {
    const float factor = has_large_rows && row % 4 == 1 ? 0x1p20f : 1.0f;
    for (float& value : values) value = normal(rng) * factor;
    ops::store(values.data(), k, x, row * k);
  }
  return x;
}

}  // namespace tessera::kernels::emulator
