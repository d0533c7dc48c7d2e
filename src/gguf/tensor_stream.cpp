#include "gguf/tensor_stream.h"

#include <algorithm>
#include <vector>

#include "quant/rows.h"

namespace tessera::gguf {
namespace {

// Whole rows where they fit a tile. Rows follow each other without padding and a tile is a multiple of every block, so
// a longer row may be cut anywhere on that grid.
int64_t tile_values(const TensorInfo& tensor) {
  const int64_t row = tensor.row_values();
  return row < kTileValues ? kTileValues / row * row : kTileValues;
}

}  // namespace

Status for_each_tile(const File& file, const TensorInfo& tensor, const std::set<quant::GgmlType>& keep_packed,
                     const TileFunction& visit) {
  const quant::Format& format = *tensor.format;
  const bool is_packed = keep_packed.contains(format.type);
  if (!is_packed && !format.dequantize) {
    return not_implemented("{}: tensor '{}' is {}, which cannot be dequantized; readable are {}", file.path(),
                           tensor.name, format.name,
                           quant::list_formats([](const quant::Format& f) { return f.dequantize != nullptr; }));
  }
  const std::span<const std::byte> bytes = file.bytes(tensor);
  const int64_t n_values = tensor.n_values(), step = tile_values(tensor);
  std::vector<float> values(is_packed ? 0 : static_cast<size_t>(std::min(step, n_values)));
  for (int64_t first = 0; first < n_values; first += step) {
    const int64_t n = std::min(step, n_values - first);
    const auto begin = static_cast<size_t>(format.bytes_for(first)), size = static_cast<size_t>(format.bytes_for(n));
    TensorTile tile{tensor, first, n, {}, {}};
    if (is_packed) {
      tile.packed = bytes.subspan(begin, size);
    } else {
      format.dequantize(bytes.data() + begin, n, values.data());
      tile.values = {values.data(), static_cast<size_t>(n)};
    }
    TRY(visit(tile));
    file.forget(tensor, begin, size);
  }
  return {};
}

Status for_each_tensor(const File& file, const std::set<quant::GgmlType>& keep_packed, const TileFunction& visit) {
  for (const TensorInfo& tensor : file.tensors()) TRY(for_each_tile(file, tensor, keep_packed, visit));
  return {};
}

Status check_scales(const File& file) {
  for (const TensorInfo& tensor : file.tensors()) {
    const auto visit = [&](const TensorTile& tile) -> Status {
      const auto bad = quant::find_bad_scale(*tensor.format, tile.packed);
      if (!bad) return {};
      return invalid_format("{}: tensor '{}': block {} ({}) has an infinite or NaN scale", file.path(), tensor.name,
                            tile.first_value / tensor.format->block_values + *bad, tensor.format->name);
    };
    TRY(for_each_tile(file, tensor, {tensor.format->type}, visit));
  }
  return {};
}

}  // namespace tessera::gguf
