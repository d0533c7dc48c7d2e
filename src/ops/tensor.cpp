#include "ops/tensor.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "base/checked_math.h"

namespace tessera::ops {
namespace {

// Freed blocks by exact size. The slots of a step ask for the same sizes again at every token; handing large ones back
// to the system would cost a page fault per 4 KiB each time (measured: a third of a prefill step).
class BlockCache {
 public:
  static constexpr size_t kAlignment = 64;
  static constexpr size_t kMaxCachedBytes = size_t{128} << 20;

  static BlockCache& instance() {
    static auto* cache = new BlockCache;  // never destroyed: tensors may outlive static storage
    return *cache;
  }
  void* take(size_t bytes) {
    {
      std::lock_guard lock(mutex_);
      auto found = free_.find(bytes);
      if (found != free_.end() && !found->second.empty()) {
        void* block = found->second.back();
        found->second.pop_back();
        cached_bytes_ -= bytes;
        return block;
      }
    }
    void* block = std::aligned_alloc(kAlignment, bytes);
    if (block) return block;
    release_all();
    return std::aligned_alloc(kAlignment, bytes);
  }
  void give_back(void* block, size_t bytes) {
    {
      std::lock_guard lock(mutex_);
      if (cached_bytes_ + bytes <= kMaxCachedBytes) {
        free_[bytes].push_back(block);
        cached_bytes_ += bytes;
        return;
      }
    }
    std::free(block);
    release_all();  // the sizes of another step: make room for the present ones
  }

 private:
  void release_all() {
    std::lock_guard lock(mutex_);
    for (auto& [bytes, blocks] : free_)
      for (void* block : blocks) std::free(block);
    free_.clear();
    cached_bytes_ = 0;
  }
  std::mutex mutex_;
  std::unordered_map<size_t, std::vector<void*>> free_;
  size_t cached_bytes_ = 0;
};

// From this size on zeros come from the system page by page.
constexpr size_t kLazyBytes = size_t{1} << 20;

Result<size_t> bytes_of(DType dtype, const Shape& shape) {
  size_t bytes = size_of(dtype);
  bool empty = false;
  for (int64_t dim : shape) {  // an empty tensor's other sizes must be sane as well
    empty = empty || dim == 0;
    const auto next = checked_mul(bytes, static_cast<size_t>(std::max<int64_t>(dim, 1)));
    if (dim < 0 || !next)
      return make_error(ErrorCode::kOutOfMemory, "tensor {} {} is too large", name_of(dtype), to_string(shape));
    bytes = *next;
  }
  return empty ? size_t{0} : bytes;
}

Error no_memory(DType dtype, const Shape& shape, size_t bytes) {
  return make_error(ErrorCode::kOutOfMemory, "no memory for a tensor {} {} of {} bytes", name_of(dtype),
                    to_string(shape), bytes);
}

Tensor owning(DType dtype, const Shape& shape, void* memory, std::shared_ptr<const void> owner) {
  Tensor out;
  out.dtype = dtype;
  out.shape = shape;
  out.data = static_cast<std::byte*>(memory);
  out.owner = std::move(owner);
  return out;
}

}  // namespace

Result<Tensor> Tensor::allocate(DType dtype, const Shape& shape) {
  const size_t bytes = TRY(bytes_of(dtype, shape));
  const auto padded = checked_align_up(bytes == 0 ? size_t{1} : bytes, BlockCache::kAlignment);
  void* memory = padded ? BlockCache::instance().take(*padded) : nullptr;
  if (!memory) return no_memory(dtype, shape, bytes);
  return owning(dtype, shape, memory, std::shared_ptr<const void>(memory, [size = *padded](const void* block) {
                  BlockCache::instance().give_back(const_cast<void*>(block), size);
                }));
}

Result<Tensor> Tensor::zeroed(DType dtype, const Shape& shape) {
  const size_t bytes = TRY(bytes_of(dtype, shape));
  if (bytes < kLazyBytes) {
    Tensor out = TRY(allocate(dtype, shape));
    std::memset(out.data, 0, bytes);
    return out;
  }
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return no_memory(dtype, shape, bytes);
  return owning(dtype, shape, memory, std::shared_ptr<const void>(memory, [bytes](const void* pages) {
                  ::munmap(const_cast<void*>(pages), bytes);
                }));
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
