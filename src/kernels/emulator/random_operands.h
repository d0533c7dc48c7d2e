// Random operands for trials of the fused kernels: blocks of ordinary weights, activations with rows past half's range.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "ops/tensor.h"
#include "quant/format.h"

namespace tessera::kernels::emulator {

// u8 (n, row bytes) in which only `rows` hold blocks: the others are zero, and cost no memory until they are touched.
// Scales are those of a trained model (d = +-7e-4), all other bytes are random.
ops::Tensor random_weight(const quant::Format& format, int64_t n, int64_t k, const std::vector<int64_t>& rows,
                          std::mt19937_64& rng);

// (rows, k), normal values. With `has_large_rows` every fourth row is multiplied by 2^20, which half cannot hold.
ops::Tensor random_activations(DType dtype, int64_t rows, int64_t k, bool has_large_rows, std::mt19937_64& rng);

}  // namespace tessera::kernels::emulator
