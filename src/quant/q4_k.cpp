#include "quant/q4_k.h"

#include "quant/bit_planes.h"
#include "quant/k_affine.h"
#include "quant/scales_6bit.h"

namespace tessera::quant {

AffineSuperBlock unpack(const Q4_K& block) {
  AffineSuperBlock out;
  out.d = block.d;
  out.dmin = block.dmin;
  unpack_scales_6bit(block.scales, out.scales, out.mins);
  for (int r = 0; r < 4; ++r) unpack_nibbles<32>(block.qs + 32 * r, out.codes + 64 * r);
  return out;
}

void dequantize(const Q4_K& block, float* out) { dequantize(unpack(block), out); }

void quantize(const float* values, Q4_K& block) {
  const AffineSuperBlock fit = fit_super_block(values, 15);
  block.d = fit.d;
  block.dmin = fit.dmin;
  pack_scales_6bit(fit.scales, fit.mins, block.scales);
  for (int r = 0; r < 4; ++r) pack_nibbles<32>(fit.codes + 64 * r, block.qs + 32 * r);
}

}  // namespace tessera::quant
