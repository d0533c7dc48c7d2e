// Hugging Face Gemma 4 folders for tests: config.json, tokenizer.json and safetensors of random weights, with the same
// weights to be had as numbers.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "base/float16.h"
#include "models/gemma4_testing.h"
#include "models/hf_source.h"
#include "safetensors/safetensors_testing.h"

namespace tessera::testing {

struct HfMatrix {
  std::vector<int64_t> shape;  // row-major
  std::vector<float> values;   // all of them bf16 numbers
};

class HfModel {
 public:
  explicit HfModel(const Gemma4Shape& shape, uint32_t seed = 1) : shape_(shape), rng_(seed) {
    const int64_t h = shape.hidden;
    matrix("embed_tokens.weight", shape.vocab, h, 1);
    vector("norm.weight", h);
    for (int64_t i = 0; i < shape.layers; ++i) {
      const bool full = shape.is_full(i);
      const int64_t head_dim = full ? shape.head_dim_full : shape.head_dim;
      const int64_t q = shape.heads * head_dim, kv = (full ? shape.kv_heads_full : shape.kv_heads) * head_dim;
      const std::string layer = fmt::format("layers.{}.", i);
      matrix(layer + "self_attn.q_proj.weight", q, h);
      matrix(layer + "self_attn.k_proj.weight", kv, h);
      if (!full) matrix(layer + "self_attn.v_proj.weight", kv, h);
      matrix(layer + "self_attn.o_proj.weight", h, q);
      vector(layer + "self_attn.q_norm.weight", head_dim);
      vector(layer + "self_attn.k_norm.weight", head_dim);
      for (const char* norm :
           {"input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm"})
        vector(layer + norm + ".weight", h);
      matrix(layer + "mlp.gate_proj.weight", shape.ffn, h);
      matrix(layer + "mlp.up_proj.weight", shape.ffn, h);
      matrix(layer + "mlp.down_proj.weight", h, shape.ffn);
      tensors[layer + "layer_scalar"] = {{1}, {0.5f}};
    }
  }

  std::map<std::string, HfMatrix> tensors;  // by the model's names

  nlohmann::json config() const {
    nlohmann::json types = nlohmann::json::array();
    for (int64_t i = 0; i < shape_.layers; ++i)
      types.push_back(shape_.is_full(i) ? "full_attention" : "sliding_attention");
    const nlohmann::json text = {
        {"model_type", "gemma4_text"},
        {"num_hidden_layers", shape_.layers},
        {"hidden_size", shape_.hidden},
        {"intermediate_size", shape_.ffn},
        {"num_attention_heads", shape_.heads},
        {"num_key_value_heads", shape_.kv_heads},
        {"num_global_key_value_heads", shape_.kv_heads_full},
        {"head_dim", shape_.head_dim},
        {"global_head_dim", shape_.head_dim_full},
        {"attention_k_eq_v", true},
        {"layer_types", types},
        {"sliding_window", shape_.window},
        {"max_position_embeddings", shape_.context},
        {"rms_norm_eps", 1e-6},
        {"final_logit_softcapping", 30.0},
        {"num_kv_shared_layers", nullptr},
        {"hidden_size_per_layer_input", 0},
        {"enable_moe_block", false},
        {"vocab_size", shape_.vocab},
        {"rope_parameters",
         {{"full_attention",
           {{"rope_theta", 1000000.0}, {"rope_type", "proportional"}, {"partial_rotary_factor", 0.25}}},
          {"sliding_attention", {{"rope_theta", 10000.0}, {"rope_type", "default"}}}}}};
    return {{"model_type", "gemma4"}, {"architectures", {"Gemma4ForConditionalGeneration"}}, {"text_config", text}};
  }

