#include "compile/synth.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/thread_pool.h"
#include "compile/quant_mix.h"
#include "compile/synth_metadata.h"
#include "compile/synth_vocabulary.h"
#include "compile/synth_weights.h"
#include "gguf/writer.h"
#include "models/rope_factors.h"

namespace tessera::compile {
namespace {

struct NamedShape {
  std::string_view name;
  SynthShape shape;
};

constexpr NamedShape kShapes[] = {
    {"gemma4-31b",
     {.hidden = 5376,
      .layers = 60,
      .heads = 32,
      .head_dim = 256,
      .head_dim_full = 512,
      .kv_heads = 16,
      .kv_heads_full = 4,
      .ffn = 21504,
      .window = 1024,
      .vocab = 262144,
      .period = 6,
      .context = 262144}},
    {"gemma4-12b",
     {.hidden = 3840,
      .layers = 48,
      .heads = 16,
      .head_dim = 256,
      .head_dim_full = 512,
      .kv_heads = 8,
      .kv_heads_full = 1,
      .ffn = 15360,
      .window = 1024,
      .vocab = 262144,
      .period = 6,
      .context = 262144}},
    // No published model: small enough to measure a CPU with, with layers of the real widths.
    {"gemma4-1.5b",
     {.hidden = 2560,
      .layers = 12,
      .heads = 16,
      .head_dim = 256,
      .head_dim_full = 512,
      .kv_heads = 8,
      .kv_heads_full = 2,
      .ffn = 10240,
      .window = 1024,
      .vocab = 32768,
      .period = 6,
      .context = 131072}},
    {"gemma4-tiny", {}},
};

// How a tensor is filled. Norms act as written in synth.h: keys are shrunk, since attention has no 1/sqrt(head_dim).
enum class Fill { kMatrix, kNorm, kKeyNorm, kLayerScale, kRopeFactors };

struct SynthTensor {
  gguf::TensorDeclaration declaration;
  Fill fill;
};

// Every layer has the same list of tensors, but that a full layer without attn_v takes V from K.
class TensorList {
 public:
  explicit TensorList(const SynthShape& shape) : shape_(shape) {
    add("token_embd.weight", {shape.hidden, shape.vocab}, Fill::kMatrix);
    add("output_norm.weight", {shape.hidden}, Fill::kNorm);
    add("rope_freqs.weight", {shape.head_dim_full / 2}, Fill::kRopeFactors);
    for (int64_t i = 0; i < shape.layers; ++i) add_layer(i);
  }
  std::vector<SynthTensor> take() && { return std::move(tensors_); }

 private:
  void add(std::string name, std::vector<int64_t> dims, Fill fill) {
    tensors_.push_back({{std::move(name), quant::find_format(quant::GgmlType::kF32), std::move(dims)}, fill});
  }
  void add_layer(int64_t i) {
    const SynthShape& s = shape_;
    const bool full = s.is_full(i);
    const int64_t head_dim = full ? s.head_dim_full : s.head_dim;
    const int64_t q_dim = s.heads * head_dim, kv_dim = (full ? s.kv_heads_full : s.kv_heads) * head_dim;
    const auto blk = [&](std::string_view suffix, std::vector<int64_t> dims, Fill fill) {
      add(fmt::format("blk.{}.{}.weight", i, suffix), std::move(dims), fill);
    };
    blk("attn_norm", {s.hidden}, Fill::kNorm);
    blk("attn_q", {s.hidden, q_dim}, Fill::kMatrix);
    blk("attn_k", {s.hidden, kv_dim}, Fill::kMatrix);
    if (!full || !s.v_from_k) blk("attn_v", {s.hidden, kv_dim}, Fill::kMatrix);
    blk("attn_output", {q_dim, s.hidden}, Fill::kMatrix);
    blk("attn_q_norm", {head_dim}, Fill::kNorm);
    blk("attn_k_norm", {head_dim}, Fill::kKeyNorm);
    blk("post_attention_norm", {s.hidden}, Fill::kNorm);
    blk("ffn_norm", {s.hidden}, Fill::kNorm);
    blk("ffn_gate", {s.hidden, s.ffn}, Fill::kMatrix);
    blk("ffn_up", {s.hidden, s.ffn}, Fill::kMatrix);
    blk("ffn_down", {s.ffn, s.hidden}, Fill::kMatrix);
    blk("post_ffw_norm", {s.hidden}, Fill::kNorm);
    blk("layer_output_scale", {1}, Fill::kLayerScale);
  }

  const SynthShape& shape_;
  std::vector<SynthTensor> tensors_;
};

WeightDistribution distribution_of(const SynthTensor& tensor) {
  switch (tensor.fill) {
    case Fill::kMatrix:
      return {0, 1 / std::sqrt(static_cast<float>(tensor.declaration.dims[0]))};
    case Fill::kNorm:
      return {1, 0.1f};
    case Fill::kKeyNorm:
      return {0.125f, 0.01f};  // q.k of 256 or 512 dims then has a deviation of 2 to 3
    case Fill::kLayerScale:
      return {0.9f, 0.02f};
    case Fill::kRopeFactors:
      break;
  }
  return {};
}

class Generator {
 public:
  Generator(gguf::Writer& writer, const SynthOptions& options, const Progress& progress)
      : writer_(writer), seed_(options.seed), pool_(options.n_threads), progress_(progress) {}

