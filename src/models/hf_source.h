// A Hugging Face folder as a model source: config.json, tokenizer.json and safetensors, plain or quantized by torchao,
// presented under GGUF's names. Plain matrices are quantized as a recipe says while a program is written.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "models/model_source.h"
#include "models/recipe.h"
#include "models/torchao.h"

namespace tessera::models {

struct HfOptions {
  Recipe recipe = Recipe::kDefault;  // of plain matrices; what is quantized already stays as it is
  Int4Zeros int4_zeros = Int4Zeros::kCodes;
};

class HfSource final : public ModelSource {
 public:
  // Reads headers and JSON, and of torchao's tensors zero points: all where they are bytes, else a sample. Errors name
  // the file and the tensor or member.
  static Result<std::shared_ptr<const HfSource>> open(const std::string& folder, const HfOptions& options);

  const std::string& path() const override { return folder_; }
  const gguf::Metadata& metadata() const override { return metadata_; }
  std::optional<StoredTensor> find(std::string_view name) const override;
  std::vector<std::string> names() const override;
  bool has_tokenizer() const { return has_tokenizer_; }

 private:
  explicit HfSource(std::string folder) : folder_(std::move(folder)), metadata_(folder_) {}
  friend class HfReader;

  std::string folder_;
  gguf::Metadata metadata_;
  std::map<std::string, StoredTensor, std::less<>> tensors_;  // by GGUF name
  std::vector<std::string> unknown_;                          // names that no GGUF name corresponds to
  bool has_tokenizer_ = false;
};

// "layers.3.mlp.up_proj.weight" -> "blk.3.ffn_up.weight"; empty: no such tensor in a GGUF (executorch-pte 8.5).
std::string gguf_name(std::string_view model_name);
// "model.language_model.layers.0.x" -> "layers.0.x"
std::string_view without_prefix(std::string_view name);

}  // namespace tessera::models
