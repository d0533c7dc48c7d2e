#include "models/hf_source.h"

#include <cstring>
#include <filesystem>

#include "models/hf_config.h"
#include "models/json_fields.h"
#include "models/rope_factors.h"
#include "safetensors/checkpoint.h"

namespace tessera::models {

using safetensors::ElementType;
using safetensors::Tensor;

namespace {

// Parts of the model that see and hear; a text model does without.
constexpr std::string_view kOtherSenses[] = {"vision_tower.", "audio_tower.",           "embed_vision.",
                                             "embed_audio.",  "multi_modal_projector.", "vision_model."};
constexpr int64_t kMaxHeadDim = int64_t{1} << 16;

bool is_other_sense(std::string_view name) {
  for (const std::string_view prefix : kOtherSenses)
    if (name.starts_with(prefix)) return true;
  return false;
}

const quant::Format* plain_format(ElementType type) {
  const bool is_plain = type == ElementType::kF32 || type == ElementType::kF16 || type == ElementType::kBF16;
  return is_plain ? quant::find_format(safetensors::name_of(type)) : nullptr;
}

}  // namespace

class HfReader {
 public:
  HfReader(HfSource& source, const HfOptions& options) : source_(source), options_(options) {}

  Status run() {
    TRY(read_hf_config(file("config.json"), source_.metadata_));
    TRY(read_texts());
    n_layers_ = TRY(source_.metadata_.get_i64("gemma4.block_count"));
    checkpoint_ = TRY(safetensors::Checkpoint::open(source_.folder_));
    const std::vector<std::string> listed = TRY(torchao_names(checkpoint_));
    if (listed.empty()) {
      for (const auto& [name, tensor] : checkpoint_.tensors) TRY(add(name));
    } else {
      for (const std::string& name : listed) TRY(add(name));
    }
    TRY(add_head());
    return add_rope_factors();
  }

 private:
  std::string file(const char* name) const { return (std::filesystem::path(source_.folder_) / name).string(); }
  bool has_file(const char* name) const {
    std::error_code ignored;
    return std::filesystem::exists(file(name), ignored);
  }

  Status read_texts() {
    if (has_file("generation_config.json"))
      TRY(read_hf_generation_config(file("generation_config.json"), source_.metadata_));
    if (!has_file("tokenizer.json")) return {};
    source_.has_tokenizer_ = true;
    TRY(read_hf_tokenizer(file("tokenizer.json"), source_.metadata_));
    if (has_file("chat_template.jinja")) {
      const auto text = TRY(MappedFile::open(file("chat_template.jinja")));
      set_template({reinterpret_cast<const char*>(text->bytes().data()), text->bytes().size()});
    } else if (has_file("tokenizer_config.json")) {
      const auto object = TRY(read_json_object(file("tokenizer_config.json")));
      const JsonFields fields(object, file("tokenizer_config.json"));
      if (const auto* text = fields.find("chat_template"); text && text->is_string())
        set_template(text->get_ref<const std::string&>());
    }
    return {};
  }
  void set_template(std::string_view text) { source_.metadata_.set("tokenizer.chat_template", gguf::Value(text)); }

  Status add(const std::string& name) {
    const std::string_view model_name = without_prefix(name);
    if (is_other_sense(model_name)) return {};
    const std::string to = gguf_name(model_name);
    if (to.empty()) {
      source_.unknown_.push_back(name);
      return {};
    }
    auto stored = read(name, model_name);
    if (!stored) return stored.error().in(source_.folder_);
    if (!source_.tensors_.emplace(to, *std::move(stored)).second)
      return invalid_format("{}: tensor \"{}\" is there twice, under another prefix", source_.folder_, name);
    return {};
  }

  Result<StoredTensor> read(const std::string& name, std::string_view model_name) const {
    if (auto matrix = TRY(torchao_matrix(checkpoint_, name, options_.int4_zeros))) {
      const auto& shape = matrix->shape();
      return StoredTensor{.dims = {shape.k, shape.n}, .affine = std::move(matrix)};
    }
    const auto found = checkpoint_.tensors.find(name);
    if (found == checkpoint_.tensors.end()) return make_error(ErrorCode::kNotFound, "tensor \"{}\" is missing", name);
    return plain(found->second, name, model_name);
  }

  Result<StoredTensor> plain(const Tensor& tensor, const std::string& name, std::string_view model_name) const {
    const quant::Format* format = plain_format(tensor.type);
    if (!format)
      return not_implemented("tensor \"{}\" is {}; supported: F32, F16, BF16 and torchao's classes", name,
                             describe(tensor));
    StoredTensor out{.dims = {tensor.shape.rbegin(), tensor.shape.rend()},
                     .format = format,
                     .bytes = tensor.bytes,
                     .owner = tensor.owner,
                     .mapped = tensor.mapped};
    const auto how = tensor.shape.size() == 2 ? rule_for(options_.recipe, model_name, n_layers_) : std::nullopt;
    if (!how) return out;
    auto matrix = quant::quantized({format, tensor.bytes, tensor.owner, tensor.mapped, out.dims[1], out.dims[0]}, *how);
    if (!matrix) return matrix.error().in(fmt::format("tensor \"{}\"", name));
    return StoredTensor{.dims = out.dims, .affine = *std::move(matrix)};
  }

  // Published files tie the head to the embedding. A recipe treats them as two weights: rows that are only looked up
  // want 8 bits, the head is multiplied with like any other linear.
  Status add_head() {
    if (source_.tensors_.contains("output.weight") || options_.recipe == Recipe::kNone) return {};
    for (const auto& [name, tensor] : checkpoint_.tensors) {
      if (without_prefix(name) != "embed_tokens.weight") continue;
      auto head = plain(tensor, name, "lm_head.weight");
      if (!head) return head.error().in(source_.folder_);
      source_.tensors_.emplace("output.weight", *std::move(head));
    }
    return {};
  }

  Status add_rope_factors() {
    const double share = TRY(read_hf_rotated_share(file("config.json")));
    const auto head_dim = TRY(source_.metadata_.get_i64("gemma4.attention.key_length"));
    if (head_dim < 2 || head_dim > kMaxHeadDim)
      return invalid_format("{}: \"global_head_dim\": expected 2 to {}, found {}", file("config.json"), kMaxHeadDim,
                            head_dim);
    const auto factors = std::make_shared<const std::vector<float>>(rope_factors(head_dim, share));
    source_.tensors_.emplace("rope_freqs.weight", StoredTensor{.dims = {head_dim / 2},
                                                               .format = quant::find_format("F32"),
                                                               .bytes = std::as_bytes(std::span(*factors)),
                                                               .owner = factors});
    return {};
  }

  HfSource& source_;
  const HfOptions& options_;
  safetensors::Checkpoint checkpoint_;
  int64_t n_layers_ = 0;
};

Result<std::shared_ptr<const HfSource>> HfSource::open(const std::string& folder, const HfOptions& options) {
  std::shared_ptr<HfSource> source(new HfSource(folder));
  TRY(HfReader(*source, options).run());
  return std::shared_ptr<const HfSource>(std::move(source));
}

std::optional<StoredTensor> HfSource::find(std::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? std::nullopt : std::optional(found->second);
}

std::vector<std::string> HfSource::names() const {
  std::vector<std::string> out = unknown_;
  for (const auto& [name, tensor] : tensors_) out.push_back(name);
  return out;
}

}  // namespace tessera::models
