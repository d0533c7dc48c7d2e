// Packed rows taken apart into codes and parameters per group: the common first step of the conversions to int4 and
// int8 (quant/int4.h, quant/intx.h) and to packed affine groups (compile/affine_from_gguf.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "quant/format.h"
#include "quant/group_merge.h"

namespace tessera::quant {

struct GroupCodes {
  int64_t n_rows = 0, row_values = 0;
  int code_bits = 0;           // codes are 0 .. 2^code_bits - 1
  int center = 0;              // 0: affine, value = scale * code - min; else symmetric, value = scale * (code - center)
  std::vector<uint8_t> codes;  // (n_rows, row_values)
  GroupParams params;          // mins are zero when symmetric

  // min / scale per group in the domain of the codes, so that value = scale * (code - zero); 0 where the scale is 0
  // (the group's constant -min is lost there: no code domain can hold it). Without the center of symmetric codes.
  std::vector<float> zeros() const;
};

// What is known of a format's groups without its blocks.
struct GroupGeometry {
  int code_bits, center;  // as in GroupCodes
  int group_size;         // before merging
};
std::optional<GroupGeometry> group_geometry(const Format& format);

// Formats with codes and scales: Q4_K, Q5_K, Q6_K, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0. `max_group_size` above the native 32
// or 16 asks for merge_groups; 0 keeps the native groups. Errors: kNotImplemented (another format), kInvalidArgument
// (sizes that do not fit together).
Result<GroupCodes> unpack_groups(const Format& format, std::span<const std::byte> blocks, int64_t n_rows,
                                 int64_t row_values, int max_group_size);
std::string list_group_formats();  // for error messages

}  // namespace tessera::quant
