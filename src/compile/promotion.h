// The dtype of an instruction's result when its float operands differ (executorch-pte, "General rules").
#pragma once

#include "base/dtype.h"

namespace tessera::compile {

// f16 with bf16 gives f32, and so does f32 with either.
constexpr DType promote(DType a, DType b) { return a == b ? a : DType::kF32; }

}  // namespace tessera::compile
