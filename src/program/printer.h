// Programs as text, one instruction a line: `Add a=%3 b=%0 out=%5`. Tensor slots are %n, value slots $n, long strings
// are cut. For people and diffs; nothing reads it back.
#pragma once

#include <string>

#include "program/program.h"

namespace tessera::program {

std::string to_text(const Node& node);
std::string to_text(const TensorMeta& meta);  // "bf16[1, 1..256]"
std::string_view name_of(TensorKind kind);    // "constant"
// Slots with names and metadata, then every chain.
std::string to_text(const Program& program);

}  // namespace tessera::program
