// What a MetalKernel instruction says of its kernel - texts, template arguments, sizes, grid - and checks of that
// against what the kernel of this build needs. For whoever runs the text without the program around it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "program/program.h"

namespace tessera::runtime {

// Errors: another text than the build embeds, named by its hash.
Status check_texts(const program::MetalKernel& node, std::string_view header, std::string_view source);

std::optional<int32_t> argument(const program::MetalKernel& node, std::string_view name);
Result<int32_t> required_argument(const program::MetalKernel& node, std::string_view name);
Status check_argument(const program::MetalKernel& node, std::string_view name, int64_t expected, bool is_required);
Result<DType> dtype_argument(const program::MetalKernel& node, std::string_view name);  // f32, f16 or bf16

// The one output is of that dtype.
Status check_output_dtype(const program::MetalKernel& node, DType expected);
// Product of the output's sizes but the last; nullopt when a value slot is among them. Errors: none, or too many to
// try.
Result<std::optional<int64_t>> static_rows(const program::MetalKernel& node);
// Of a constant, an input or a buffer; a temporary's dtype is known by its writer only.
DType dtype_of(const program::Program& program, program::Tid slot, DType otherwise);

// `what`: grid or threadgroup. `may_be_open`: along an axis whose size is a value slot.
Status check_axes(const char* what, const std::vector<program::IntOrVid>& found, const uint32_t (&expected)[3],
                  bool may_be_open);

}  // namespace tessera::runtime
