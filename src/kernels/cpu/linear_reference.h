// arithmetic.md in plain loops. Obviously correct comes first here; these are also the kernels of Isa::kScalar.
#pragma once

#include <cstdint>

#include "kernels/cpu/activations.h"
#include "kernels/cpu/linear.h"

namespace tessera::kernels::cpu {

void quantize_reference(const float* x, ActivationBlock256& out);                 // 256 values
void quantize_reference(const float* x, int n_groups, ActivationBlock32x8& out);  // 32 n_groups values, then zeros

// One output before the bias: row `row` of the weight times token `token`.
float dot_reference(const LinearWeight& weight, int64_t row, const ActivationView& x, int64_t token);

}  // namespace tessera::kernels::cpu
