// The metadata of a synthetic Gemma 4 file: every key a published one has.
#pragma once

#include "compile/synth.h"
#include "gguf/metadata.h"

namespace tessera::compile {

// `shape` must be valid; `file_type` as in compile/quant_mix.h.
gguf::Metadata synth_metadata(const SynthShape& shape, uint32_t file_type);

}  // namespace tessera::compile
