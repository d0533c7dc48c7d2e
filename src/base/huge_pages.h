// Pages of 2 MB for memory that is read from one end to the other: weights, and what measures the speed of reading.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdlib>
#include <memory>

#include "base/checked_math.h"

namespace tessera {

inline constexpr size_t kHugePageBytes = size_t{2} << 20;

// Wherever the system has such pages it may use them for these bytes, which begin on a page. Small pages cost a walk
// through the page tables every 4 kB: 15 to 20 % of the speed of reading on a virtual Xeon. Advice: it cannot fail.
inline void advise_huge_pages(void* data, size_t size) {
#ifdef MADV_HUGEPAGE
  ::madvise(data, size, MADV_HUGEPAGE);
#else
  static_cast<void>(data), static_cast<void>(size);
#endif
}

struct FreeBytes {
  void operator()(std::byte* bytes) const { std::free(bytes); }
};
using HugeBytes = std::unique_ptr<std::byte, FreeBytes>;

// `size` bytes of any value in such pages; null where there is no memory.
inline HugeBytes allocate_huge(size_t size) {
  size = align_up(size, kHugePageBytes);
  HugeBytes bytes(static_cast<std::byte*>(std::aligned_alloc(kHugePageBytes, size)));
  if (bytes) advise_huge_pages(bytes.get(), size);
  return bytes;
}

}  // namespace tessera
