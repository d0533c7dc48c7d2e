#include "compile/affine_from_gguf.h"

#include <algorithm>
#include <span>
#include <vector>

#include "base/check.h"
#include "base/float16.h"
#include "quant/code_words.h"
#include "quant/group_codes.h"
#include "quant/param_array.h"

namespace tessera::compile {
namespace {

using quant::GroupCodes;
using Sink = program::DataSource::Sink;

constexpr int kMinGroup = 32, kMaxGroup = 128;      // what matrix kernels exist for
constexpr int64_t kPieceValues = int64_t{1} << 19;  // in memory at once: some 8 MB with codes and scales as f32

// A weight read in pieces of whole rows. Copies share the file.
struct Rows {
  graph::Weight weight;
  int64_t n, k;

  int64_t n_values() const { return n * k; }
  int64_t piece_rows() const { return std::max<int64_t>(1, kPieceValues / k); }

  // The blocks of up to piece_rows() rows.
  std::span<const std::byte> piece(int64_t first_row) const {
    const int64_t row_bytes = weight.format->bytes_for(k), rows = std::min(piece_rows(), n - first_row);
    return weight.bytes.subspan(static_cast<size_t>(first_row * row_bytes), static_cast<size_t>(rows * row_bytes));
  }
  // Reading on would otherwise make the whole file resident.
  void forget(std::span<const std::byte> blocks) const {
    const MappedFile* file = weight.mapped;
    if (file) file->forget(file->offset_of(blocks), blocks.size());
  }
  int64_t rows_of(std::span<const std::byte> blocks) const {
    return static_cast<int64_t>(blocks.size()) / weight.format->bytes_for(k);
  }
  GroupCodes groups(std::span<const std::byte> blocks) const {
    auto groups = quant::unpack_groups(*weight.format, blocks, rows_of(blocks), k, 0);
    CHECK(groups.has_value());  // the format and the sizes were checked
    return *std::move(groups);
  }

  // Calls f(blocks) -> Status for one piece after the other.
  template <typename F>
  Status for_each_piece(F&& f) const {
    for (int64_t row = 0; row < n; row += piece_rows()) {
      const auto blocks = piece(row);
      TRY(f(blocks));
      forget(blocks);
    }
    return {};
  }
  template <typename F>
  Status for_each_groups(F&& f) const {
    return for_each_piece([&](std::span<const std::byte> blocks) -> Status { return f(groups(blocks)); });
  }
};

Status write_packed(const Rows& rows, int bits, const Sink& sink) {
  std::vector<uint32_t> words;
  return rows.for_each_groups([&](const GroupCodes& groups) -> Status {
    words.resize(groups.codes.size() * static_cast<size_t>(bits) / 32);
    quant::pack_codes(groups.codes, bits, words.data());  // rows are whole words, so they follow each other
    return sink(std::as_bytes(std::span(words)));
  });
}

Status write_scales(const Rows& rows, int factor, DType dtype, const Sink& sink) {
  return rows.for_each_groups([&](const GroupCodes& groups) -> Status {
    return sink(quant::to_params(quant::first_of_runs(groups.params.scales, factor), dtype).bytes);
  });
}

Status write_biases(const Rows& rows, int factor, DType dtype, const Sink& sink) {
  return rows.for_each_groups([&](const GroupCodes& groups) -> Status {
    std::vector<float> biases = quant::first_of_runs(groups.params.mins, factor);
    for (float& bias : biases) bias = -bias;
    return sink(quant::to_params(biases, dtype).bytes);
  });
}

Status write_bf16(const Rows& rows, const Sink& sink) {
  std::vector<float> values;
  std::vector<BF16> rounded;
  return rows.for_each_piece([&](std::span<const std::byte> blocks) -> Status {
    values.resize(static_cast<size_t>(rows.rows_of(blocks) * rows.k));
    rows.weight.format->dequantize(blocks.data(), static_cast<int64_t>(values.size()), values.data());
    rounded.resize(values.size());
    std::transform(values.begin(), values.end(), rounded.begin(), [](float value) { return to_bf16(value); });
    return sink(std::as_bytes(std::span(rounded)));
  });
}

// How many neighbouring groups agree in every row. A tensor whose groups differ mostly says so in its first piece.
int common_factor(const Rows& rows, int native_group) {
  int factor = quant::max_merge_factor(rows.k / native_group, native_group, kMaxGroup);
  for (int64_t row = 0; row < rows.n && factor > 1; row += rows.piece_rows()) {
    const auto blocks = rows.piece(row);
    factor = quant::mergeable_factor(rows.groups(blocks).params, factor);
    rows.forget(blocks);
  }
  return factor;
}

}  // namespace

std::optional<AffineData> affine_from_gguf(const graph::Weight& weight, const Shape& shape, DType dtype) {
  const auto geometry = quant::group_geometry(*weight.format);
  const Rows rows{weight, shape[0], shape[1]};
  if (!geometry || rows.k % kMinGroup != 0) return std::nullopt;
  const int bits = geometry->code_bits, factor = common_factor(rows, geometry->group_size);
  const int group_size = geometry->group_size * factor;
  if (group_size < kMinGroup) return std::nullopt;
  const auto lazy = [](int64_t size, auto write) {
    return program::Data::lazy({static_cast<uint64_t>(size), std::move(write)});
  };
  const int64_t param_bytes = rows.n_values() / group_size * static_cast<int64_t>(size_of(dtype));
  AffineData out{.bits = bits, .group_size = group_size, .dtype = dtype, .n = rows.n, .k = rows.k};
  out.packed = lazy(rows.n_values() * bits / 8, [=](const Sink& sink) { return write_packed(rows, bits, sink); });
  out.scales = lazy(param_bytes, [=](const Sink& sink) { return write_scales(rows, factor, dtype, sink); });
  if (geometry->center == 0)
    out.biases = lazy(param_bytes, [=](const Sink& sink) { return write_biases(rows, factor, dtype, sink); });
  return out;
}

program::Data dequantized_bf16(const graph::Weight& weight, const Shape& shape) {
  const Rows rows{weight, shape[0], shape[1]};
  return program::Data::lazy({static_cast<uint64_t>(rows.n_values()) * sizeof(BF16),
                              [rows](const Sink& sink) { return write_bf16(rows, sink); }});
}

}  // namespace tessera::compile
