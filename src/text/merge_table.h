// (left id, right id) to the rank and result of their merge: a flat hash table, 16 bytes an entry.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "text/merger.h"
#include "text/vocabulary.h"

namespace tessera::text {

class MergeTable {
 public:
  // Of two merges of one pair the lower rank counts. Merges into control and byte tokens are left out: plain text must
  // never become one.
  explicit MergeTable(const Vocabulary& vocabulary);

  std::optional<Merger::Joined> find(int32_t left, int32_t right) const {
    if (left < 0 || right < 0) return std::nullopt;
    const Slot& slot = slots_[locate(key_of(left, right))];
    if (slot.result < 0) return std::nullopt;
    return Merger::Joined{slot.rank, slot.result};
  }

 private:
  struct Slot {
    uint64_t key = 0;
    uint32_t rank = 0;
    int32_t result = -1;  // -1: free
  };
  static uint64_t key_of(int32_t left, int32_t right) {
    return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
  }
  size_t locate(uint64_t key) const {
    // Fibonacci hashing; the upper bits of the product are the mixed ones.
    size_t i = (key * 0x9e3779b97f4a7c15u) >> shift_;
    while (slots_[i].result >= 0 && slots_[i].key != key) i = (i + 1) & (slots_.size() - 1);
    return i;
  }

  std::vector<Slot> slots_;  // a power of two, at most half full
  int shift_;
};

}  // namespace tessera::text
