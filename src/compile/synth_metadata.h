// The metadata of a synthetic Gemma 4 file: every key a published one has.
#pragma once

#include <optional>

#include "compile/synth.h"
#include "gguf/metadata.h"

namespace tessera::compile {

// `shape` must be valid; `file_type` as in compile/quant_mix.h, where there is one.
gguf::Metadata synth_metadata(const SynthShape& shape, std::optional<uint32_t> file_type);

}  // namespace tessera::compile
