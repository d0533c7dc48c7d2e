// Writes a Program as an ExecuTorch program file: container, MLX delegate payload, weights (executorch-pte sections
// 1-3). Weights are streamed from where they are borrowed, so memory stays small whatever their size; equal programs
// give equal bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"
#include "program/program.h"

namespace tessera::program {

struct WriteOptions {
  enum class Weights {
    kInside,    // every constant is a segment of the .pte
    kPtd,       // constants are left out: write_ptd puts them into a file of their own
    kReference  // constants that are borrowed from a mapped file stay there: the program names file and place
  };
  Weights weights = Weights::kInside;
  // Where weights start, in the file: a power of two, at least 128. A page (4096) lets a GPU map them.
  uint64_t segment_alignment = 128;
  // Called as segments are written, with bytes so far and in total.
  std::function<void(uint64_t written, uint64_t total)> progress;
};

// The file appears under its name only when it is complete. Errors: what program::verify finds, kIo.
Status write_pte(const Program& program, const std::string& path, const WriteOptions& options = {});
// The constants alone, as a FlatTensor file with a layout for each. Loads together with a .pte written with kPtd.
Status write_ptd(const Program& program, const std::string& path, const WriteOptions& options = {});

}  // namespace tessera::program
