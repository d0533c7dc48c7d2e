// Codes of a few bits as the array framework packs them: element j of a row occupies bits [j * bits, (j + 1) * bits) of
// a little-endian bit stream, read in 32-bit words (executorch-pte, "Packing"). ops/mlx_quant.h reads them.
#pragma once

#include <cstdint>
#include <span>

namespace tessera::quant {

// One row: `words` has codes.size() * bits / 32 entries, a whole number. Codes are below 2^bits, bits at most 8.
void pack_codes(std::span<const uint8_t> codes, int bits, uint32_t* words);

}  // namespace tessera::quant
