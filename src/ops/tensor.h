// ops::Tensor: a contiguous row-major array in host memory, the currency of the scalar references and of the
// interpreter. Copying a Tensor shares its bytes; whoever writes allocates (or holds the only reference). Constants
// borrow mapped file bytes through `owner` and are never written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/check.h"
#include "base/dtype.h"
#include "base/result.h"
#include "base/shape.h"

namespace tessera::ops {

struct Tensor {
  DType dtype = DType::kF32;
  Shape shape;
  std::byte* data = nullptr;
  std::shared_ptr<const void> owner;  // keeps `data` alive; unique() means nobody else sees the bytes
  bool read_only = false;             // borrowed constant

  // Uninitialised, 64-byte aligned. Errors: kOutOfMemory when the size overflows or the system refuses.
  static Result<Tensor> allocate(DType dtype, const Shape& shape);
  // All bytes zero. Large ones are pages the system makes at the first touch: a cache for a context that is never used
  // takes neither memory nor time.
  static Result<Tensor> zeroed(DType dtype, const Shape& shape);
  // Read-only. as<T>() reads the bytes where they lie: `bytes` must be a multiple of the element's size.
  static Tensor borrow(DType dtype, const Shape& shape, const void* bytes, std::shared_ptr<const void> owner);

  bool is_set() const { return owner != nullptr; }
  int64_t n_elements() const { return shape.n_elements(); }
  size_t n_bytes() const { return static_cast<size_t>(n_elements()) * size_of(dtype); }
  bool unique() const { return owner.use_count() == 1 && !read_only; }
  // The same bytes under another shape of equal element count.
  Tensor reshaped(const Shape& to) const {
    DCHECK(to.n_elements() == n_elements());
    Tensor out = *this;
    out.shape = to;
    return out;
  }
  template <typename T>
  T* as() {
    return reinterpret_cast<T*>(data);
  }
  template <typename T>
  const T* as() const {
    return reinterpret_cast<const T*>(data);
  }
  std::span<const std::byte> bytes() const { return {data, n_bytes()}; }
};

}  // namespace tessera::ops
