// Token text to id: a flat hash table over a vocabulary's texts, which it borrows.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace tessera::text {

class TokenIndex {
 public:
  TokenIndex() = default;
  // Room for `n_tokens` texts, whose ids are indices into `tokens`.
  explicit TokenIndex(std::span<const std::string_view> tokens);

  // The last id added of several with one text, as in the engines that wrote the files.
  void add(int32_t id);
  std::optional<int32_t> find(std::string_view text) const {
    const Slot& slot = slots_[locate(text)];
    return slot.id < 0 ? std::nullopt : std::optional(slot.id);
  }
  size_t longest() const { return longest_; }  // bytes of the longest text added

 private:
  struct Slot {
    uint32_t hash = 0;  // its upper half, to skip most comparisons
    int32_t id = -1;
  };
  size_t locate(std::string_view text) const;

  std::span<const std::string_view> tokens_;
  std::vector<Slot> slots_{Slot{}};  // a power of two, at most half full
  size_t longest_ = 0;
};

}  // namespace tessera::text