  Status write(const SynthTensor& tensor) {
    const quant::Format* format = tensor.declaration.format;
    int64_t n_values = 1;
    for (const int64_t dim : tensor.declaration.dims) n_values *= dim;
    if (tensor.fill == Fill::kRopeFactors) {
      const std::vector<float> factors = models::rope_factors(2 * n_values, models::kRotatedShare);
      return put(std::as_bytes(std::span(factors)));
    }
    const uint64_t key = weight_key(seed_, tensor.declaration.name);
    for (int64_t first = 0; first < n_values; first += kChunkValues) {
      const int64_t n = std::min(kChunkValues, n_values - first);
      chunk_.resize(static_cast<size_t>(format->bytes_for(n)));
      pool_.parallel_for(n, kGrainValues, [&](int64_t begin, int64_t end) {
        draw_weights(*format, key, distribution_of(tensor), first + begin, end - begin,
                     chunk_.data() + format->bytes_for(begin));
      });
      TRY(put(chunk_));
    }
    return {};
  }

 private:
  // Multiples of every block length; 4-32 MB of packed bytes, and pieces of some 10 us.
  static constexpr int64_t kChunkValues = int64_t{1} << 23, kGrainValues = int64_t{1} << 16;

  Status put(std::span<const std::byte> bytes) {
    TRY(writer_.write(bytes));
    done_bytes_ += bytes.size();
    if (progress_) progress_(done_bytes_, writer_.data_bytes());
    return {};
  }

  gguf::Writer& writer_;
  const uint64_t seed_;
  ThreadPool pool_;
  const Progress& progress_;
  uint64_t done_bytes_ = 0;
  std::vector<std::byte> chunk_;
};

Status check(const SynthShape& s) {
  // Of one dimension: the product of two stays far from 64 bits. The writer checks whole tensors.
  constexpr int64_t kMaxSize = int64_t{1} << 24;
  const std::pair<std::string_view, int64_t> sizes[] = {{"hidden", s.hidden},
                                                        {"layers", s.layers},
                                                        {"heads", s.heads},
                                                        {"head-dim", s.head_dim},
                                                        {"head-dim-full", s.head_dim_full},
                                                        {"kv-heads", s.kv_heads},
                                                        {"kv-heads-full", s.kv_heads_full},
                                                        {"ffn", s.ffn},
                                                        {"window", s.window},
                                                        {"vocab", s.vocab},
                                                        {"period", s.period},
                                                        {"context", s.context}};
  for (const auto& [name, value] : sizes) {
    if (value < 1 || value > kMaxSize) return invalid_argument("{} is {}, expected 1 to {}", name, value, kMaxSize);
  }
  if (s.vocab < kMinSynthVocab) return invalid_argument("vocab is {}, expected {} at least", s.vocab, kMinSynthVocab);
  if (s.heads % s.kv_heads != 0 || s.heads % s.kv_heads_full != 0) {
    return invalid_argument("{} heads cannot share {} and {} KV heads evenly", s.heads, s.kv_heads, s.kv_heads_full);
  }
  if (s.head_dim % 2 != 0 || s.head_dim_full % 8 != 0) {
    return invalid_argument("head-dim {} must be even and head-dim-full {} a multiple of 8", s.head_dim,
                            s.head_dim_full);
  }
  return {};
}

// All tensors with the formats of the mix.
Result<std::vector<SynthTensor>> plan_tensors(const SynthShape& shape, std::string_view type) {
  TRY(check(shape));
  std::vector<SynthTensor> tensors = TensorList(shape).take();
  std::vector<gguf::TensorDeclaration> sources;
  for (const SynthTensor& tensor : tensors) sources.push_back(tensor.declaration);
  const QuantMix mix = TRY(find_quant_mix(type));
  const auto formats = TRY(assign_formats(mix, shape.layers, sources));
  for (size_t i = 0; i < tensors.size(); ++i) tensors[i].declaration.format = formats[i];
  return tensors;
}

}  // namespace

Result<SynthShape> named_shape(std::string_view name) {
  for (const NamedShape& named : kShapes)
    if (named.name == name) return named.shape;
  return not_implemented("unknown shape '{}'; there are {}", name, list_shapes());
}

std::string list_shapes() {
  std::string out;
  for (const NamedShape& named : kShapes) out += fmt::format("{}{}", out.empty() ? "" : ", ", named.name);
  return out;
}

Result<std::vector<gguf::TensorDeclaration>> synth_tensors(const SynthShape& shape, std::string_view type) {
  std::vector<gguf::TensorDeclaration> declarations;
  for (SynthTensor& tensor : TRY(plan_tensors(shape, type))) declarations.push_back(std::move(tensor.declaration));
  return declarations;
}

Status synth_model(const std::string& out_path, const SynthShape& shape, const SynthOptions& options,
                   const Progress& progress) {
  const uint32_t file_type = TRY(find_quant_mix(options.type)).file_type;
  const auto tensors = TRY(plan_tensors(shape, options.type));
  const auto declarations = TRY(synth_tensors(shape, options.type));
  auto writer = TRY(gguf::Writer::create(out_path, synth_metadata(shape, file_type), declarations));
  Generator generator(writer, options, progress);
  for (const SynthTensor& tensor : tensors) TRY(generator.write(tensor));
  return writer.commit();
}

}  // namespace tessera::compile
