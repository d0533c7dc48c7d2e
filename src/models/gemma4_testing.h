// Gemma 4 files for tests: metadata and tensor list of any shape, to be mutated, opened without a byte on disk. Weights
// are zeros that take no memory, so the 31B model fits as well.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/checked_math.h"
#include "gguf/file.h"
#include "gguf/layout.h"
#include "gguf/value_codec.h"
#include "gguf/writer.h"

namespace tessera::testing {

struct Gemma4Shape {
  int64_t hidden = 256, layers = 2, heads = 4, head_dim = 64, head_dim_full = 128;
  int64_t kv_heads = 2, kv_heads_full = 1, ffn = 512, window = 32, vocab = 512, context = 4096;
  int64_t period = 2;     // layer i is full when i % period == period - 1
  int64_t shared_kv = 0;  // layers at the end without K and V
  bool is_full(int64_t layer) const { return layer % period == period - 1; }
};

inline constexpr Gemma4Shape kGemma4_31B = {.hidden = 5376,
                                            .layers = 60,
                                            .heads = 32,
                                            .head_dim = 256,
                                            .head_dim_full = 512,
                                            .kv_heads = 16,
                                            .kv_heads_full = 4,
                                            .ffn = 21504,
                                            .window = 1024,
                                            .vocab = 262144,
                                            .context = 262144,
                                            .period = 6};

struct Gemma4File {
  gguf::Metadata metadata;
  std::vector<gguf::TensorDeclaration> tensors;

  explicit Gemma4File(const Gemma4Shape& shape = {}, const char* format = "Q4_K") {
    add_metadata(shape);
    add_tensors(shape, quant::find_format(format));
  }

  void set(std::string_view key, gguf::Value value) { metadata.set("gemma4." + std::string(key), std::move(value)); }
  void remove(std::string_view name) {
    std::erase_if(tensors, [&](const auto& tensor) { return tensor.name == name; });
  }
  gguf::TensorDeclaration& tensor(std::string_view name) {
    return *std::find_if(tensors.begin(), tensors.end(), [&](const auto& tensor) { return tensor.name == name; });
  }
  void add(std::string name, const char* format, std::vector<int64_t> dims) {
    tensors.push_back({std::move(name), quant::find_format(format), std::move(dims)});
  }

  // The file, with all weights zero, read from memory under the name "test.gguf".
  Result<std::shared_ptr<const gguf::File>> open() const {
    std::vector<std::byte> header;
    const auto put = [&](auto value) { gguf::append_bytes(header, &value, sizeof(value)); };
    put(gguf::kMagic);
    put(gguf::kVersion);
    put(uint64_t{tensors.size()});
    put(uint64_t{metadata.entries().size()});
    for (const auto& [key, value] : metadata.entries()) {
      gguf::append_string(header, key);
      TRY(gguf::append_value(header, value));
    }
    uint64_t offset = 0;
    for (const auto& tensor : tensors) {
      gguf::append_string(header, tensor.name);
      put(static_cast<uint32_t>(tensor.dims.size()));
      for (int64_t dim : tensor.dims) put(dim);
      put(static_cast<uint32_t>(tensor.format->type));
      put(offset);
      offset = align_up(offset + TRY(gguf::checked_size(tensor.name, *tensor.format, tensor.dims)), uint64_t{32});
    }
    const size_t size = align_up(header.size(), size_t{32}) + offset;
    // Reserved address space: pages nobody writes to cost nothing.
    void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return make_error(ErrorCode::kOutOfMemory, "mmap of {} bytes", size);
    std::copy(header.begin(), header.end(), static_cast<std::byte*>(memory));
    const std::shared_ptr<const void> owner(memory, [size](const void* m) { munmap(const_cast<void*>(m), size); });
    return gguf::File::from_bytes({static_cast<const std::byte*>(memory), size}, "test.gguf", owner);
  }

 private:
  void add_metadata(const Gemma4Shape& shape) {
    metadata.set("general.architecture", gguf::Value("gemma4"));
    metadata.set("general.name", gguf::Value("test"));
    const auto number = [&](std::string_view key, int64_t value) {
      set(key, gguf::Value(static_cast<uint32_t>(value)));
    };
    number("block_count", shape.layers);
    number("context_length", shape.context);
    number("embedding_length", shape.hidden);
    number("feed_forward_length", shape.ffn);
    number("attention.head_count", shape.heads);
    number("attention.sliding_window", shape.window);
    number("attention.shared_kv_layers", shape.shared_kv);
    number("attention.key_length", shape.head_dim_full);
    number("attention.value_length", shape.head_dim_full);
    number("attention.key_length_swa", shape.head_dim);
    number("attention.value_length_swa", shape.head_dim);
    set("attention.layer_norm_rms_epsilon", gguf::Value(1e-6f));
    set("rope.freq_base", gguf::Value(1e6f));
    set("rope.freq_base_swa", gguf::Value(1e4f));
    set("final_logit_softcapping", gguf::Value(30.0f));
    std::vector<bool> sliding;
    std::vector<int32_t> kv_heads;
    for (int64_t i = 0; i < shape.layers; ++i) {
      sliding.push_back(!shape.is_full(i));
      kv_heads.push_back(static_cast<int32_t>(shape.is_full(i) ? shape.kv_heads_full : shape.kv_heads));
    }
    set("attention.sliding_window_pattern", gguf::Value::array(std::move(sliding)));
    set("attention.head_count_kv", gguf::Value::array(std::move(kv_heads)));
  }

  void add_tensors(const Gemma4Shape& shape, const quant::Format* format) {
    const auto* f32 = quant::find_format("F32");
    const int64_t h = shape.hidden;
    tensors.push_back({"token_embd.weight", quant::find_format("Q6_K"), {h, shape.vocab}});
    tensors.push_back({"output_norm.weight", f32, {h}});
    tensors.push_back({"rope_freqs.weight", f32, {shape.head_dim_full / 2}});
    for (int64_t i = 0; i < shape.layers; ++i) {
      const bool full = shape.is_full(i), owns_kv = i < shape.layers - shape.shared_kv;
      const int64_t head_dim = full ? shape.head_dim_full : shape.head_dim;
      const int64_t q = shape.heads * head_dim, kv = (full ? shape.kv_heads_full : shape.kv_heads) * head_dim;
      const auto matrix = [&](const char* name, int64_t k, int64_t n) {
        tensors.push_back({fmt::format("blk.{}.{}.weight", i, name), format, {k, n}});
      };
      const auto vector = [&](const char* name, int64_t n) {
        tensors.push_back({fmt::format("blk.{}.{}.weight", i, name), f32, {n}});
      };
      vector("attn_norm", h);
      matrix("attn_q", h, q);
      if (owns_kv) matrix("attn_k", h, kv);
      if (owns_kv && !full) matrix("attn_v", h, kv);
      matrix("attn_output", q, h);
      vector("attn_q_norm", head_dim);
      if (owns_kv) vector("attn_k_norm", head_dim);
      vector("post_attention_norm", h);
      vector("ffn_norm", h);
      matrix("ffn_gate", h, shape.ffn);
      matrix("ffn_up", h, shape.ffn);
      matrix("ffn_down", shape.ffn, h);
      vector("post_ffw_norm", h);
      vector("layer_output_scale", 1);
    }
  }
};

}  // namespace tessera::testing
