#include "quant/code_words.h"

#include "base/check.h"

namespace tessera::quant {

void pack_codes(std::span<const uint8_t> codes, int bits, uint32_t* words) {
  CHECK(codes.size() * static_cast<size_t>(bits) % 32 == 0);
  uint64_t waiting = 0;  // bits not yet written, the oldest lowest
  int n_waiting = 0;
  for (const uint8_t code : codes) {
    waiting |= uint64_t{code} << n_waiting;
    n_waiting += bits;
    if (n_waiting < 32) continue;
    *words++ = static_cast<uint32_t>(waiting);
    waiting >>= 32;
    n_waiting -= 32;
  }
}

}  // namespace tessera::quant
