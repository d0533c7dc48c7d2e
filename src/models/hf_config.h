// The JSON files of a Hugging Face Gemma 4 folder as the metadata that a GGUF file of the same model has, so that
// everything after reads one language.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "gguf/metadata.h"

namespace tessera::models {

// config.json: keys "general." and "gemma4.". Errors: kNotImplemented for another model_type or a feature no graph
// here has, kNotFound / kInvalidFormat for a member that is missing or of another type.
Status read_hf_config(const std::string& path, gguf::Metadata& metadata);

// generation_config.json: the publisher's sampling hints.
Status read_hf_generation_config(const std::string& path, gguf::Metadata& metadata);

// tokenizer.json, a BPE that falls back to bytes: keys "tokenizer.ggml.". Errors: kNotImplemented for another kind.
Status read_hf_tokenizer(const std::string& path, gguf::Metadata& metadata);

// The first and the last from the text of the file at `path`.
Status parse_hf_config(std::string_view text, const std::string& path, gguf::Metadata& metadata);
Status parse_hf_tokenizer(std::string_view text, const std::string& path, gguf::Metadata& metadata);

// How many of the full layers' pairs rotate.
Result<double> read_hf_rotated_share(const std::string& config_path);

}  // namespace tessera::models
