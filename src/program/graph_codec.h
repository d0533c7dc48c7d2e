// The graph of a Program as an MLX delegate payload: 24-byte header, MLXGraph flatbuffer, padding (executorch-pte
// section 3.1).
//
//   0  4  zero          4  4  "MLX0"
//   8  8  u64 end of the flatbuffer region = align(24 + flatbuffer, 16)
//  16  8  u64 0
//  24  .. flatbuffer without identifier, zero padding
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/result.h"
#include "program/program.h"

namespace tessera::program {

// `share` false writes every string, vector and table once per use, as writers did before June 2026 with their strings:
// the cost inspect reports.
std::vector<std::byte> encode_payload(const Program& program, bool share = true);

// Fills the graph half of `out` (counts, chains, maps, names, metadata). `file_offset` places the payload in its file
// for errors. Errors: kInvalidFormat, kNotImplemented (an instruction or version of a newer schema).
Status decode_payload(std::span<const std::byte> payload, uint64_t file_offset, Program& out);

}  // namespace tessera::program
