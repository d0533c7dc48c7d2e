// Activations whose reference rounds to x's dtype at every step, so that they are more than a table row.
#pragma once

#include "ops/tensor.h"

namespace tessera::ops {

// x * sigmoid(x), the sigmoid rounded first. Float x.
Result<Tensor> silu(const Tensor& x);

// tanh form: 0.5 x (1 + tanh(0.79788456 (x + 0.044715 x^3))); else 0.5 x (1 + erf(0.70710678 x)). Every constant and
// intermediate is rounded to x's dtype; a fused kernel may keep f32. Float x.
Result<Tensor> gelu(const Tensor& x, bool tanh_form);

}  // namespace tessera::ops
