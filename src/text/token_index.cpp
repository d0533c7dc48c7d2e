#include "text/token_index.h"

#include <algorithm>
#include <bit>
#include <functional>

namespace tessera::text {

static_assert(sizeof(size_t) == 8);

TokenIndex::TokenIndex(std::span<const std::string_view> tokens)
    : tokens_(tokens), slots_(std::bit_ceil(2 * tokens.size() + 1)) {}

size_t TokenIndex::locate(std::string_view text) const {
  const size_t hash = std::hash<std::string_view>()(text);
  const auto tag = static_cast<uint32_t>(hash >> 32);
  const size_t mask = slots_.size() - 1;
  size_t i = hash & mask;
  while (slots_[i].id >= 0 && (slots_[i].hash != tag || tokens_[static_cast<size_t>(slots_[i].id)] != text)) {
    i = (i + 1) & mask;
  }
  return i;
}

void TokenIndex::add(int32_t id) {
  const std::string_view text = tokens_[static_cast<size_t>(id)];
  slots_[locate(text)] = {static_cast<uint32_t>(std::hash<std::string_view>()(text) >> 32), id};
  longest_ = std::max(longest_, text.size());
}

}  // namespace tessera::text
