#include "kernels/cpu/affine_groups.h"

#include <cmath>
#include <cstring>

#include "base/check.h"
#include "base/float16.h"

namespace tessera::kernels::cpu {
namespace {

float param_at(DType dtype, const std::byte* params, int64_t index) {
  const std::byte* at = params + index * static_cast<int64_t>(size_of(dtype));
  if (dtype == DType::kF32) {
    float value;
    std::memcpy(&value, at, sizeof(value));
    return value;
  }
  uint16_t half;
  std::memcpy(&half, at, sizeof(half));
  return dtype == DType::kF16 ? to_f32(F16{half}) : to_f32(BF16{half});
}

// Eight codes are as many bytes as a code has bits.
template <int bits>
void dequantize_group(const std::byte* codes, int n, float scale, float bias, float* out) {
  for (int i = 0; i < n; i += 8, codes += bits) {
    uint64_t eight = 0;
    std::memcpy(&eight, codes, bits);
    for (int j = 0; j < 8; ++j)
      out[i + j] = std::fma(scale, static_cast<float>((eight >> (bits * j)) & ((1u << bits) - 1)), bias);
  }
}

using GroupFn = void (*)(const std::byte* codes, int n, float scale, float bias, float* out);

GroupFn group_fn(int bits) {
  constexpr GroupFn kByBits[] = {nullptr,
                                 nullptr,
                                 dequantize_group<2>,
                                 dequantize_group<3>,
                                 dequantize_group<4>,
                                 dequantize_group<5>,
                                 dequantize_group<6>,
                                 nullptr,
                                 dequantize_group<8>};
  DCHECK(bits >= 2 && bits <= 8 && kByBits[bits] != nullptr);
  return kByBits[bits];
}

}  // namespace

AffineGroups AffineGroups::from_row(int64_t row, int64_t k) const {
  AffineGroups out = *this;
  out.scales += row * param_row_bytes(k);
  out.biases += row * param_row_bytes(k);
  return out;
}

float AffineGroups::scale(int64_t index) const { return param_at(dtype, scales, index); }
float AffineGroups::bias(int64_t index) const { return param_at(dtype, biases, index); }

uint32_t code_at(const std::byte* row, int64_t j, int bits) {
  uint32_t code = 0;
  for (int bit = 0; bit < bits; ++bit) {
    const int64_t at = j * bits + bit;
    code |= ((static_cast<uint32_t>(row[at / 8]) >> (at % 8)) & 1) << bit;
  }
  return code;
}

void dequantize(const AffineGroups& groups, const std::byte* codes, int64_t row, int64_t k, int64_t begin, int64_t n,
                float* out) {
  DCHECK(begin % groups.group_size == 0 && n % groups.group_size == 0);
  const GroupFn run = group_fn(groups.bits);
  const int64_t first = (row * k + begin) / groups.group_size;
  for (int64_t g = 0; g < n / groups.group_size; ++g) {
    const int64_t at = g * groups.group_size;
    run(codes + (begin + at) * groups.bits / 8, groups.group_size, groups.scale(first + g), groups.bias(first + g),
        out + at);
  }
}

}  // namespace tessera::kernels::cpu
