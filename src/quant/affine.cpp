#include "quant/affine.h"

namespace tessera::quant {

std::vector<float> dequantize(const AffineRows& rows, const AffineShape& shape) {
  std::vector<float> out(rows.codes.size());
  for (size_t i = 0; i < out.size(); ++i) {
    const size_t group = i / static_cast<size_t>(shape.group_size);  // groups do not cross rows
    out[i] = rows.scales[group] * (static_cast<float>(rows.codes[i]) - rows.zeros[group]);
  }
  return out;
}

}  // namespace tessera::quant
