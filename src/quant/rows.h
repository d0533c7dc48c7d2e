// Packed rows on every core, for those who convert or check whole files (compile/quantize_model.h,
// gguf/tensor_stream.h). The result does not depend on the number of threads. Rows hold row_values values (a multiple
// of the format's block) and follow each other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/result.h"
#include "base/thread_pool.h"
#include "quant/format.h"

namespace tessera::quant {

// NaN counts as 0 and infinity as the largest value the format holds (float formats keep both).
// Errors: kNotImplemented (Tessera does not write the format), kInvalidArgument (row length).
Status quantize_rows(const Format& format, const float* values, int64_t n_rows, int64_t row_values, void* out,
                     ThreadPool& pool);

// Errors: kNotImplemented (a format without numbers), kInvalidArgument (row length).
Status dequantize_rows(const Format& format, const void* blocks, int64_t n_rows, int64_t row_values, float* out,
                       ThreadPool& pool);

// The first block with an infinite or NaN scale: a damaged or badly made file. Bytes past the last whole block are not
// looked at.
std::optional<int64_t> find_bad_scale(const Format& format, std::span<const std::byte> blocks);

}  // namespace tessera::quant
