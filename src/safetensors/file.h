// One safetensors file: a table of named tensors and the bytes they are views of. Opening reads the header only, checks
// everything it claims against the size of the file, and maps the data. Immutable and thread-safe after open().
//
//   0 8 u64 N: length of the header, at most 100 MB
//   8 N JSON object: tensor name -> {"dtype": "BF16", "shape": [rows, columns], "data_offsets": [begin, end]},
//       and "__metadata__" -> an object of strings; offsets count from byte 8 + N; spaces may follow
//   . . tensors, row-major, little-endian; together they cover every byte up to the end of the file
//
// Source: the format's own description (huggingface/safetensors, README), credited in NOTICE.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/mapped_file.h"
#include "base/result.h"

namespace tessera::safetensors {

enum class ElementType { kF64, kF32, kF16, kBF16, kI64, kI32, kI16, kI8, kU64, kU32, kU16, kU8, kBool };
// "BF16", "U8", ... as in the file.
std::string_view name_of(ElementType type);
size_t size_of(ElementType type);

struct Tensor {
  ElementType type = ElementType::kF32;
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;  // borrowed from the file
  const MappedFile* mapped = nullptr;
  std::shared_ptr<const void> owner;

  int64_t n_elements() const;
};
// "BF16 [4096, 5376]"
std::string describe(const Tensor& tensor);

using TensorMap = std::map<std::string, Tensor, std::less<>>;
using TextMap = std::map<std::string, std::string, std::less<>>;

struct File {
  TensorMap tensors;
  TextMap metadata;  // "__metadata__"

  static Result<File> open(const std::string& path);
  // From memory; `name` stands for the path in errors.
  static Result<File> from_bytes(std::span<const std::byte> bytes, const std::string& name,
                                 std::shared_ptr<const void> owner, const MappedFile* mapped = nullptr);
};

}  // namespace tessera::safetensors
