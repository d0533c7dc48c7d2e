// The two containers, .pte and .ptd: a flatbuffer with a header block spliced in after its first 8 bytes, then aligned
// segments of raw bytes (executorch-pte sections 1.1 and 2.1). Writer, loader and inspect all go through this file.
//
//   .pte                                      .ptd
//    0 4 root offset, raised by 32             0 4 root offset, raised by 48
//    4 4 "ET12"                                4 4 "FT01"
//    8 4 "eh00"                                8 4 "FH01"
//   12 4 header length 32                     12 4 header length 40
//   16 8 end of the flatbuffer                16 8 block length 48
//   24 8 segment base                         24 8 flatbuffer size without the block
//   32 8 bytes of all segments                32 8 segment base
//   40 . rest of the flatbuffer               40 8 bytes of all segments
//                                             48 8 zero
//                                             56 . rest of the flatbuffer
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "program/pte_tables.h"

namespace tessera::program {

inline constexpr uint64_t kSegmentAlignment = 128;
inline constexpr std::string_view kMlxBackend = "MLXBackend";  // the delegate's id

struct ContainerHeader {
  uint32_t length = 0;          // 0: a .pte without the extended header, so without segments
  uint64_t flatbuffer_end = 0;  // in the file
  uint64_t segment_base = 0;
  uint64_t segment_bytes = 0;
};

// Where the segments of a file lie. Every extent was checked against the file.
struct Segments {
  struct Segment {
    uint64_t offset = 0;  // in the file
    std::span<const std::byte> bytes;
  };
  std::vector<Segment> list;
  // Errors when `index` is past the end, naming what refers to it.
  Result<Segment> at(uint64_t index, std::string_view what) const;
};

struct PteFile {
  ContainerHeader header;
  pte::Program table;
  Segments segments;
  // Checks the container itself (executorch-pte 10.1, rows 1 to 11); plans are the loader's business.
  static Result<PteFile> open(std::span<const std::byte> bytes);
};

struct PtdFile {
  ContainerHeader header;
  ptd::FlatTensor table;
  Segments segments;
  static Result<PtdFile> open(std::span<const std::byte> bytes);
};

// Both take the segments as written (offsets from the base, the base aligned to `alignment`) and return everything that
// comes before them, padding to the base included.
std::vector<std::byte> encode_container(const pte::Program& table, uint64_t alignment);
std::vector<std::byte> encode_container(const ptd::FlatTensor& table, uint64_t alignment);

}  // namespace tessera::program
