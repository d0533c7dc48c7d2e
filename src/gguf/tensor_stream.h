// One pass over a file's weights with small memory: tensors in file order, each in tiles of about a million values,
// either packed as they are or dequantized to f32, as the caller chooses per format. Pages are given back behind us.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <set>
#include <span>

#include "base/result.h"
#include "gguf/file.h"

namespace tessera::gguf {

// Consecutive values of a tensor in storage order: whole blocks always, and whole rows unless a row is longer than a
// tile. The spans are valid during the call.
struct TensorTile {
  const TensorInfo& tensor;
  int64_t first_value;
  int64_t n_values;
  std::span<const std::byte> packed;  // of a format that was asked for packed; empty otherwise
  std::span<const float> values;      // of the others; empty otherwise

  bool is_last() const { return first_value + n_values == tensor.n_values(); }
};

inline constexpr int64_t kTileValues = int64_t{1} << 20;  // a multiple of every format's block

using TileFunction = std::function<Status(const TensorTile&)>;

// An error of `visit` ends the pass and is returned. A format that is neither in `keep_packed` nor readable is
// kNotImplemented, with the tensor's name.
Status for_each_tensor(const File& file, const std::set<quant::GgmlType>& keep_packed, const TileFunction& visit);

// The same for one tensor.
Status for_each_tile(const File& file, const TensorInfo& tensor, const std::set<quant::GgmlType>& keep_packed,
                     const TileFunction& visit);

// Reads every weight once: an error names the first tensor with an infinite or NaN scale (of a float format: value).
Status check_scales(const File& file);

}  // namespace tessera::gguf
