#include "quant/group_codes.h"

#include <algorithm>
#include <cstring>

#include "base/checked_math.h"
#include "quant/bit_planes.h"
#include "quant/k_affine.h"
#include "quant/q4_0.h"
#include "quant/q4_1.h"
#include "quant/q4_k.h"
#include "quant/q5_0.h"
#include "quant/q5_1.h"
#include "quant/q5_k.h"
#include "quant/q6_k.h"
#include "quant/q8_0.h"

namespace tessera::quant {
namespace {

// What differs between the formats: the size of code and group, and taking one block apart.
struct GroupFormat {
  GgmlType type;
  int code_bits, center, group_size;
  void (*unpack)(const std::byte* block, uint8_t* codes, float* scales, float* mins);
};

template <typename Block>
void unpack_affine(const std::byte* bytes, uint8_t* codes, float* scales, float* mins) {
  Block block;
  std::memcpy(&block, bytes, sizeof(Block));
  const AffineSuperBlock unpacked = unpack(block);
  std::copy_n(unpacked.codes, Block::kValues, codes);
  const float d = to_f32(unpacked.d), dmin = to_f32(unpacked.dmin);
  for (int j = 0; j < Block::kValues / Block::kSubBlock; ++j) {
    scales[j] = d * static_cast<float>(unpacked.scales[j]);
    mins[j] = dmin * static_cast<float>(unpacked.mins[j]);
  }
}

void unpack_q6_k(const std::byte* bytes, uint8_t* codes, float* scales, float* mins) {
  Q6_K block;
  std::memcpy(&block, bytes, sizeof(block));
  unpack_codes(block, codes);
  const float d = to_f32(block.d);
  for (int k = 0; k < Q6_K::kValues / Q6_K::kSubBlock; ++k) {
    scales[k] = d * static_cast<float>(block.scales[k]);
    mins[k] = 0;
  }
}

// Blocks of 32 with one scale, and for Q4_1 and Q5_1 an offset.
template <typename Block>
void unpack_small(const std::byte* bytes, uint8_t* codes, float* scales, float* mins) {
  Block block;
  std::memcpy(&block, bytes, sizeof(Block));
  if constexpr (std::is_same_v<Block, Q8_0>) {
    for (int i = 0; i < Q8_0::kValues; ++i) codes[i] = static_cast<uint8_t>(block.qs[i] + 128);
  } else {
    unpack_nibbles<Block::kValues / 2>(block.qs, codes);
  }
  if constexpr (requires { block.qh; }) unpack_word_bits<4>(block.qh, codes);
  *scales = to_f32(block.d);
  *mins = 0;
  if constexpr (requires { block.m; }) *mins = -to_f32(block.m);
}

constexpr GroupFormat kGroupFormats[] = {
    {GgmlType::kQ4_K, 4, 0, Q4_K::kSubBlock, unpack_affine<Q4_K>},
    {GgmlType::kQ5_K, 5, 0, Q5_K::kSubBlock, unpack_affine<Q5_K>},
    {GgmlType::kQ6_K, 6, 32, Q6_K::kSubBlock, unpack_q6_k},
    {GgmlType::kQ4_0, 4, 8, Q4_0::kValues, unpack_small<Q4_0>},
    {GgmlType::kQ4_1, 4, 0, Q4_1::kValues, unpack_small<Q4_1>},
    {GgmlType::kQ5_0, 5, 16, Q5_0::kValues, unpack_small<Q5_0>},
    {GgmlType::kQ5_1, 5, 0, Q5_1::kValues, unpack_small<Q5_1>},
    {GgmlType::kQ8_0, 8, 128, Q8_0::kValues, unpack_small<Q8_0>},
};

const GroupFormat* find_group_format(GgmlType type) {
  for (const GroupFormat& f : kGroupFormats) {
    if (f.type == type) return &f;
  }
  return nullptr;
}

Status check_sizes(const Format& format, size_t n_bytes, int64_t n_rows, int64_t row_values) {
  if (n_rows < 0 || row_values <= 0 || row_values % format.block_values != 0) {
    return invalid_argument("{} rows hold a positive multiple of {} values, not {} rows of {}", format.name,
                            format.block_values, n_rows, row_values);
  }
  const auto expected = checked_mul(n_rows, format.bytes_for(row_values));
  if (!expected || static_cast<size_t>(*expected) != n_bytes) {
    return invalid_argument("{} rows of {} {} values do not take {} bytes", n_rows, row_values, format.name, n_bytes);
  }
  return {};
}

}  // namespace

std::vector<float> GroupCodes::zeros() const {
  std::vector<float> out(params.scales.size());
  for (size_t i = 0; i < out.size(); ++i) out[i] = params.scales[i] != 0 ? params.mins[i] / params.scales[i] : 0.0f;
  return out;
}

std::optional<GroupGeometry> group_geometry(const Format& format) {
  const GroupFormat* group = find_group_format(format.type);
  if (!group) return std::nullopt;
  return GroupGeometry{group->code_bits, group->center, group->group_size};
}

std::string list_group_formats() {
  return list_formats([](const Format& f) { return find_group_format(f.type) != nullptr; });
}

Result<GroupCodes> unpack_groups(const Format& format, std::span<const std::byte> blocks, int64_t n_rows,
                                 int64_t row_values, int max_group_size) {
  const GroupFormat* group = find_group_format(format.type);
  if (!group) {
    return not_implemented("codes and group scales of {}; supported: {}", format.name, list_group_formats());
  }
  TRY(check_sizes(format, blocks.size(), n_rows, row_values));
  GroupCodes out{.n_rows = n_rows, .row_values = row_values, .code_bits = group->code_bits, .center = group->center};
  const int64_t n_values = n_rows * row_values, n_groups = n_values / group->group_size;
  out.codes.resize(static_cast<size_t>(n_values));
  out.params = {n_rows, row_values / group->group_size, group->group_size,
                std::vector<float>(static_cast<size_t>(n_groups)), std::vector<float>(static_cast<size_t>(n_groups))};
  for (int64_t b = 0; b < n_values / format.block_values; ++b) {
    const int64_t first_group = b * format.block_values / group->group_size;
    group->unpack(blocks.data() + b * format.block_bytes, out.codes.data() + b * format.block_values,
                  out.params.scales.data() + first_group, out.params.mins.data() + first_group);
  }
  out.params = merge_groups(std::move(out.params), max_group_size);
  return out;
}

}  // namespace tessera::quant
