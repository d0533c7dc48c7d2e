#include "models/gemma4_config.h"

#include <optional>

namespace tessera::models {
namespace {

// No published model comes near; keeps products of sizes far from overflow.
constexpr int64_t kMaxSize = int64_t{1} << 24;

class Reader {
 public:
  Reader(const ModelSource& source, std::vector<std::string>& warnings)
      : source_(source), metadata_(source.metadata()), warnings_(warnings) {}

  Result<Gemma4Config> run() {
    TRY(refuse_variants());
    Gemma4Config config;
    const int64_t n_layers = TRY(size("block_count", kMaxLayers));
    config.hidden = TRY(size("embedding_length"));
    config.n_heads = TRY(size("attention.head_count"));
    config.context_length = TRY(size("context_length", INT32_MAX));
    config.window = TRY(size("attention.sliding_window"));
    config.rms_eps = TRY(metadata_.get_f32(key("attention.layer_norm_rms_epsilon")));
    config.rope_base_full = TRY(positive_or("rope.freq_base", 1e6f));
    config.rope_base_sliding = TRY(positive_or("rope.freq_base_swa", 1e4f));
    config.softcap = TRY(positive_or("final_logit_softcapping", 30.0f));
    config.vocab_size = TRY(vocab_size());
    config.layers = TRY(layers(n_layers));
    for (const Gemma4Layer& layer : config.layers)
      if (config.n_heads % layer.n_kv_heads != 0)
        return wrong("attention.head_count_kv", "{} heads do not share {} KV heads evenly", config.n_heads,
                     layer.n_kv_heads);
    return config;
  }

 private:
  static std::string key(std::string_view name) { return fmt::format("gemma4.{}", name); }

  template <typename... Args>
  Error wrong(std::string_view name, fmt::format_string<Args...> format, Args&&... args) const {
    return invalid_format("{}: {}: {}", source_.path(), key(name), fmt::format(format, std::forward<Args>(args)...));
  }

  Status refuse_variants() const {
    const int64_t experts = TRY(metadata_.get_i64(key("expert_count"), 0));
    if (experts > 0)
      return not_implemented("{}: gemma4 with {} experts ({}) is not implemented; dense models are", source_.path(),
                             experts, key("expert_count"));
    const int64_t per_layer = TRY(metadata_.get_i64(key("embedding_length_per_layer_input"), 0));
    if (per_layer > 0)
      return not_implemented("{}: gemma4 with per-layer embeddings ({} = {}) is not implemented; models without are",
                             source_.path(), key("embedding_length_per_layer_input"), per_layer);
    return {};
  }

  Result<int64_t> checked(std::string_view name, int64_t value, int64_t most) const {
    if (value < 1 || value > most) return wrong(name, "expected 1 to {}, found {}", most, value);
    return value;
  }
  Result<int64_t> size(std::string_view name, int64_t most = kMaxSize) const {
    return checked(name, TRY(metadata_.get_i64(key(name))), most);
  }

  Result<float> positive_or(std::string_view name, float fallback) const {
    if (!metadata_.contains(key(name)))
      warnings_.push_back(fmt::format("{} is absent: taken as {}", key(name), fallback));
    const float value = TRY(metadata_.get_f32(key(name), fallback));
    if (!(value > 0)) return wrong(name, "expected a positive number, found {}", value);
    return value;
  }

  // The embedding table has the last word; files without weights still have a token list.
  Result<int64_t> vocab_size() const {
    const auto table = source_.find("token_embd.weight");
    if (table && table->dims.size() == 2) return checked("vocab_size", table->dims[1], kMaxSize);
    const auto tokens = TRY(metadata_.get_string_array("tokenizer.ggml.tokens"));
    return checked("vocab_size", static_cast<int64_t>(tokens.size()), kMaxSize);
  }

  // A key that is one number for all layers or an array with one number for each.
  Result<std::vector<int64_t>> per_layer(std::string_view name, int64_t n_layers) const {
    const gguf::Value* value = metadata_.find(key(name));
    std::vector<int64_t> out;
    if (value && value->if_array()) {
      out = TRY(metadata_.get_int_array(key(name)));
      if (static_cast<int64_t>(out.size()) != n_layers)
        return wrong(name, "expected {} elements, one a layer, found {}", n_layers, out.size());
    } else {
      out.assign(static_cast<size_t>(n_layers), TRY(metadata_.get_i64(key(name))));
    }
    for (int64_t n : out) TRY(checked(name, n, kMaxSize));
    return out;
  }

  // Head size of one layer type, `suffix` "" (full) or "_swa" (sliding): keys and values are equally wide and all of it
  // is rotated.
  Result<int64_t> head_dim(std::string_view suffix) const {
    const std::string name = fmt::format("attention.key_length{}", suffix);
    const int64_t head_dim = TRY(size(name));
    if (head_dim % 2 != 0) return wrong(name, "expected an even number, found {}", head_dim);
    for (const char* other : {"attention.value_length", "rope.dimension_count"}) {
      const std::string other_name = fmt::format("{}{}", other, suffix);
      const int64_t found = TRY(metadata_.get_i64(key(other_name), head_dim));
      if (found != head_dim)
        return not_implemented("{}: {} = {} other than {} = {} is not implemented", source_.path(), key(other_name),
                               found, key(name), head_dim);
    }
    return head_dim;
  }

  Result<std::vector<Gemma4Layer>> layers(int64_t n_layers) const {
    const std::vector<bool> sliding = TRY(metadata_.get_bool_array(key("attention.sliding_window_pattern")));
    if (static_cast<int64_t>(sliding.size()) != n_layers)
      return wrong("attention.sliding_window_pattern", "expected {} elements, one a layer, found {}", n_layers,
                   sliding.size());
    const std::vector<int64_t> kv_heads = TRY(per_layer("attention.head_count_kv", n_layers));
    const std::vector<int64_t> ffn_dims = TRY(per_layer("feed_forward_length", n_layers));
    const int64_t full_dim = TRY(head_dim("")), sliding_dim = TRY(head_dim("_swa"));
    const int64_t n_shared = TRY(metadata_.get_i64(key("attention.shared_kv_layers"), 0));
    if (n_shared < 0 || n_shared >= n_layers)
      return wrong("attention.shared_kv_layers", "expected 0 to {}, found {}", n_layers - 1, n_shared);

    std::vector<Gemma4Layer> out;
    std::optional<int64_t> last_owner[2];  // by layer type
    for (int64_t i = 0; i < n_layers; ++i) {
      const auto at = static_cast<size_t>(i);
      if (i < n_layers - n_shared) last_owner[sliding[at]] = i;
      if (!last_owner[sliding[at]])
        return wrong("attention.shared_kv_layers", "no layer before {} has KV of its type to share", i);
      const int64_t kv_layer = *last_owner[sliding[at]];
      out.push_back({.sliding = sliding[at],
                     .n_kv_heads = kv_heads[static_cast<size_t>(kv_layer)],
                     .head_dim = sliding[at] ? sliding_dim : full_dim,
                     .ffn_dim = ffn_dims[at],
                     .kv_layer = kv_layer});
    }
    return out;
  }

  const ModelSource& source_;
  const gguf::Metadata& metadata_;
  std::vector<std::string>& warnings_;
};

}  // namespace

Result<Gemma4Config> Gemma4Config::read(const ModelSource& source, std::vector<std::string>& warnings) {
  return Reader(source, warnings).run();
}

}  // namespace tessera::models
