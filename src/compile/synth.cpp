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

// Norms act as written in synth.h: keys are shrunk, since attention has no 1/sqrt(head_dim).
constexpr WeightDistribution kNorm = {1, 0.1f};
constexpr WeightDistribution kKeyNorm = {0.125f, 0.01f};  // q.k of 256 or 512 dims then has a deviation of 2 to 3
constexpr WeightDistribution kLayerScale = {0.9f, 0.02f};

struct SynthTensor {
  gguf::TensorDeclaration declaration;
  std::optional<WeightDistribution> values;  // nothing: factors of frequencies
};

// Every layer has the same list of tensors, but that a full layer without attn_v takes V from K.
class TensorList {
 public:
  explicit TensorList(const SynthShape& shape) : shape_(shape) {
    add_matrix("token_embd.weight", shape.hidden, shape.vocab);
    add("output_norm.weight", {shape.hidden}, kNorm);
    add("rope_freqs.weight", {shape.head_dim_full / 2}, std::nullopt);
    for (int64_t i = 0; i < shape.layers; ++i) add_layer(i);
  }
  std::vector<SynthTensor> take() && { return std::move(tensors_); }

 private:
  void add(std::string name, std::vector<int64_t> dims, std::optional<WeightDistribution> values) {
    tensors_.push_back({{std::move(name), quant::find_format(quant::GgmlType::kF32), std::move(dims)}, values});
  }
  void add_matrix(std::string name, int64_t columns, int64_t rows) {
    add(std::move(name), {columns, rows}, WeightDistribution{0, 1 / std::sqrt(static_cast<float>(columns))});
  }
  void add_layer(int64_t i) {
    const SynthShape& s = shape_;
    const bool full = s.is_full(i);
    const int64_t head_dim = full ? s.head_dim_full : s.head_dim;
    const int64_t q_dim = s.heads * head_dim, kv_dim = (full ? s.kv_heads_full : s.kv_heads) * head_dim;
    const auto name = [&](std::string_view part) { return fmt::format("blk.{}.{}.weight", i, part); };
    add(name("attn_norm"), {s.hidden}, kNorm);
    add_matrix(name("attn_q"), s.hidden, q_dim);
    add_matrix(name("attn_k"), s.hidden, kv_dim);
    if (!full || !s.v_from_k) add_matrix(name("attn_v"), s.hidden, kv_dim);
    add_matrix(name("attn_output"), q_dim, s.hidden);
    add(name("attn_q_norm"), {head_dim}, kNorm);
    add(name("attn_k_norm"), {head_dim}, kKeyNorm);
    add(name("post_attention_norm"), {s.hidden}, kNorm);
    add(name("ffn_norm"), {s.hidden}, kNorm);
    add_matrix(name("ffn_gate"), s.hidden, s.ffn);
    add_matrix(name("ffn_up"), s.hidden, s.ffn);
    add_matrix(name("ffn_down"), s.ffn, s.hidden);
    add(name("post_ffw_norm"), {s.hidden}, kNorm);
    add(name("layer_output_scale"), {1}, kLayerScale);
  }

  const SynthShape& shape_;
  std::vector<SynthTensor> tensors_;
};

class Generator {
 public:
  Generator(gguf::Writer& writer, const SynthOptions& options, const Progress& progress)
      : writer_(writer), seed_(options.seed), pool_(options.n_threads), progress_(progress) {}

  Status write(const SynthTensor& tensor) {
    const quant::Format* format = tensor.declaration.format;
    int64_t n_values = 1;
    for (const int64_t dim : tensor.declaration.dims) n_values *= dim;
    if (!tensor.values) {
      const std::vector<float> factors = models::rope_factors(2 * n_values, models::kRotatedShare);
      return put(std::as_bytes(std::span(factors)));
    }
    const uint64_t key = weight_key(seed_, tensor.declaration.name);
    for (int64_t first = 0; first < n_values; first += kChunkValues) {
      const int64_t n = std::min(kChunkValues, n_values - first);
      chunk_.resize(static_cast<size_t>(format->bytes_for(n)));
      pool_.parallel_for(n, kGrainValues, [&](int64_t begin, int64_t end) {
        draw_weights(*format, key, *tensor.values, first + begin, end - begin,
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

// A mix, or else a format in which all matrices are but the head, as in the mixes of one format.
Result<QuantMix> find_type(std::string_view name) {
  const auto mix = find_quant_mix(name);
  if (mix) return *mix;
  const auto is_readable = [](const quant::Format& format) { return format.dequantize != nullptr; };
  const quant::Format* format = quant::find_format(name);
  if (!format || !is_readable(*format))
    return not_implemented("unknown type '{}'; there are the mixes {} and the formats {}", name, list_quant_mixes(),
                           quant::list_formats(is_readable));
  return QuantMix{format->name, format->type, format->type, quant::GgmlType::kQ6_K, std::nullopt};
}

// An NVFP4 block cannot hold small numbers with all of its bits: what they are multiplied by lies beside the matrix,
// whose blocks have a deviation of 1.
SynthTensor take_factor(SynthTensor& matrix) {
  SynthTensor factor = {{matrix.declaration.name, quant::find_format(quant::GgmlType::kF32), {1}},
                        WeightDistribution{matrix.values->std_dev, 0}};
  std::string& name = factor.declaration.name;
  name.replace(name.rfind('.'), std::string::npos, ".scale");
  matrix.values->std_dev = 1;
  return factor;
}

// All tensors with the formats of the type.
Result<std::vector<SynthTensor>> plan_tensors(const SynthShape& shape, std::string_view type) {
  TRY(check(shape));
  std::vector<SynthTensor> tensors = TensorList(shape).take(), out;
  std::vector<gguf::TensorDeclaration> sources;
  for (const SynthTensor& tensor : tensors) sources.push_back(tensor.declaration);
  const auto formats = assign_formats(TRY(find_type(type)), shape.layers, sources);
  for (size_t i = 0; i < tensors.size(); ++i) {
    SynthTensor& tensor = tensors[i];
    tensor.declaration.format = formats[i];
    std::optional<SynthTensor> factor;
    if (formats[i]->type == quant::GgmlType::kNVFP4) factor = take_factor(tensor);
    out.push_back(std::move(tensor));
    if (factor) out.push_back(*std::move(factor));
  }
  return out;
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
  const auto file_type = TRY(find_type(options.type)).file_type;
  const auto tensors = TRY(plan_tensors(shape, options.type));
  const auto declarations = TRY(synth_tensors(shape, options.type));
  auto writer = TRY(gguf::Writer::create(out_path, synth_metadata(shape, file_type), declarations));
  Generator generator(writer, options, progress);
  for (const SynthTensor& tensor : tensors) TRY(generator.write(tensor));
  return writer.commit();
}

}  // namespace tessera::compile
