// Reads an ExecuTorch program file into a Program. The file is mapped and its weights are borrowed; only the graph is
// decoded. Everything is checked before it is used (executorch-pte sections 1.3 and 10), so the bytes may come from
// anywhere: a bad file gives an Error naming file, offset, what was expected and what was found.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "program/program.h"

namespace tessera::program {

struct LoadOptions {
  // Which method to load; empty: "forward", or the only one that has an MLX delegate.
  std::string method;
  // Files with weights. A key found there wins over the same key in the program; a key in two of them is an error.
  // Empty, and the program lacks constants: the .ptd beside it, of its name.
  std::vector<std::string> ptd_paths;
};

// Errors: kNotFound (a file, the method, a constant's key), kInvalidFormat, kNotImplemented (another delegate).
Result<Program> load_pte(const std::string& path, const LoadOptions& options = {});
// The same from memory. `owner` keeps the bytes alive for as long as the Program borrows them; `name` stands for the
// path in errors and is where files named relative to the program are looked for.
Result<Program> load_pte(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, const std::string& name,
                         const LoadOptions& options = {});

}  // namespace tessera::program
