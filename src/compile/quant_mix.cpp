#include "compile/quant_mix.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <map>

namespace tessera::compile {
namespace {

using quant::Format;
using quant::GgmlType;

// The head (at 1-2 bits a weight more, and read once a token) is Q6_K wherever the base has fewer bits. The numbers of
// the last column are llama.cpp's enum llama_ftype; Q4_K and Q5_K alone carry those of its nearest mixes, _S.
constexpr QuantMix kMixes[] = {
    {"q4_k_m", GgmlType::kQ4_K, GgmlType::kQ6_K, GgmlType::kQ6_K, 15},
    {"q5_k_m", GgmlType::kQ5_K, GgmlType::kQ6_K, GgmlType::kQ6_K, 17},
    {"q6_k", GgmlType::kQ6_K, GgmlType::kQ6_K, GgmlType::kQ6_K, 18},
    {"q8_0", GgmlType::kQ8_0, GgmlType::kQ8_0, GgmlType::kQ8_0, 7},
    {"q4_0", GgmlType::kQ4_0, GgmlType::kQ4_0, GgmlType::kQ6_K, 2},
    {"q4_1", GgmlType::kQ4_1, GgmlType::kQ4_1, GgmlType::kQ6_K, 3},
    {"q5_0", GgmlType::kQ5_0, GgmlType::kQ5_0, GgmlType::kQ6_K, 8},
    {"q5_1", GgmlType::kQ5_1, GgmlType::kQ5_1, GgmlType::kQ6_K, 9},
    {"q4_k", GgmlType::kQ4_K, GgmlType::kQ4_K, GgmlType::kQ6_K, 14},
    {"q5_k", GgmlType::kQ5_K, GgmlType::kQ5_K, GgmlType::kQ6_K, 16},
    {"f16", GgmlType::kF16, GgmlType::kF16, GgmlType::kF16, 1},
    {"bf16", GgmlType::kBF16, GgmlType::kBF16, GgmlType::kBF16, 32},
    {"f32", GgmlType::kF32, GgmlType::kF32, GgmlType::kF32, 0},
};

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

bool is_quantizable(const gguf::TensorDeclaration& tensor) {
  const std::string_view name = tensor.name;
  return tensor.dims.size() >= 2 && name.ends_with("weight") && !contains(name, "_norm.weight") &&
         !contains(name, "ffn_gate_inp.weight") && !contains(name, "per_layer_model_proj");
}

// Vectors are small and their rounding is felt everywhere, so half floats are widened; what is no float stays.
const Format* unquantized_format(const gguf::TensorDeclaration& tensor) {
  const bool is_half = tensor.format->type == GgmlType::kF16 || tensor.format->type == GgmlType::kBF16;
  const bool keeps_type = contains(tensor.name, "per_layer_model_proj");
  return is_half && !keeps_type ? quant::find_format(GgmlType::kF32) : tensor.format;
}

// N of "blk.N.rest".
std::optional<int64_t> layer_of(std::string_view name) {
  constexpr std::string_view kPrefix = "blk.";
  if (!name.starts_with(kPrefix)) return std::nullopt;
  int64_t layer = 0;
  const auto [end, error] = std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), layer);
  if (error != std::errc() || layer < 0) return std::nullopt;
  return layer;
}

bool is_attn_v(std::string_view name) { return name.ends_with("attn_v.weight"); }

// What the mix looks up while it goes over the tensors.
struct Model {
  int64_t n_layers;
  bool has_output;                         // an output.weight of its own; otherwise the embeddings are the head
  std::map<int64_t, int64_t> attn_v_rank;  // layer -> ordinal among the layers that own an attn_v
};

Model describe(int64_t n_layers, std::span<const gguf::TensorDeclaration> tensors) {
  Model model{n_layers, false, {}};
  for (const auto& tensor : tensors) {
    if (tensor.name == "output.weight") model.has_output = true;
    if (const auto layer = layer_of(tensor.name); layer && is_attn_v(tensor.name)) model.attn_v_rank[*layer] = 0;
  }
  int64_t rank = 0;
  for (auto& entry : model.attn_v_rank) entry.second = rank++;
  return model;
}

GgmlType preferred_type(const QuantMix& mix, const Model& model, std::string_view name) {
  const bool is_embedding = name == "token_embd.weight" || name == "per_layer_token_embd.weight";
  if (name == "output.weight" || (is_embedding && !model.has_output)) return mix.head;
  const auto layer = layer_of(name);
  if (!layer) return mix.base;
  bool more_bits = false;
  if (is_attn_v(name)) {
    more_bits = has_more_bits(model.attn_v_rank.at(*layer), static_cast<int64_t>(model.attn_v_rank.size()));
  } else if (contains(name, "ffn_down")) {
    more_bits = has_more_bits(*layer, model.n_layers);
  }
  return more_bits ? mix.more_bits : mix.base;
}

// Of about the same size, in blocks of 32; F16 when even those do not fit.
GgmlType fallback_of(GgmlType type) {
  switch (type) {
    case GgmlType::kQ4_K:
      return GgmlType::kQ5_0;
    case GgmlType::kQ5_K:
      return GgmlType::kQ5_1;
    case GgmlType::kQ6_K:
      return GgmlType::kQ8_0;
    default:
      return GgmlType::kF16;
  }
}

const Format* fitting_format(GgmlType type, int64_t row_values) {
  const Format* format = quant::find_format(type);
  while (row_values % format->block_values != 0) format = quant::find_format(fallback_of(format->type));
  return format;
}

}  // namespace

Result<QuantMix> find_quant_mix(std::string_view name) {
  std::string lower(name);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  for (const QuantMix& mix : kMixes)
    if (mix.name == lower) return mix;
  return not_implemented("unknown quantization type '{}'; supported are {}", name, list_quant_mixes());
}

std::string list_quant_mixes() {
  std::string out;
  for (const QuantMix& mix : kMixes) out += fmt::format("{}{}", out.empty() ? "" : ", ", mix.name);
  return out;
}

bool has_more_bits(int64_t index, int64_t n) { return index < n / 8 || index >= 7 * n / 8 || (index - n / 8) % 3 == 2; }

std::vector<const Format*> assign_formats(const QuantMix& mix, int64_t n_layers,
                                          std::span<const gguf::TensorDeclaration> tensors) {
  const Model model = describe(n_layers, tensors);
  std::vector<const Format*> formats;
  for (const auto& tensor : tensors) {
    const bool is_matrix = is_quantizable(tensor) && tensor.format->dequantize;  // an integer table stays
    formats.push_back(is_matrix ? fitting_format(preferred_type(mix, model, tensor.name), tensor.dims[0])
                                : unquantized_format(tensor));
  }
  return formats;
}

}  // namespace tessera::compile
