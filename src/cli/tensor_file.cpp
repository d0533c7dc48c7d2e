#include "cli/tensor_file.h"

#include <cstring>

#include "base/file_writer.h"
#include "base/mapped_file.h"
#include "base/npy.h"

namespace tessera::cli {

Result<ops::Tensor> read_npy(const std::string& path) {
  const auto file = TRY(MappedFile::open(path));
  const NpyArray array = TRY(parse_npy(file->bytes(), path));
  const std::vector<std::byte> bytes = array.row_major();
  ops::Tensor out = TRY(ops::Tensor::allocate(array.dtype, array.shape));
  if (!bytes.empty()) std::memcpy(out.data, bytes.data(), bytes.size());
  return out;
}

Status write_npy(const std::string& path, const ops::Tensor& tensor) {
  FileWriter file = TRY(FileWriter::create(path));
  const std::string header = npy_header(tensor.dtype, tensor.shape);
  TRY(file.write(header.data(), header.size()));
  TRY(file.write(tensor.bytes()));
  return file.commit();
}

}  // namespace tessera::cli
