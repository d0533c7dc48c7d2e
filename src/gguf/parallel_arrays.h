// Arrays of the metadata that describe the same things must have the same length; a file where they differ would be
// misread silently. Keys that are absent, or scalars where an array is allowed, are fine.
#pragma once

#include <string>

#include "base/result.h"
#include "gguf/metadata.h"

namespace tessera::gguf {

// The tokens' scores and types, and the per-layer lists of the architecture (one element a layer).
Status check_parallel_arrays(const Metadata& metadata, const std::string& source);

}  // namespace tessera::gguf
