#include "quant/param_array.h"

#include <cstring>

#include "base/check.h"
#include "base/float16.h"

namespace tessera::quant {
namespace {

template <typename T>
T load(const ParamArray& params, size_t index) {
  T value;
  DCHECK((index + 1) * sizeof(T) <= params.bytes.size());
  std::memcpy(&value, params.bytes.data() + index * sizeof(T), sizeof(T));
  return value;
}

template <typename T>
void store(ParamArray& params, size_t index, T value) {
  std::memcpy(params.bytes.data() + index * sizeof(T), &value, sizeof(T));
}

}  // namespace

bool is_param_dtype(DType dtype) { return is_activation_dtype(dtype); }

float ParamArray::operator[](size_t index) const {
  if (dtype == DType::kF16) return to_f32(load<F16>(*this, index));
  if (dtype == DType::kBF16) return to_f32(load<BF16>(*this, index));
  return load<float>(*this, index);
}

ParamArray to_params(std::span<const float> values, DType dtype) {
  CHECK(is_param_dtype(dtype));
  ParamArray out{dtype, std::vector<std::byte>(values.size() * size_of(dtype))};
  for (size_t i = 0; i < values.size(); ++i) {
    if (dtype == DType::kF16)
      store(out, i, to_f16(values[i]));
    else if (dtype == DType::kBF16)
      store(out, i, to_bf16(values[i]));
    else
      store(out, i, values[i]);
  }
  return out;
}

}  // namespace tessera::quant
