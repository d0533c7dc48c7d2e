#include "base/dtype.h"

#include <array>

namespace tessera {
namespace {

struct Row {
  DType dtype;
  std::string_view name;
  size_t size;
};
constexpr std::array kRows = {
    Row{DType::kU8, "u8", 1},     Row{DType::kI8, "i8", 1},     Row{DType::kI16, "i16", 2}, Row{DType::kI32, "i32", 4},
    Row{DType::kI64, "i64", 8},   Row{DType::kF16, "f16", 2},   Row{DType::kF32, "f32", 4}, Row{DType::kF64, "f64", 8},
    Row{DType::kBool, "bool", 1}, Row{DType::kBF16, "bf16", 2}, Row{DType::kU16, "u16", 2}, Row{DType::kU32, "u32", 4},
};

const Row* find(DType dtype) {
  for (const Row& row : kRows)
    if (row.dtype == dtype) return &row;
  return nullptr;
}

}  // namespace

size_t size_of(DType dtype) {
  const Row* row = find(dtype);
  return row ? row->size : 0;
}

std::string_view name_of(DType dtype) {
  const Row* row = find(dtype);
  return row ? row->name : "?";
}

std::optional<DType> parse_dtype(std::string_view name) {
  for (const Row& row : kRows)
    if (row.name == name) return row.dtype;
  return std::nullopt;
}

}  // namespace tessera