  // Characters, bytes, Gemma's markers and one merge.
  nlohmann::json tokenizer() const {
    nlohmann::json vocab, added = nlohmann::json::array();
    int id = 0;
    for (const char* special : {"<pad>", "<eos>", "<bos>", "<unk>", "<|turn>", "<turn|>"}) {
      added.push_back({{"id", id}, {"content", special}, {"special", true}});
      vocab[special] = id++;
    }
    for (int byte = 0; byte < 256; ++byte) vocab[fmt::format("<0x{:02X}>", byte)] = id++;
    for (const char* text : {"\u2581", "a", "b", "ab", "\u2581ab"}) vocab[text] = id++;
    while (id < shape_.vocab) {
      vocab[fmt::format("<unused{}>", id)] = id;
      ++id;
    }
    using nlohmann::json;  // a pair of pairs of texts would be taken for an object
    const json merges = json::array({json::array({"a", "b"}), json::array({"\u2581", "ab"})});
    return {{"added_tokens", added},
            {"normalizer", {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "\u2581"}}},
            {"model", {{"type", "BPE"}, {"byte_fallback", true}, {"vocab", vocab}, {"merges", merges}}}};
  }

  // The folder, in two shards, with the prefix that models with vision have.
  void write(const std::string& folder) const {
    put(folder + "/config.json", config());
    put(folder + "/tokenizer.json", tokenizer());
    SafetensorsWriter shards[2];
    nlohmann::json weight_map;
    size_t i = 0;
    for (const auto& [name, matrix] : tensors) {
      const std::string full = "model.language_model." + name;
      add_bf16(shards[i % 2], full, matrix);
      weight_map[full] = fmt::format("model-{}.safetensors", i % 2);
      ++i;
    }
    add_bf16(shards[0], "model.vision_tower.patch.weight", {{2}, {1, 2}});
    for (int shard = 0; shard < 2; ++shard) shards[shard].write(fmt::format("{}/model-{}.safetensors", folder, shard));
    put(folder + "/model.safetensors.index.json", {{"weight_map", weight_map}});
  }

  static void put(const std::string& path, const nlohmann::json& value) {
    std::ofstream(path, std::ios::binary) << value.dump();
  }
  static void add_bf16(SafetensorsWriter& writer, const std::string& name, const HfMatrix& matrix) {
    std::vector<BF16> rounded;
    for (const float v : matrix.values) rounded.push_back(to_bf16(v));
    writer.add(name, safetensors::ElementType::kBF16, matrix.shape, std::as_bytes(std::span(rounded)));
  }

  // The same model as a GGUF file of F32 weights; `values` overrides what a tensor of the model's name holds.
  void write_gguf(const std::string& path, const std::map<std::string, HfMatrix>& values) const {
    Gemma4File file(shape_, "F32");
    file.tensors.clear();
    for (const auto& [name, matrix] : values)
      file.add(models::gguf_name(name), "F32", {matrix.shape.rbegin(), matrix.shape.rend()});
    auto writer = gguf::Writer::create(path, file.metadata, file.tensors);
    ASSERT_TRUE(writer) << writer.error().message;
    for (const auto& [name, matrix] : values) {
      const Status status = writer->write(std::as_bytes(std::span(matrix.values)));
      ASSERT_TRUE(status) << status.error().message;
    }
    const Status status = writer->commit();
    ASSERT_TRUE(status) << status.error().message;
  }

 private:
  void fill(HfMatrix& matrix, float mean, float deviation) {
    std::normal_distribution<float> normal(mean, deviation);
    size_t n = 1;
    for (const int64_t size : matrix.shape) n *= static_cast<size_t>(size);
    for (size_t i = 0; i < n; ++i) matrix.values.push_back(to_f32(to_bf16(normal(rng_))));
  }
  void matrix(const std::string& name, int64_t n, int64_t k, float deviation = 0) {
    auto& out = tensors[name] = {{n, k}, {}};
    fill(out, 0, deviation > 0 ? deviation : 1 / std::sqrt(static_cast<float>(k)));
  }
  void vector(const std::string& name, int64_t n) { fill(tensors[name] = {{n}, {}}, 1, 0.1f); }

  Gemma4Shape shape_;
  std::mt19937 rng_;
};

}  // namespace tessera::testing
