// Where positions live in a ring cache of `n_slots`: position p in slot p mod n_slots.
#pragma once

#include <cstdint>

namespace tessera::ops {

// The position that `slot` holds once all positions below `end` (> 0) have been written; negative: none yet.
inline int64_t ring_position(int64_t slot, int64_t end, int64_t n_slots) {
  const int64_t last = (end - 1) % n_slots;  // the slot written last
  const int64_t position = end - 1 - last + slot;
  return slot <= last ? position : position - n_slots;
}

// Whether the query at `position` attends to what `slot` holds: written, not later, inside the window.
inline bool ring_attends(int64_t position, int64_t slot, int64_t end, int64_t n_slots, int64_t window) {
  const int64_t held = ring_position(slot, end, n_slots);
  return held >= 0 && held <= position && position - held < window;
}

}  // namespace tessera::ops
