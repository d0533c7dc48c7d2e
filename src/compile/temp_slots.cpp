#include "compile/temp_slots.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <queue>

#include "program/def_use.h"

namespace tessera::compile {
namespace {

constexpr int kNever = -1;

// First and last instruction that touches a temporary, in the order in which chains are listed: an If's two chains come
// one after the other, at the place of the If. Of two chains only one runs, so counting both is never too short.
struct Lifetime {
  int first = kNever, last = kNever;
};

class Lifetimes {
 public:
  Lifetimes(const std::vector<program::Chain>& chains, uint32_t first, uint32_t n)
      : of(n), chains_(chains), first_(first) {}

  void walk(uint32_t chain) {
    for (const program::Node& node : chains_[chain]) {
      program::for_each_chain(node, [&](uint32_t inner) { walk(inner); });
      program::for_each_slot(node, [&](program::SlotRole role, uint32_t idx) {
        if (role == program::SlotRole::kUse || role == program::SlotRole::kDef) touch(idx);
      });
      ++now_;
    }
  }

  std::vector<Lifetime> of;

 private:
  void touch(uint32_t idx) {
    if (idx < first_ || idx - first_ >= of.size()) return;
    Lifetime& lifetime = of[idx - first_];
    if (lifetime.first == kNever) lifetime.first = now_;
    lifetime.last = now_;
  }

  const std::vector<program::Chain>& chains_;
  const uint32_t first_;
  int now_ = 0;
};

}  // namespace

std::vector<uint32_t> assign_temp_slots(const std::vector<program::Chain>& chains, uint32_t main, uint32_t first,
                                        uint32_t n) {
  Lifetimes lifetimes(chains, first, n);
  lifetimes.walk(main);
  std::vector<uint32_t> order(n);
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(),
                   [&](uint32_t a, uint32_t b) { return lifetimes.of[a].first < lifetimes.of[b].first; });

  using Busy = std::pair<int, uint32_t>;  // last instruction, slot
  std::priority_queue<Busy, std::vector<Busy>, std::greater<>> busy;
  std::priority_queue<uint32_t, std::vector<uint32_t>, std::greater<>> free;
  std::vector<uint32_t> slots(n, 0);
  uint32_t n_slots = 0;
  for (uint32_t temp : order) {
    const Lifetime lifetime = lifetimes.of[temp];
    if (lifetime.first == kNever) continue;
    for (; !busy.empty() && busy.top().first < lifetime.first; busy.pop()) free.push(busy.top().second);
    if (free.empty()) free.push(n_slots++);
    slots[temp] = free.top();
    free.pop();
    busy.emplace(lifetime.last, slots[temp]);
  }
  return slots;
}

}  // namespace tessera::compile
