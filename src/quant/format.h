// The weight formats a GGUF file may hold: one row per ggml tensor type, with sizes for all of them and functions for
// those Tessera can read or write. Adding a format is one header with its bit layout (quant/<name>.h) and one row in
// format.cpp; nothing else switches over types.
//
// Type codes, block sizes and layouts: ggml (include/ggml.h, src/ggml-common.h), credited in NOTICE.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/dtype.h"
#include "base/result.h"

namespace tessera::quant {

// ggml's enum ggml_type; the value stored in a GGUF tensor info.
enum class GgmlType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ8_1 = 9,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kQ8_K = 15,
  kIQ2_XXS = 16,
  kIQ2_XS = 17,
  kIQ3_XXS = 18,
  kIQ1_S = 19,
  kIQ4_NL = 20,
  kIQ3_S = 21,
  kIQ2_S = 22,
  kIQ4_XS = 23,
  kI8 = 24,
  kI16 = 25,
  kI32 = 26,
  kI64 = 27,
  kF64 = 28,
  kIQ1_M = 29,
  kBF16 = 30,
  kTQ1_0 = 34,
  kTQ2_0 = 35,
  kMXFP4 = 39,
  kNVFP4 = 40,
  kQ1_0 = 41,
  kQ2_0 = 42,
};

// Reads `n_values` (a multiple of block_values) from packed blocks into f32. Arithmetic and order are ggml's, so the
// result is bit-equal to its reference.
using DequantizeFn = void (*)(const void* blocks, int64_t n_values, float* out);
// Packs `n_values` (a multiple of block_values) of one row or part of a row.
using QuantizeFn = void (*)(const float* values, int64_t n_values, void* blocks);
// Index of the first of `n_blocks` blocks whose scale is infinite or NaN (of a float type: that is so itself), or -1.
using FindBadBlockFn = int64_t (*)(const void* blocks, int64_t n_blocks);

struct Format {
  GgmlType type;
  std::string_view name;          // ggml's spelling: "Q4_K", "IQ2_XXS", "BF16"
  std::string_view kernel_name;   // as in fused kernel names: "q4k", "q8_0", "bf16" (gguf_<kernel_name>_matvec)
  int block_values;               // values per block
  int block_bytes;                // bytes per block
  DequantizeFn dequantize;        // nullptr: recognised (sizes are known) but not readable as numbers
  QuantizeFn quantize;            // nullptr: Tessera does not write this format
  FindBadBlockFn find_bad_block;  // nullptr: every bit pattern is a valid block

  // Bytes of `n_values` packed values; n_values must be a multiple of block_values.
  int64_t bytes_for(int64_t n_values) const { return n_values / block_values * block_bytes; }
};

// The row of a type code, or nullptr for a code that is unknown or was removed from ggml.
const Format* find_format(GgmlType type);
// By name, case-insensitive, either spelling ("q4_k" or "q4k").
const Format* find_format(std::string_view name);
// Formats whose values are numbers of their own, not blocks: F32, F16, BF16; nothing of all others.
std::optional<DType> dense_dtype(const Format& format);
const Format* format_of_floats(DType dtype);  // of those; nullptr: it has none
std::span<const Format> all_formats();
// "Q4_0, Q5_0, ...": the names for which `predicate` holds, for error messages.
std::string list_formats(bool (*predicate)(const Format&));

}  // namespace tessera::quant
