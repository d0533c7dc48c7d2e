// Writes a GGUF v3 file as a stream: the header from declarations, then the tensors' data in the declared order, in
// pieces of any size. The file appears under its name only when commit() succeeds (base/file_writer.h).
//
//   auto writer = TRY(Writer::create(path, metadata, {{"token_embd.weight", format, {256, 512}}, ...}));
//   TRY(writer.write(bytes)); ...            // first all bytes of the first tensor, then of the second
//   TRY(writer.commit());
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/file_writer.h"
#include "base/result.h"
#include "gguf/metadata.h"
#include "quant/format.h"

namespace tessera::gguf {

struct TensorDeclaration {
  std::string name;
  const quant::Format* format = nullptr;
  std::vector<int64_t> dims;  // ggml's order: dims[0] is contiguous
};

class Writer {
 public:
  // Tensors are aligned to the metadata's `general.alignment` (default 32). Errors: what a reader would refuse
  // (duplicate or overlong names, rows that are not whole blocks, nesting past the limit), and kIo.
  static Result<Writer> create(const std::string& path, const Metadata& metadata,
                               std::vector<TensorDeclaration> tensors);

  // Bytes of the current tensor; padding and the step to the next one follow by themselves. A piece ends at or before
  // the end of the current tensor.
  Status write(std::span<const std::byte> piece);
  // Every tensor must be complete.
  Status commit();

  uint64_t data_bytes() const;  // of all tensors, without padding

 private:
  Writer(FileWriter file, std::vector<uint64_t> sizes, uint64_t alignment);

  FileWriter file_;
  std::vector<uint64_t> sizes_;  // of each tensor
  uint64_t alignment_;
  size_t current_ = 0;          // tensor being written
  uint64_t written_bytes_ = 0;  // of the current tensor
};

}  // namespace tessera::gguf
