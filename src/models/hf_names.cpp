// Names of tensors: Hugging Face's and ours (executorch-pte 8.5).
#include "models/hf_source.h"

namespace tessera::models {
namespace {

struct Pair {
  std::string_view model, gguf;
};
constexpr Pair kModelLevel[] = {
    {"embed_tokens.weight", "token_embd.weight"},
    {"norm.weight", "output_norm.weight"},
    {"lm_head.weight", "output.weight"},
};
constexpr Pair kLayerLevel[] = {
    {"self_attn.q_proj.weight", "attn_q.weight"},
    {"self_attn.k_proj.weight", "attn_k.weight"},
    {"self_attn.v_proj.weight", "attn_v.weight"},
    {"self_attn.o_proj.weight", "attn_output.weight"},
    {"self_attn.q_norm.weight", "attn_q_norm.weight"},
    {"self_attn.k_norm.weight", "attn_k_norm.weight"},
    {"input_layernorm.weight", "attn_norm.weight"},
    {"post_attention_layernorm.weight", "post_attention_norm.weight"},
    {"pre_feedforward_layernorm.weight", "ffn_norm.weight"},
    {"post_feedforward_layernorm.weight", "post_ffw_norm.weight"},
    {"mlp.gate_proj.weight", "ffn_gate.weight"},
    {"mlp.up_proj.weight", "ffn_up.weight"},
    {"mlp.down_proj.weight", "ffn_down.weight"},
    {"layer_scalar", "layer_output_scale.weight"},
};

}  // namespace

std::string gguf_name(std::string_view model_name) {
  for (const Pair& pair : kModelLevel)
    if (pair.model == model_name) return std::string(pair.gguf);
  constexpr std::string_view kLayers = "layers.";
  if (!model_name.starts_with(kLayers)) return {};
  const std::string_view rest = model_name.substr(kLayers.size());
  const size_t dot = rest.find('.');
  if (dot == 0 || dot == std::string_view::npos || rest.substr(0, dot).find_first_not_of("0123456789") < dot) return {};
  for (const Pair& pair : kLayerLevel)
    if (pair.model == rest.substr(dot + 1)) return fmt::format("blk.{}.{}", rest.substr(0, dot), pair.gguf);
  return {};
}

std::string_view without_prefix(std::string_view name) {
  for (const std::string_view prefix : {"model.", "language_model.", "model."})
    if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
  return name;
}

}  // namespace tessera::models
