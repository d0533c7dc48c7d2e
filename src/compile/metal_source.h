// The Metal text of the fused kernels.
#pragma once

#include <string_view>

namespace tessera::compile {

// Stands where the kernels' text goes: the instructions are whole but for it, so CPU and CUDA run them by name, while
// on Apple's side a compiler is told plainly what is missing.
inline constexpr std::string_view kMetalSourceMarker = "// tessera: metal source not included";

}  // namespace tessera::compile
