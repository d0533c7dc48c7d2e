// Memory that calls reuse: 64-byte aligned, so that no vector crosses a cache line, and never smaller than it was.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "base/check.h"
#include "base/checked_math.h"

namespace tessera {

class ScratchBuffer {
 public:
  // Room for n values, of any content: what an earlier call wrote is lost where the memory had to grow.
  template <typename T>
  T* reserve(int64_t n) {
    const size_t bytes = static_cast<size_t>(n) * sizeof(T);
    if (bytes > (data_ ? capacity_ : 0)) {  // data_ may have moved elsewhere
      data_.reset();
      data_.reset(std::aligned_alloc(kAlignment, align_up(bytes, kAlignment)));
      CHECK(data_ != nullptr);
      capacity_ = bytes;
    }
    return static_cast<T*>(data_.get());
  }

 private:
  static constexpr size_t kAlignment = 64;
  struct Free {
    void operator()(void* p) const { std::free(p); }
  };

  std::unique_ptr<void, Free> data_;
  size_t capacity_ = 0;
};

}  // namespace tessera
