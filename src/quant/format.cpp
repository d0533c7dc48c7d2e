#include "quant/format.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>

#include "base/float16.h"
#include "quant/iq1_m.h"
#include "quant/iq1_s.h"
#include "quant/iq2_s.h"
#include "quant/iq2_xs.h"
#include "quant/iq2_xxs.h"
#include "quant/iq3_s.h"
#include "quant/iq3_xxs.h"
#include "quant/iq4_nl.h"
#include "quant/iq4_xs.h"
#include "quant/mxfp4.h"
#include "quant/nvfp4.h"
#include "quant/q1_0.h"
#include "quant/q2_0.h"
#include "quant/q2_k.h"
#include "quant/q3_k.h"
#include "quant/q4_0.h"
#include "quant/q4_1.h"
#include "quant/q4_k.h"
#include "quant/q5_0.h"
#include "quant/q5_1.h"
#include "quant/q5_k.h"
#include "quant/q6_k.h"
#include "quant/q8_0.h"
#include "quant/tq1_0.h"
#include "quant/tq2_0.h"

namespace tessera::quant {
namespace {

// Blocks are copied in and out one by one: a file may align its tensors to a single byte.
template <typename Block>
Block load_block(const void* blocks, int64_t index) {
  Block block;
  std::memcpy(&block, static_cast<const char*>(blocks) + index * static_cast<int64_t>(sizeof(Block)), sizeof(Block));
  return block;
}

template <typename Block>
void dequantize_blocks(const void* blocks, int64_t n_values, float* out) {
  for (int64_t b = 0; b < n_values / Block::kValues; ++b) {
    dequantize(load_block<Block>(blocks, b), out + b * Block::kValues);
  }
}

template <typename Block>
void quantize_blocks(const float* values, int64_t n_values, void* blocks) {
  for (int64_t b = 0; b < n_values / Block::kValues; ++b) {
    Block block;
    quantize(values + b * Block::kValues, block);
    std::memcpy(static_cast<char*>(blocks) + b * static_cast<int64_t>(sizeof(Block)), &block, sizeof(Block));
  }
}

bool is_finite(F16 value) { return (value.bits & 0x7c00) != 0x7c00; }
bool is_finite(BF16 value) { return (value.bits & 0x7f80) != 0x7f80; }
bool is_finite(float value) { return std::isfinite(value); }

// A block's scales, by the names the format headers give them.
template <typename Block>
bool has_finite_scales(const Block& block) {
  if constexpr (requires { block.d.bits; }) {
    if (!is_finite(block.d)) return false;
  }
  if constexpr (requires { block.dmin; }) {
    if (!is_finite(block.dmin)) return false;
  }
  if constexpr (requires { block.m; }) {
    if (!is_finite(block.m)) return false;
  }
  return true;
}
bool has_finite_scales(const IQ1_M& block) { return is_finite(scale_of(block)); }
bool has_finite_scales(const MXFP4& block) { return block.e != 0xff; }

template <typename Block>
int64_t find_bad_block(const void* blocks, int64_t n_blocks) {
  for (int64_t b = 0; b < n_blocks; ++b) {
    if (!has_finite_scales(load_block<Block>(blocks, b))) return b;
  }
  return -1;
}

template <typename Block>
constexpr Format block_format(GgmlType type, std::string_view name, std::string_view kernel_name) {
  QuantizeFn quantize_fn = nullptr;
  if constexpr (requires(const float* values, Block& block) { quantize(values, block); }) {
    quantize_fn = quantize_blocks<Block>;
  }
  return {type,          name,
          kernel_name,   Block::kValues,
          sizeof(Block), dequantize_blocks<Block>,
          quantize_fn,   find_bad_block<Block>};
}

// Float types, a value at a time. Narrowing keeps NaN and infinity: they are values here, not scales.
float widen(float value) { return value; }
float widen(F16 value) { return to_f32(value); }
float widen(BF16 value) { return to_f32(value); }
void narrow(float value, float& out) { out = value; }
void narrow(float value, F16& out) { out = to_f16(value); }
void narrow(float value, BF16& out) { out = to_bf16(value); }

template <typename Float>
void widen_values(const void* values, int64_t n_values, float* out) {
  for (int64_t i = 0; i < n_values; ++i) out[i] = widen(load_block<Float>(values, i));
}

template <typename Float>
void narrow_values(const float* values, int64_t n_values, void* out) {
  for (int64_t i = 0; i < n_values; ++i) {
    Float value;
    narrow(values[i], value);
    std::memcpy(static_cast<char*>(out) + i * static_cast<int64_t>(sizeof(Float)), &value, sizeof(Float));
  }
}

template <typename Float>
int64_t find_bad_value(const void* values, int64_t n_values) {
  for (int64_t i = 0; i < n_values; ++i) {
    if (!is_finite(load_block<Float>(values, i))) return i;
  }
  return -1;
}

template <typename Float>
constexpr Format float_format(GgmlType type, std::string_view name, std::string_view kernel_name) {
  return {type, name, kernel_name, 1, sizeof(Float), widen_values<Float>, narrow_values<Float>, find_bad_value<Float>};
}

// Recognised for its size: integers (index tables), f64, and what ggml keeps activations in.
constexpr Format opaque_format(GgmlType type, std::string_view name, std::string_view kernel_name, int values,
                               int bytes) {
  return {type, name, kernel_name, values, bytes, nullptr, nullptr, nullptr};
}

constexpr Format kFormats[] = {
    float_format<float>(GgmlType::kF32, "F32", "f32"),
    float_format<F16>(GgmlType::kF16, "F16", "f16"),
    block_format<Q4_0>(GgmlType::kQ4_0, "Q4_0", "q4_0"),
    block_format<Q4_1>(GgmlType::kQ4_1, "Q4_1", "q4_1"),
    block_format<Q5_0>(GgmlType::kQ5_0, "Q5_0", "q5_0"),
    block_format<Q5_1>(GgmlType::kQ5_1, "Q5_1", "q5_1"),
    block_format<Q8_0>(GgmlType::kQ8_0, "Q8_0", "q8_0"),
    opaque_format(GgmlType::kQ8_1, "Q8_1", "q8_1", 32, 36),
    block_format<Q2_K>(GgmlType::kQ2_K, "Q2_K", "q2k"),
    block_format<Q3_K>(GgmlType::kQ3_K, "Q3_K", "q3k"),
    block_format<Q4_K>(GgmlType::kQ4_K, "Q4_K", "q4k"),
    block_format<Q5_K>(GgmlType::kQ5_K, "Q5_K", "q5k"),
    block_format<Q6_K>(GgmlType::kQ6_K, "Q6_K", "q6k"),
    opaque_format(GgmlType::kQ8_K, "Q8_K", "q8k", 256, 292),
    block_format<IQ2_XXS>(GgmlType::kIQ2_XXS, "IQ2_XXS", "iq2_xxs"),
    block_format<IQ2_XS>(GgmlType::kIQ2_XS, "IQ2_XS", "iq2_xs"),
    block_format<IQ3_XXS>(GgmlType::kIQ3_XXS, "IQ3_XXS", "iq3_xxs"),
    block_format<IQ1_S>(GgmlType::kIQ1_S, "IQ1_S", "iq1_s"),
    block_format<IQ4_NL>(GgmlType::kIQ4_NL, "IQ4_NL", "iq4_nl"),
    block_format<IQ3_S>(GgmlType::kIQ3_S, "IQ3_S", "iq3_s"),
    block_format<IQ2_S>(GgmlType::kIQ2_S, "IQ2_S", "iq2_s"),
    block_format<IQ4_XS>(GgmlType::kIQ4_XS, "IQ4_XS", "iq4_xs"),
    opaque_format(GgmlType::kI8, "I8", "i8", 1, 1),
    opaque_format(GgmlType::kI16, "I16", "i16", 1, 2),
    opaque_format(GgmlType::kI32, "I32", "i32", 1, 4),
    opaque_format(GgmlType::kI64, "I64", "i64", 1, 8),
    opaque_format(GgmlType::kF64, "F64", "f64", 1, 8),
    block_format<IQ1_M>(GgmlType::kIQ1_M, "IQ1_M", "iq1_m"),
    float_format<BF16>(GgmlType::kBF16, "BF16", "bf16"),
    block_format<TQ1_0>(GgmlType::kTQ1_0, "TQ1_0", "tq1_0"),
    block_format<TQ2_0>(GgmlType::kTQ2_0, "TQ2_0", "tq2_0"),
    block_format<MXFP4>(GgmlType::kMXFP4, "MXFP4", "mxfp4"),
    block_format<NVFP4>(GgmlType::kNVFP4, "NVFP4", "nvfp4"),
    block_format<Q1_0>(GgmlType::kQ1_0, "Q1_0", "q1_0"),
    block_format<Q2_0>(GgmlType::kQ2_0, "Q2_0", "q2_0"),
};

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

}  // namespace

const Format* find_format(GgmlType type) {
  const auto* it =
      std::find_if(std::begin(kFormats), std::end(kFormats), [&](const Format& f) { return f.type == type; });
  return it == std::end(kFormats) ? nullptr : it;
}

const Format* find_format(std::string_view name) {
  const auto* it = std::find_if(std::begin(kFormats), std::end(kFormats), [&](const Format& f) {
    return equal_ignoring_case(f.name, name) || equal_ignoring_case(f.kernel_name, name);
  });
  return it == std::end(kFormats) ? nullptr : it;
}

namespace {

struct DenseFormat {
  GgmlType type;
  DType dtype;
};
constexpr DenseFormat kDenseFormats[] = {
    {GgmlType::kF32, DType::kF32}, {GgmlType::kF16, DType::kF16}, {GgmlType::kBF16, DType::kBF16}};

}  // namespace

std::optional<DType> dense_dtype(const Format& format) {
  for (const DenseFormat& dense : kDenseFormats)
    if (dense.type == format.type) return dense.dtype;
  return std::nullopt;
}

const Format* format_of_floats(DType dtype) {
  for (const DenseFormat& dense : kDenseFormats)
    if (dense.dtype == dtype) return find_format(dense.type);
  return nullptr;
}

std::span<const Format> all_formats() { return kFormats; }

std::string list_formats(bool (*predicate)(const Format&)) {
  std::string out;
  for (const Format& format : kFormats) {
    if (!predicate(format)) continue;
    if (!out.empty()) out += ", ";
    out += format.name;
  }
  return out;
}

}  // namespace tessera::quant
