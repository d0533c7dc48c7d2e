// The device memory of one session by purpose: slots of the program, and scratch that launches share. First every size
// is asked for, then all is allocated at once: what is needed is known before anything happens, and addresses never
// change, as recorded work requires.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/result.h"
#include "kernels/cuda/gpu.h"

namespace tessera::runtime {

template <typename T>
std::span<const std::byte> bytes_of(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

class SessionMemory {
 public:
  enum class Use : int32_t {
    kSlot,   // index: of the place (lowering.cpp)
    kCache,  // index: of the slot
    kIds,
    kPosition,
    kRules,  // how a token is chosen
    kSuppressed,
    kHistory,
    kSampling,
    kCodes,  // a linear's input in its forms. Index: of the set; a linear that leaves the next one's reads the other
    kScales,
    kSums,
    kFloats,
    kHalves,
    kTokenScales,
    kGate,  // a gate and an up projection that are not one launch
    kUp,
    kParts,        // of rows of a linear, zero between launches
    kMatmulParts,  // the same of many tokens, of which the first kMatmulFlagBytes are
    kOutputs,      // of a linear that leaves the next one's input, zero between launches
    kQueries,
    kPartial,
    kArrivals,  // counters of attention, zero between launches
    kCos,       // index: of the rotation
    kSin,
  };

  // While sizes are collected: notes the largest and returns a place that must not be touched. After allocate(): the
  // address. Asking for more than was noted is a bug.
  kernels::cuda::Address get(Use use, uint32_t index, uint64_t bytes) {
    Entry& entry = entries_[{use, index}];
    if (!is_allocated_) {
      entry.bytes = std::max(entry.bytes, bytes);
      return 0;
    }
    CHECK(bytes <= entry.bytes);
    return entry.address;
  }

  // As noted; 0: nobody asked for it.
  uint64_t size(Use use, uint32_t index) const {
    const auto entry = entries_.find({use, index});
    return entry == entries_.end() ? 0 : entry->second.bytes;
  }
  uint64_t bytes() const {
    uint64_t total = 0;
    for (const auto& [key, entry] : entries_) total += entry.bytes;
    return total;
  }
  Status allocate(kernels::cuda::Gpu& gpu) {
    is_allocated_ = true;
    std::vector<uint64_t> sizes;
    for (const auto& [key, entry] : entries_) sizes.push_back(entry.bytes);
    arena_ = TRY(gpu.allocate(sizes));
    size_t i = 0;
    for (auto& [key, entry] : entries_) entry.address = arena_[i++];
    return {};
  }

 private:
  struct Entry {
    uint64_t bytes = 0;
    kernels::cuda::Address address = 0;
  };
  std::map<std::pair<Use, uint32_t>, Entry> entries_;
  kernels::cuda::Arena arena_;
  bool is_allocated_ = false;
};

}  // namespace tessera::runtime
