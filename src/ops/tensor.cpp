#include "ops/tensor.h"

#include <cstdlib>

#include "base/checked_math.h"

namespace tessera::ops {

Result<Tensor> Tensor::allocate(DType dtype, const Shape& shape) {
  size_t bytes = size_of(dtype);
  for (int64_t dim : shape) {
    const auto next = checked_mul(bytes, static_cast<size_t>(dim));
    if (dim < 0 || !next) return make_error(ErrorCode::kOutOfMemory, "tensor {} {} is too large", name_of(dtype), to_string(shape));
    bytes = *next;
  }
  constexpr size_t kAlignment = 64;
  const auto padded = checked_align_up(bytes == 0 ? size_t{1} : bytes, kAlignment);
  void* memory = padded ? std::aligned_alloc(kAlignment, *padded) : nullptr;
  if (!memory) return make_error(ErrorCode::kOutOfMemory, "no memory for a tensor {} {} of {} bytes", name_of(dtype), to_string(shape), bytes);
  Tensor out;
  out.dtype = dtype;
  out.shape = shape;
  out.data = static_cast<std::byte*>(memory);
  out.owner = std::shared_ptr<const void>(memory, std::free);
  return out;
}

Tensor Tensor::borrow(DType dtype, const Shape& shape, const void* bytes, std::shared_ptr<const void> owner) {
  Tensor out;
  out.dtype = dtype;
  out.shape = shape;
  out.data = static_cast<std::byte*>(const_cast<void*>(bytes));
  // Always non-null, so that is_set() holds for static storage too.
  static const auto kStatic = std::make_shared<int>(0);
  out.owner = owner ? std::move(owner) : kStatic;
  out.read_only = true;
  return out;
}

}  // namespace tessera::ops
