#include "compile/quantize_model.h"

#include <vector>

#include "base/thread_pool.h"
#include "compile/output_files.h"
#include "compile/quant_mix.h"
#include "gguf/file.h"
#include "gguf/layout.h"
#include "gguf/tensor_stream.h"
#include "gguf/writer.h"
#include "models/model_source.h"
#include "quant/rows.h"

namespace tessera::compile {
namespace {

using quant::Format;

constexpr uint32_t kQuantizationVersion = 2;  // of the k-quants' layouts; ggml's GGML_QNT_VERSION

Result<QuantMix> chosen_mix(const QuantizeOptions& options) {
  QuantMix mix = TRY(find_quant_mix(options.type));
  if (options.head_type.empty()) return mix;
  const Format* head = quant::find_format(options.head_type);
  if (!head || !head->quantize) {
    return not_implemented("head type '{}' cannot be written; writable are {}", options.head_type,
                           quant::list_formats([](const Format& f) { return f.quantize != nullptr; }));
  }
  mix.head = head->type;
  return mix;
}

// The source's tensors, their formats replaced by those of the result.
Result<std::vector<gguf::TensorDeclaration>> declare(const gguf::File& file, const QuantizeOptions& options) {
  const QuantMix mix = TRY(chosen_mix(options));
  std::vector<gguf::TensorDeclaration> tensors;
  for (const auto& tensor : file.tensors()) tensors.push_back({tensor.name, tensor.format, tensor.dims});
  const std::string architecture(TRY(file.metadata().get_string("general.architecture")));
  const auto n_layers = TRY(file.metadata().get_i64(architecture + ".block_count"));
  if (n_layers < 1 || n_layers > models::kMaxLayers)
    return invalid_format("{}: {}.block_count: expected 1 to {}, found {}", file.path(), architecture,
                          models::kMaxLayers, n_layers);
  const auto formats = assign_formats(mix, n_layers, tensors);
  for (size_t i = 0; i < tensors.size(); ++i) {
    const Format& source = *tensors[i].format;
    if (formats[i] != &source && source.block_values > 1 && !options.allow_requantize) {
      return invalid_argument("{}: tensor '{}' is already {}; quantizing it again to {} needs --allow-requantize",
                              file.path(), tensors[i].name, source.name, formats[i]->name);
    }
    tensors[i].format = formats[i];
  }
  return tensors;
}

gguf::Metadata result_metadata(const gguf::File& file, std::optional<uint32_t> file_type) {
  gguf::Metadata metadata = file.metadata();
  for (const auto key : {gguf::kSplitNumberKey, gguf::kSplitCountKey, gguf::kSplitTensorsKey}) metadata.erase(key);
  if (file_type) metadata.set("general.file_type", gguf::Value(*file_type));
  metadata.set("general.quantization_version", gguf::Value(kQuantizationVersion));
  return metadata;
}

// Tiles in, packed bytes out; owns the two buffers in between.
class Converter {
 public:
  Converter(const gguf::File& file, gguf::Writer& writer, int n_threads, const Progress& progress)
      : file_(file), writer_(writer), pool_(n_threads), progress_(progress), total_bytes_(writer.data_bytes()) {}

  Status convert(const gguf::TensorInfo& tensor, const Format& target) {
    return gguf::for_each_tile(file_, tensor, {tensor.format->type}, [&](const gguf::TensorTile& tile) -> Status {
      const auto packed = &target == tensor.format ? tile.packed : TRY(repack(tile, target));
      TRY(writer_.write(packed));
      done_bytes_ += packed.size();
      if (progress_) progress_(done_bytes_, total_bytes_);
      return {};
    });
  }

 private:
  // A tile is whole blocks of either format, so it can be taken as a single row.
  Result<std::span<const std::byte>> repack(const gguf::TensorTile& tile, const Format& target) {
    const int64_t n = tile.n_values;
    values_.resize(static_cast<size_t>(n));
    packed_.resize(static_cast<size_t>(target.bytes_for(n)));
    TRY(quant::dequantize_rows(*tile.tensor.format, tile.packed.data(), 1, n, values_.data(), pool_));
    TRY(quant::quantize_rows(target, values_.data(), 1, n, packed_.data(), pool_));
    return std::span<const std::byte>(packed_);
  }

  const gguf::File& file_;
  gguf::Writer& writer_;
  ThreadPool pool_;
  const Progress& progress_;
  uint64_t done_bytes_ = 0;
  const uint64_t total_bytes_;
  std::vector<float> values_;
  std::vector<std::byte> packed_;
};

}  // namespace

Status quantize_model(const std::string& in_path, const std::string& out_path, const QuantizeOptions& options,
                      const Progress& progress) {
  const auto file = TRY(gguf::File::open(in_path));
  TRY(refuse_own_source(out_path, source_files(*file)));
  const auto tensors = TRY(declare(*file, options));
  const auto file_type = TRY(find_quant_mix(options.type)).file_type;
  auto writer = TRY(gguf::Writer::create(out_path, result_metadata(*file, file_type), tensors));
  Converter converter(*file, writer, options.n_threads, progress);
  for (size_t i = 0; i < tensors.size(); ++i) TRY(converter.convert(file->tensors()[i], *tensors[i].format));
  return writer.commit();
}

}  // namespace tessera::compile
