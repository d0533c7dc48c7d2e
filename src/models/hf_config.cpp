#include "models/hf_config.h"

#include <filesystem>

#include "models/json_fields.h"
#include "models/model_source.h"

namespace tessera::models {
namespace {

using gguf::Metadata;
using gguf::Value;
using nlohmann::json;

// Of a model that also sees and hears, the part that reads.
Result<JsonFields> text_config(const json& config, const std::string& path) {
  const JsonFields all(config, path);
  if (all.find("text_config")) return all.object("text_config");
  return all;
}

struct Config {
  const JsonFields& fields;
  Metadata& metadata;

  void set(std::string_view key, Value value) { metadata.set(fmt::format("gemma4.{}", key), std::move(value)); }
  // A size or a count; in range, so that sums and doubles of two do not overflow.
  Result<int64_t> count(const char* key, std::optional<int64_t> fallback = std::nullopt) const {
    const int64_t value = fallback ? TRY(fields.integer(key, *fallback)) : TRY(fields.integer(key));
    if (value < 0 || value > INT32_MAX) return invalid_format("{}: \"{}\" is {}", fields.where(), key, value);
    return value;
  }
  Status copy(const char* key, std::string_view to) {
    set(to, Value(static_cast<uint32_t>(TRY(count(key)))));
    return {};
  }

  Status sizes() {
    TRY(copy("num_hidden_layers", "block_count"));
    TRY(copy("max_position_embeddings", "context_length"));
    TRY(copy("hidden_size", "embedding_length"));
    TRY(copy("num_attention_heads", "attention.head_count"));
    TRY(copy("sliding_window", "attention.sliding_window"));
    for (const char* to : {"attention.key_length_swa", "attention.value_length_swa"}) TRY(copy("head_dim", to));
    for (const char* to : {"attention.key_length", "attention.value_length"}) TRY(copy("global_head_dim", to));
    set("attention.layer_norm_rms_epsilon", Value(static_cast<float>(TRY(fields.number("rms_norm_eps")))));
    if (fields.has_null("final_logit_softcapping"))
      return not_implemented("{}: \"final_logit_softcapping\" is null; only models that cap their logits are supported",
                             fields.where());
    if (fields.find("final_logit_softcapping"))
      set("final_logit_softcapping", Value(static_cast<float>(TRY(fields.number("final_logit_softcapping")))));
    return {};
  }

  // What the reader of the metadata refuses by its GGUF name, so that there is one place that says what is supported.
  Status variants() {
    if (TRY(fields.boolean("enable_moe_block", false))) TRY(copy("num_experts", "expert_count"));
    if (fields.find("hidden_size_per_layer_input"))
      TRY(copy("hidden_size_per_layer_input", "embedding_length_per_layer_input"));
    return {};
  }

  Status rope() {
    const JsonFields all = TRY(fields.object("rope_parameters"));
    const JsonFields full = TRY(all.object("full_attention")), sliding = TRY(all.object("sliding_attention"));
    set("rope.freq_base", Value(static_cast<float>(TRY(full.number("rope_theta")))));
    set("rope.freq_base_swa", Value(static_cast<float>(TRY(sliding.number("rope_theta")))));
    return {};
  }

  Status layers() {
    const json& types = *TRY(fields.array("layer_types"));
    const int64_t n = TRY(count("num_hidden_layers"));
    if (n < 1 || n > kMaxLayers || static_cast<int64_t>(types.size()) != n)
      return invalid_format("{}: \"layer_types\" has {} entries, \"num_hidden_layers\" is {}", fields.where(),
                            types.size(), n);
    const int64_t kv_heads = TRY(count("num_key_value_heads"));
    const bool k_is_v = TRY(fields.boolean("attention_k_eq_v", false));
    const int64_t full_kv_heads = k_is_v ? TRY(count("num_global_key_value_heads", kv_heads)) : kv_heads;
    const int64_t n_shared = TRY(count("num_kv_shared_layers", 0));
    const int64_t width = TRY(count("intermediate_size"));
    const bool widens = TRY(fields.boolean("use_double_wide_mlp", false));
    std::vector<bool> sliding;
    std::vector<int64_t> heads, widths;
    for (const json& type : types) {
      if (type != "sliding_attention" && type != "full_attention")
        return not_implemented("{}: \"layer_types\": {}; supported: sliding_attention, full_attention", fields.where(),
                               type.is_string() ? type.get_ref<const std::string&>() : type.type_name());
      sliding.push_back(type == "sliding_attention");
      heads.push_back(sliding.back() ? kv_heads : full_kv_heads);
      const bool shares = static_cast<int64_t>(widths.size()) >= n - n_shared;
      widths.push_back(widens && shares ? width * 2 : width);
    }
    set("attention.sliding_window_pattern", Value::array(std::move(sliding)));
    set("attention.head_count_kv", Value::array(std::move(heads)));
    set("attention.shared_kv_layers", Value(n_shared));
    set("feed_forward_length", Value::array(std::move(widths)));
    return {};
  }
};

Status read_config(const json& object, const std::string& path, Metadata& metadata) {
  const JsonFields fields = TRY(text_config(object, path));
  const std::string_view type = TRY(fields.text("model_type"));
  if (type != "gemma4" && type != "gemma4_text")
    return not_implemented("{}: model_type \"{}\"; supported: gemma4, gemma4_text", fields.where(), type);
  metadata.set("general.architecture", Value("gemma4"));
  metadata.set("general.name", Value(std::filesystem::path(path).parent_path().filename().string()));
  Config config{fields, metadata};
  TRY(config.variants());
  TRY(config.sizes());
  TRY(config.rope());
  return config.layers();
}

}  // namespace

Status read_hf_config(const std::string& path, Metadata& metadata) {
  const json object = TRY(read_json_object(path));
  return read_config(object, path, metadata);
}

Status parse_hf_config(std::string_view text, const std::string& path, Metadata& metadata) {
  const json object = TRY(parse_json_object(text, path));
  return read_config(object, path, metadata);
}

Result<double> read_hf_rotated_share(const std::string& config_path) {
  const json object = TRY(read_json_object(config_path));
  const JsonFields fields = TRY(text_config(object, config_path));
  const JsonFields rope = TRY(fields.object("rope_parameters"));
  const JsonFields full = TRY(rope.object("full_attention"));
  const double share = full.find("partial_rotary_factor") ? TRY(full.number("partial_rotary_factor")) : 1.0;
  if (!(share > 0 && share <= 1))
    return invalid_format("{}: \"partial_rotary_factor\" is {}, expected above 0 and at most 1", full.where(), share);
  return share;
}

Status read_hf_generation_config(const std::string& path, Metadata& metadata) {
  const json object = TRY(read_json_object(path));
  const JsonFields fields(object, path);
  for (const auto& [key, to] :
       {std::pair("temperature", "general.sampling.temp"), std::pair("top_p", "general.sampling.top_p")})
    if (fields.find(key)) metadata.set(to, Value(static_cast<float>(TRY(fields.number(key)))));
  if (fields.find("top_k")) metadata.set("general.sampling.top_k", Value(TRY(fields.integer("top_k"))));
  return {};
}

}  // namespace tessera::models
