#include "models/gemma4.h"

#include <cmath>

#include "models/gemma4_config.h"
#include "models/rope_factors.h"
#include "models/weight_source.h"

namespace tessera::models {
namespace {

using graph::ValueId;

class Gemma4 {
 public:
  Gemma4(const ModelSource& source, const ModelOptions& options, Gemma4Config config)
      : config_(std::move(config)), options_(options), builder_("gemma4"), weights_(source, options.dtype, builder_) {}

  Result<graph::Graph> run(std::vector<std::string>& warnings) {
    tokens_ = builder_.input("tokens", {DType::kI64, {1, graph::kTokens}});
    positions_ = builder_.input("input_pos", {DType::kI64, {graph::kTokens}});
    const ValueId table = weights_.matrix("token_embd.weight", config_.vocab_size, config_.hidden);
    ValueId h = builder_.add(graph::Embedding{}, {table, tokens_});
    h = builder_.add(graph::Scale{std::sqrt(static_cast<double>(config_.hidden))}, {h});
    for (size_t i = 0; i < config_.layers.size(); ++i) h = layer(i, h);
    const ValueId logits = head(h, table);
    TRY(weights_.status());
    const std::vector<std::string> unused = weights_.unused();
    if (!unused.empty())
      warnings.push_back(fmt::format("{} tensors are not used: {}", unused.size(), first_few(unused)));
    return std::move(builder_).finish(logits);
  }

 private:
  // "blk.3.attn_q.weight"
  static std::string tensor(size_t layer, std::string_view what) {
    return fmt::format("blk.{}.{}.weight", layer, what);
  }

  ValueId norm(ValueId x, const std::string& weight) {
    return builder_.add(graph::RmsNorm{config_.rms_eps}, {x, weights_.vector(weight, builder_.type(x).shape.back())});
  }
  ValueId linear(ValueId x, const std::string& weight, int64_t n) {
    const ValueId out = builder_.add(graph::Linear{}, {x, weights_.matrix(weight, n, builder_.type(x).shape.back())});
    const std::string factor = factor_of(weight);
    return weights_.has(factor) ? builder_.add(graph::Mul{}, {out, weights_.vector(factor, 1)}) : out;
  }
  // A number by which a file multiplies the whole matrix, where its format cannot hold it: NVFP4's has the name of the
  // weight, with another end.
  static std::string factor_of(std::string_view weight) {
    weight.remove_suffix(std::string_view("weight").size());
    return fmt::format("{}scale", weight);
  }

  ValueId layer(size_t i, ValueId h) {
    const ValueId attended = attention(i, norm(h, tensor(i, "attn_norm")));
    h = builder_.add(graph::Add{}, {h, norm(attended, tensor(i, "post_attention_norm"))});
    const ValueId mixed = mlp(i, norm(h, tensor(i, "ffn_norm")));
    h = builder_.add(graph::Add{}, {h, norm(mixed, tensor(i, "post_ffw_norm"))});
    // Scales the residual stream itself; a file without it means 1.
    const std::string scale = tensor(i, "layer_output_scale");
    return weights_.has(scale) ? builder_.add(graph::Mul{}, {h, weights_.vector(scale, 1)}) : h;
  }

  // Linears first, then all that concerns heads: the latter becomes one step of a program.
  ValueId attention(size_t i, ValueId x) {
    const Gemma4Layer& layer = config_.layers[i];
    const bool owns_kv = layer.kv_layer == static_cast<int64_t>(i);
    const int64_t kv_dim = layer.n_kv_heads * layer.head_dim;
    const ValueId q = linear(x, tensor(i, "attn_q"), config_.n_heads * layer.head_dim);
    ValueId k, v;
    if (owns_kv) {
      k = linear(x, tensor(i, "attn_k"), kv_dim);
      // Full layers may have no V: it is the raw K, before norm and rotation.
      const bool k_is_v = !layer.sliding && !weights_.has(tensor(i, "attn_v"));
      v = k_is_v ? k : linear(x, tensor(i, "attn_v"), kv_dim);
    } else {
      for (const char* unused : {"attn_k", "attn_v", "attn_k_norm"}) {
        weights_.ignore(tensor(i, unused));
        weights_.ignore(factor_of(tensor(i, unused)));
      }
    }

    std::vector<ValueId> inputs = {norm(split(q, config_.n_heads), tensor(i, "attn_q_norm")), positions_};
    graph::Attention op{.cache = cache(i), .scale = 1, .rope_base = config_.rope_base_sliding, .rope_periods = false};
    if (!layer.sliding) {
      op.rope_base = config_.rope_base_full;
      op.rope_periods = true;
      inputs.push_back(full_periods(layer.head_dim));
    }
    if (owns_kv) {
      inputs.push_back(norm(split(k, layer.n_kv_heads), tensor(i, "attn_k_norm")));
      inputs.push_back(builder_.add(graph::RmsNorm{config_.rms_eps}, {split(v, layer.n_kv_heads)}));
    }
    const ValueId heads = builder_.add(op, std::move(inputs));
    return linear(heads, tensor(i, "attn_output"), config_.hidden);
  }

