#include "text/merge_table.h"

#include <bit>

namespace tessera::text {

MergeTable::MergeTable(const Vocabulary& vocabulary)
    : slots_(std::bit_ceil(2 * vocabulary.merges.size() + 2)), shift_(64 - std::countr_zero(slots_.size())) {
  for (size_t rank = 0; rank < vocabulary.merges.size(); ++rank) {
    const Merge& merge = vocabulary.merges[rank];
    if (merge.is_hole()) continue;
    const TokenType type = vocabulary.types[static_cast<size_t>(merge.result)];
    if (type == TokenType::kControl || type == TokenType::kUnknown || type == TokenType::kByte) continue;
    const uint64_t key = key_of(merge.left, merge.right);
    Slot& slot = slots_[locate(key)];
    if (slot.result < 0) slot = {key, static_cast<uint32_t>(rank), merge.result};
  }
}

}  // namespace tessera::text
