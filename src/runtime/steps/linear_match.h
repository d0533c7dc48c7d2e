// Recognising linears in a program: the If over M with its two fused kernels, a fused mat-vec alone, a dense product
// with a transposed constant, and a QuantizedMatmul by affine constants (executorch-pte 5.5, 6.4, 6.5).
#pragma once

#include <optional>

#include "runtime/plan_builder.h"

namespace tessera::runtime {

// A run of linears over one version of one slot.
std::optional<Planned> match_linears(PlanBuilder& builder, size_t i);
// Linear (gate), GELU, linear (up), multiply - in that order or with both linears first.
std::optional<Planned> match_geglu(PlanBuilder& builder, size_t i);

}  // namespace tessera::runtime