  ValueId split(ValueId x, int64_t n_heads) { return builder_.add(graph::SplitHeads{n_heads}, {x}); }

  // Creates the cache of a layer that owns one.
  graph::CacheId cache(size_t i) {
    const Gemma4Layer& layer = config_.layers[i];
    if (layer.kv_layer == static_cast<int64_t>(i))
      caches_.push_back(builder_.cache({.name = fmt::format("blk.{}", i),
                                        .dtype = options_.kv_dtype.value_or(options_.dtype),
                                        .n_kv_heads = layer.n_kv_heads,
                                        .head_dim = layer.head_dim,
                                        .window = layer.sliding ? config_.window : 0}));
    return caches_[static_cast<size_t>(layer.kv_layer)];  // owners come first and in order
  }

  // Periods of the full layers' pairs: base^(2i/D) * factor, with the factors of rope_freqs.weight. A file without it
  // means the published models' factors.
  ValueId full_periods(int64_t head_dim) {
    if (periods_.index >= 0) return periods_;
    const auto n_pairs = static_cast<size_t>(head_dim / 2);
    const std::vector<float> factors = weights_.has("rope_freqs.weight")
                                           ? weights_.read("rope_freqs.weight", head_dim / 2)
                                           : rope_factors(head_dim, kRotatedShare);
    std::vector<float> periods(n_pairs);
    for (size_t i = 0; i < factors.size(); ++i)
      periods[i] = static_cast<float>(
          std::pow(config_.rope_base_full, 2.0 * static_cast<double>(i) / static_cast<double>(head_dim)) *
          static_cast<double>(factors[i]));
    return periods_ = weights_.constant("rope_periods", periods);
  }

  ValueId mlp(size_t i, ValueId x) {
    const int64_t width = config_.layers[i].ffn_dim;
    const ValueId gate = builder_.add(graph::Gelu{}, {linear(x, tensor(i, "ffn_gate"), width)});
    const ValueId up = linear(x, tensor(i, "ffn_up"), width);
    return linear(builder_.add(graph::Mul{}, {gate, up}), tensor(i, "ffn_down"), config_.hidden);
  }

  // The output matrix is the embedding table unless the file has one of its own.
  ValueId head(ValueId h, ValueId table) {
    h = norm(h, "output_norm.weight");
    ValueId logits = weights_.has("output.weight") ? linear(h, "output.weight", config_.vocab_size)
                                                   : builder_.add(graph::Linear{}, {h, table});
    if (options_.dtype != DType::kF32) logits = builder_.add(graph::Cast{DType::kF32}, {logits});
    return builder_.add(graph::SoftCap{config_.softcap}, {logits});
  }

  const Gemma4Config config_;
  const ModelOptions& options_;
  graph::Builder builder_;
  WeightSource weights_;
  ValueId tokens_, positions_, periods_;
  std::vector<graph::CacheId> caches_;  // by layer, of the layers that own one
};

}  // namespace

Result<Model> build_gemma4(const ModelSource& source, const ModelOptions& options) {
  Model model;
  Gemma4Config config = TRY(Gemma4Config::read(source, model.warnings));
  model.n_layers = static_cast<int64_t>(config.layers.size());
  model.vocab_size = config.vocab_size;
  model.context_length = config.context_length;
  model.graph = TRY(Gemma4(source, options, std::move(config)).run(model.warnings));
  return model;
}

}  // namespace tessera::models
