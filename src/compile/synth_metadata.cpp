#include "compile/synth_metadata.h"

#include "compile/synth_vocabulary.h"

namespace tessera::compile {
namespace {

using gguf::Value;

// The turns of Gemma 4's chat form and nothing else: no tools, no thinking.
constexpr std::string_view kChatTemplate =
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|turn>' + ('model' if message['role'] == 'assistant' else message['role']) + '\\n' }}"
    "{{ message['content'] | trim }}{{ '<turn|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|turn>model\\n' }}{% endif %}";

class Keys {
 public:
  explicit Keys(gguf::Metadata& metadata) : metadata_(metadata) {}
  void count(std::string_view key, int64_t value) { set(key, Value(static_cast<uint32_t>(value))); }
  void real(std::string_view key, float value) { set(key, Value(value)); }
  void set(std::string_view key, Value value) { metadata_.set(fmt::format("gemma4.{}", key), std::move(value)); }

 private:
  gguf::Metadata& metadata_;
};

void set_architecture(gguf::Metadata& metadata, const SynthShape& shape) {
  std::vector<int32_t> kv_heads;
  std::vector<bool> is_sliding;
  for (int64_t i = 0; i < shape.layers; ++i) {
    is_sliding.push_back(!shape.is_full(i));
    kv_heads.push_back(static_cast<int32_t>(shape.is_full(i) ? shape.kv_heads_full : shape.kv_heads));
  }
  Keys keys(metadata);
  keys.count("block_count", shape.layers);
  keys.count("context_length", shape.context);
  keys.count("embedding_length", shape.hidden);
  keys.count("feed_forward_length", shape.ffn);
  keys.count("attention.head_count", shape.heads);
  keys.set("attention.head_count_kv", Value::array(kv_heads));
  keys.count("attention.key_length", shape.head_dim_full);
  keys.count("attention.value_length", shape.head_dim_full);
  keys.count("attention.key_length_swa", shape.head_dim);
  keys.count("attention.value_length_swa", shape.head_dim);
  keys.real("attention.layer_norm_rms_epsilon", 1e-6f);
  keys.count("attention.sliding_window", shape.window);
  keys.set("attention.sliding_window_pattern", Value::array(is_sliding));
  keys.count("attention.shared_kv_layers", 0);
  keys.count("embedding_length_per_layer_input", 0);
  keys.count("rope.dimension_count", shape.head_dim_full);
  keys.count("rope.dimension_count_swa", shape.head_dim);
  keys.real("rope.freq_base", 1e6f);
  keys.real("rope.freq_base_swa", 1e4f);
  keys.real("final_logit_softcapping", 30.0f);
}

void set_tokenizer(gguf::Metadata& metadata, int64_t vocab) {
  SynthVocabulary vocabulary = make_vocabulary(vocab);
  const auto set = [&](std::string_view key, Value value) {
    metadata.set(fmt::format("tokenizer.ggml.{}", key), std::move(value));
  };
  set("model", Value("gemma4"));
  set("tokens", Value::array(std::move(vocabulary.tokens)));
  set("scores", Value::array(std::vector<float>(static_cast<size_t>(vocab), -1000.0f)));
  set("token_type", Value::array(std::move(vocabulary.types)));
  set("merges", Value::array(std::move(vocabulary.merges)));
  set("bos_token_id", Value(uint32_t{2}));
  set("eos_token_id", Value(uint32_t{1}));
  set("eot_token_id", Value(uint32_t{106}));
  set("unknown_token_id", Value(uint32_t{3}));
  set("padding_token_id", Value(uint32_t{0}));
  set("mask_token_id", Value(uint32_t{4}));
  set("add_bos_token", Value(true));
  set("add_space_prefix", Value(false));
  metadata.set("tokenizer.chat_template", Value(kChatTemplate));
}

}  // namespace

gguf::Metadata synth_metadata(const SynthShape& shape, std::optional<uint32_t> file_type) {
  gguf::Metadata metadata;
  metadata.set("general.architecture", Value("gemma4"));
  metadata.set("general.type", Value("model"));
  metadata.set("general.name", Value("synthetic Gemma 4 (random weights)"));
  set_architecture(metadata, shape);
  if (file_type) metadata.set("general.file_type", Value(*file_type));
  metadata.set("general.quantization_version", Value(uint32_t{2}));
  set_tokenizer(metadata, shape.vocab);
  return metadata;
}

}  // namespace tessera::compile
