#include "runtime/kernel_claims.h"

#include "base/checked_math.h"
#include "program/kernel_info.h"

namespace tessera::runtime {

using program::IntOrVid;
using program::MetalKernel;

namespace {

constexpr int64_t kMostRows = int64_t{1} << 16;  // far above a prefill's

Status check_text(const char* what, std::string_view found, std::string_view expected) {
  if (found == expected) return {};
  return not_implemented("its {} has hash {:016x}, this build embeds {:016x}: only that can be emulated", what,
                         program::text_hash(found), program::text_hash(expected));
}

}  // namespace

Status check_texts(const MetalKernel& node, std::string_view header, std::string_view source) {
  TRY(check_text("header", node.header ? node.header->view() : "", header));
  return check_text("source", node.source.view(), source);
}

std::optional<int32_t> argument(const MetalKernel& node, std::string_view name) {
  for (size_t i = 0; i < node.template_arg_names.size(); ++i)
    if (node.template_arg_names[i] == name) return node.template_arg_values[i];
  return std::nullopt;
}

Result<int32_t> required_argument(const MetalKernel& node, std::string_view name) {
  if (const auto value = argument(node, name)) return *value;
  return invalid_argument("template argument {} is missing", name);
}

Status check_argument(const MetalKernel& node, std::string_view name, int64_t expected, bool is_required) {
  const auto found = argument(node, name);
  if (!found && !is_required) return {};
  if (TRY(required_argument(node, name)) == expected) return {};
  return invalid_argument("template argument {} is {}, the kernel needs {}", name, *found, expected);
}

Result<DType> dtype_argument(const MetalKernel& node, std::string_view name) {
  const auto dtype = static_cast<DType>(TRY(required_argument(node, name)));
  if (is_activation_dtype(dtype)) return dtype;
  return invalid_argument("template argument {} has dtype code {}, expected f32, f16 or bf16", name,
                          static_cast<int>(dtype));
}

Status check_output_dtype(const MetalKernel& node, DType expected) {
  if (node.output_dtypes.size() == 1 && node.output_dtypes[0] == expected) return {};
  return invalid_argument("its output is not of the dtype its template arguments name");
}

Result<std::optional<int64_t>> static_rows(const MetalKernel& node) {
  std::optional<int64_t> rows = 1;
  for (size_t i = 0; i + 1 < node.output_shapes_flat.size(); ++i) {
    if (node.output_shapes_flat[i].is_vid) return std::optional<int64_t>();
    if (rows) rows = checked_mul(*rows, node.output_shapes_flat[i].literal);
  }
  if (rows && *rows >= 1 && *rows <= kMostRows) return rows;
  return invalid_argument("its output has {} rows, expected 1 to {}", rows ? std::to_string(*rows) : "too many",
                          kMostRows);
}

DType dtype_of(const program::Program& program, program::Tid slot, DType otherwise) {
  return slot.idx < program.tensor_meta.size() && program.kind_of(slot) != program::TensorKind::kTemp
             ? program.tensor_meta[slot.idx].dtype
             : otherwise;
}

Status check_axes(const char* what, const std::vector<IntOrVid>& found, const uint32_t (&expected)[3],
                  bool may_be_open) {
  for (size_t axis = 0; axis < 3; ++axis) {
    if (found[axis].is_vid ? may_be_open : found[axis].literal == expected[axis]) continue;
    return invalid_argument("its {} is {} along axis {}, the kernel needs {}", what,
                            found[axis].is_vid ? "open" : std::to_string(found[axis].literal), axis, expected[axis]);
  }
  return {};
}

}  // namespace tessera::runtime
