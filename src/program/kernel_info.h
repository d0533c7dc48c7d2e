// The kernels a program carries in MetalKernel instructions, each described once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "program/program.h"

namespace tessera::program {

// Kernel instructions of one name with the same texts, template arguments, grid and threadgroup, counted once: slots,
// their names and the outputs' shapes may differ.
struct KernelInfo {
  std::string name;
  std::string arguments;          // "N=4096, K=1024, dtype=bf16"
  std::string grid, threadgroup;  // "[32, $3, 1]": literals and value slots
  size_t source_bytes = 0, header_bytes = 0;
  uint64_t source_hash = 0, header_hash = 0;  // text_hash
  size_t uses = 0;
  const MetalKernel* first = nullptr;  // the first of them, in the program
};

std::vector<KernelInfo> distinct_kernels(const Program& program);  // which must outlive the result

uint64_t text_hash(std::string_view text);  // XXH3-64

}  // namespace tessera::program
