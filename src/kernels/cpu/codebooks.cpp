#include "kernels/cpu/codebooks.h"

#include <cstddef>

#include "quant/iq_codebooks.h"

namespace tessera::kernels::cpu {
namespace {

template <size_t n>
void spread_eights(const uint16_t (&grid)[n], uint32_t (&out)[n]) {
  for (size_t e = 0; e < n; ++e)
    for (int i = 0; i < 8; ++i) out[e] |= uint32_t{(grid[e] >> 2 * i) & 3u} << (8 * (i % 4) + 4 * (i / 4));
}

template <size_t n>
void spread_fours(const uint16_t (&grid)[n], const uint8_t (&magnitudes)[8], int bias, uint32_t (&out)[n]) {
  for (size_t e = 0; e < n; ++e)
    for (int i = 0; i < 4; ++i) out[e] |= static_cast<uint32_t>(magnitudes[(grid[e] >> 3 * i) & 7] + bias) << 8 * i;
}

Codebooks spread() {
  Codebooks out{};
  spread_eights(quant::kIQ1_grid, out.iq1);
  spread_eights(quant::kIQ2_XXS_grid, out.iq2_xxs);
  spread_eights(quant::kIQ2_XS_grid, out.iq2_xs);
  spread_eights(quant::kIQ2_S_grid, out.iq2_s);
  spread_fours(quant::kIQ3_XXS_grid, quant::kIQ3_XXS_magnitudes, kIQ3_XXS_bias, out.iq3_xxs);
  spread_fours(quant::kIQ3_S_grid, quant::kIQ3_S_magnitudes, kIQ3_S_bias, out.iq3_s);
  return out;
}

}  // namespace

const Codebooks kCodebooks = spread();

}  // namespace tessera::kernels::cpu
