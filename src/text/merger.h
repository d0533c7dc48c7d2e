// The engine of both merging schemes: a row of symbols, neighbours of which are joined, best first, until no rule
// applies. O(n log n) for n symbols.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

namespace tessera::text {

class Merger {
 public:
  struct Symbol {
    uint32_t begin = 0, size = 0;  // bytes of the text; size 0: merged into its left neighbour
    int32_t id = -1;               // -1: not a token
    int32_t previous = -1, next = -1;
  };
  struct Joined {
    uint32_t priority;  // the lowest is joined first; among equals the leftmost
    int32_t id;         // of the joined symbol
  };

  void clear() {
    symbols_.clear();
    queue_.clear();
  }
  // Symbols follow each other in the text.
  void add(uint32_t begin, uint32_t size, int32_t id) {
    const auto index = static_cast<int32_t>(symbols_.size());
    if (index > 0) symbols_.back().next = index;
    symbols_.push_back({begin, size, id, index - 1, -1});
  }

  // `rule(left, right)` says what two neighbours become, if anything: std::optional<Joined>.
  template <typename Rule>
  void merge(Rule&& rule) {
    for (int32_t i = 1; i < static_cast<int32_t>(symbols_.size()); ++i) consider(rule, i - 1, i);
    std::make_heap(queue_.begin(), queue_.end(), ComesLater());
    while (!queue_.empty()) {
      std::pop_heap(queue_.begin(), queue_.end(), ComesLater());
      const Pair pair = queue_.back();
      queue_.pop_back();
      if (!join(pair)) continue;
      const Symbol& joined = at(pair.left());
      if (joined.previous >= 0) push(rule, joined.previous, pair.left());
      if (joined.next >= 0) push(rule, pair.left(), joined.next);
    }
  }

  // Calls f(symbol) for each that is left, in order.
  template <typename F>
  void for_each(F&& f) const {
    for (const Symbol& symbol : symbols_)
      if (symbol.size > 0) f(symbol);
  }

 private:
  // Two neighbours that could be joined; 16 bytes, because the queue of a long text does not fit a cache.
  struct Pair {
    uint64_t order;  // priority, then the index of the left symbol
    uint32_t size;   // of both together when they were queued: another size means one of them has changed
    int32_t id;
    int32_t left() const { return static_cast<int32_t>(order); }
  };
  struct ComesLater {  // a type, not a function: the heap's inner loop must inline it
    bool operator()(const Pair& a, const Pair& b) const { return a.order > b.order; }
  };
  Symbol& at(int32_t i) { return symbols_[static_cast<size_t>(i)]; }

  template <typename Rule>
  bool consider(Rule& rule, int32_t left, int32_t right) {
    const Symbol &a = at(left), &b = at(right);
    const std::optional<Joined> joined = rule(a, b);
    if (!joined) return false;
    queue_.push_back({uint64_t{joined->priority} << 32 | static_cast<uint32_t>(left), a.size + b.size, joined->id});
    return true;
  }
  template <typename Rule>
  void push(Rule& rule, int32_t left, int32_t right) {
    if (consider(rule, left, right)) std::push_heap(queue_.begin(), queue_.end(), ComesLater());
  }
  bool join(const Pair& pair) {
    Symbol& left = at(pair.left());
    if (left.size == 0 || left.next < 0) return false;
    Symbol& right = at(left.next);
    if (left.size + right.size != pair.size) return false;
    left.size = pair.size;
    left.id = pair.id;
    left.next = right.next;
    if (right.next >= 0) at(right.next).previous = pair.left();
    right.size = 0;
    return true;
  }

  std::vector<Symbol> symbols_;
  std::vector<Pair> queue_;
};

}  // namespace tessera::text
