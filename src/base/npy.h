// NumPy's .npy file: one array, with a header that is a Python dictionary.
//
//   0 6 "\x93NUMPY"
//   6 2 version: 1.0, 2.0 or 3.0
//   8 . header length: u16 in version 1, u32 after it; the data begins at a multiple of 64
//  10 . {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }, spaces, a line feed
//   . . the elements
//
// NumPy has no bfloat16: as the ml_dtypes package does, it is written as two opaque bytes, '<V2'.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "base/result.h"
#include "base/shape.h"

namespace tessera {

struct NpyArray {
  DType dtype = DType::kF32;
  Shape shape;
  bool fortran_order = false;        // the first axis is the contiguous one
  std::span<const std::byte> bytes;  // borrowed; exactly the elements

  std::vector<std::byte> row_major() const;
};

// Errors name `source` and what was expected. Refused: big-endian elements, types the program format has no code for,
// bytes after the array.
Result<NpyArray> parse_npy(std::span<const std::byte> bytes, std::string_view source);

// Everything before the elements of a row-major array.
std::string npy_header(DType dtype, const Shape& shape);

}  // namespace tessera
