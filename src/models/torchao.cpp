#include "models/torchao.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "models/json_fields.h"
#include "quant/format.h"

namespace tessera::models {
namespace {

using nlohmann::json;
using quant::AffineRows;
using quant::AffineShape;
using safetensors::ElementType;
using safetensors::Tensor;

// "a.b.weight" and "scale" -> "a.b._weight_scale"
std::string piece_name(std::string_view name, std::string_view field) {
  const size_t dot = name.rfind('.');
  const size_t last = dot == std::string_view::npos ? 0 : dot + 1;
  return fmt::format("{}_{}_{}", name.substr(0, last), name.substr(last), field);
}

bool is_float(ElementType type) {
  return type == ElementType::kF32 || type == ElementType::kF16 || type == ElementType::kBF16;
}

// Elements [begin, end) of a piece of floats or signed bytes.
std::vector<float> numbers(const Tensor& tensor, int64_t begin, int64_t end) {
  std::vector<float> out(static_cast<size_t>(end - begin));
  const std::byte* first = tensor.bytes.data() + static_cast<size_t>(begin) * safetensors::size_of(tensor.type);
  if (tensor.type == ElementType::kI8) {
    for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<float>(static_cast<int8_t>(first[i]));
  } else {
    quant::find_format(safetensors::name_of(tensor.type))->dequantize(first, end - begin, out.data());
  }
  return out;
}

void forget(const Tensor& tensor, int64_t begin, int64_t end) {
  if (!tensor.mapped) return;
  const size_t size = safetensors::size_of(tensor.type);
  tensor.mapped->forget(
      static_cast<size_t>(tensor.bytes.data() - tensor.mapped->bytes().data()) + static_cast<size_t>(begin) * size,
      static_cast<size_t>(end - begin) * size);
}

Status check_finite(const AffineRows& rows) {
  for (const auto* values : {&rows.scales, &rows.zeros})
    for (const float v : *values)
      if (!std::isfinite(v)) return invalid_format("a scale or zero point is infinite or NaN");
  return {};
}

// qdata u8 (N, K / 2), the even element in the low nibble; scale and zero_point (K / group, N).
class Int4Matrix final : public quant::AffineMatrix {
 public:
  Int4Matrix(const AffineShape& shape, Tensor data, Tensor scale, Tensor zero, Int4Zeros zeros)
      : AffineMatrix(shape), data_(std::move(data)), scale_(std::move(scale)), zero_(std::move(zero)), zeros_(zeros) {}

  Result<AffineRows> rows(int64_t begin, int64_t end) const override {
    const int64_t row_bytes = shape().k / 2, n_groups = shape().k / shape().group_size;
    const uint8_t sign = zeros_ == Int4Zeros::kValues ? 8 : 0;  // two's complement to 0..15
    AffineRows out;
    for (int64_t i = begin * row_bytes; i < end * row_bytes; ++i) {
      const auto byte = static_cast<uint8_t>(data_.bytes[static_cast<size_t>(i)]);
      out.codes.push_back((byte & 15) ^ sign);
      out.codes.push_back((byte >> 4) ^ sign);
    }
    forget(data_, begin * row_bytes, end * row_bytes);
    out.scales = turned(scale_, begin, end);
    out.zeros = turned(zero_, begin, end);
    if (zeros_ == Int4Zeros::kValues) {
      for (size_t i = 0; i < out.zeros.size(); ++i)
        out.zeros[i] = out.scales[i] == 0 ? 8.0f : 8.0f - out.zeros[i] / out.scales[i];
    }
    TRY(check_finite(out));
    CHECK(static_cast<int64_t>(out.scales.size()) == (end - begin) * n_groups);
    return out;
  }

 private:
  // Rows [begin, end) of a parameter that is stored group by group.
  std::vector<float> turned(const Tensor& tensor, int64_t begin, int64_t end) const {
    const int64_t n_groups = shape().k / shape().group_size, n = end - begin;
    std::vector<float> out(static_cast<size_t>(n * n_groups));
    for (int64_t group = 0; group < n_groups; ++group) {
      const auto column = numbers(tensor, group * shape().n + begin, group * shape().n + end);
      for (int64_t row = 0; row < n; ++row)
        out[static_cast<size_t>(row * n_groups + group)] = column[static_cast<size_t>(row)];
    }
    return out;
  }

  Tensor data_, scale_, zero_;
  Int4Zeros zeros_;
};

// qdata i8 (N, K); scale and zero_point (N, K / group), all in the domain of signed codes.
class IntxMatrix final : public quant::AffineMatrix {
 public:
  IntxMatrix(const AffineShape& shape, Tensor data, Tensor scale, Tensor zero)
      : AffineMatrix(shape), data_(std::move(data)), scale_(std::move(scale)), zero_(std::move(zero)) {}

  Result<AffineRows> rows(int64_t begin, int64_t end) const override {
    const int64_t k = shape().k, n_groups = k / shape().group_size;
    const int center = 1 << (shape().bits - 1);
    AffineRows out;
    for (int64_t i = begin * k; i < end * k; ++i) {
      const int code = static_cast<int8_t>(data_.bytes[static_cast<size_t>(i)]) + center;
      if (code < 0 || code >= 2 * center)
        return invalid_format("code {} of row {} does not fit {} bits", code - center, i / k, shape().bits);
      out.codes.push_back(static_cast<uint8_t>(code));
    }
    forget(data_, begin * k, end * k);
    out.scales = numbers(scale_, begin * n_groups, end * n_groups);
    out.zeros = numbers(zero_, begin * n_groups, end * n_groups);
    for (float& zero : out.zeros) zero += static_cast<float>(center);
    TRY(check_finite(out));
    return out;
  }

 private:
  Tensor data_, scale_, zero_;
};

// Metadata entries are JSON texts.
Result<json> parse_metadata(const safetensors::Checkpoint& checkpoint, const std::string& key) {
  const auto found = checkpoint.metadata.find(key);
  if (found == checkpoint.metadata.end()) return json();
  json value = json::parse(found->second, nullptr, false);
  if (value.is_discarded()) return invalid_format("metadata \"{}\" is not JSON", key);
  return value;
}

class Reader {
 public:
  Reader(const safetensors::Checkpoint& checkpoint, const std::string& name, const JsonFields& attributes)
      : checkpoint_(checkpoint), name_(name), attributes_(attributes) {}

  Result<std::shared_ptr<const quant::AffineMatrix>> int4(Int4Zeros zeros) {
    if (checkpoint_.tensors.contains(piece_name(name_, "act_pre_scale")))
      return not_implemented("an Int4Tensor with act_pre_scale, which would have to multiply the activations");
    const AffineShape shape = TRY(affine_shape(4));
    const int64_t n_groups = shape.k / shape.group_size;
    const Tensor data = TRY(piece("qdata", {shape.n, shape.k / 2}, ElementType::kU8));
    const Tensor scale = TRY(parameter("scale", {n_groups, shape.n}, false));
    const Tensor zero = TRY(parameter("zero_point", {n_groups, shape.n}, false));
    if (zeros == Int4Zeros::kCodes) TRY(check_domain(zero));
    return std::shared_ptr<const quant::AffineMatrix>(std::make_shared<Int4Matrix>(shape, data, scale, zero, zeros));
  }

  Result<std::shared_ptr<const quant::AffineMatrix>> intx() {
    if (attributes_.find("activation_quantization"))
      return not_implemented("an IntxUnpackedToInt8Tensor that quantizes activations");
    const JsonFields dtype = TRY(attributes_.object("target_dtype"));
    const std::string_view target = TRY(dtype.text("_data"));
    int bits = 0;
    for (const int known : {4, 5, 6, 8})
      if (target == fmt::format("int{}", known)) bits = known;
    if (bits == 0) return not_implemented("target_dtype {}; supported: int4, int5, int6, int8", target);
    // The tensor has no shape of its own: its codes are not packed.
    const auto found = checkpoint_.tensors.find(piece_name(name_, "qdata"));
    if (found == checkpoint_.tensors.end() || found->second.shape.size() != 2)
      return invalid_format("piece {} is missing or no matrix", piece_name(name_, "qdata"));
    AffineShape shape = TRY(affine_shape(bits, &found->second.shape));
    const int64_t n_groups = shape.k / shape.group_size;
    const Tensor data = TRY(piece("qdata", {shape.n, shape.k}, ElementType::kI8));
    const Tensor scale = TRY(parameter("scale", {shape.n, n_groups}, false));
    const Tensor zero = TRY(parameter("zero_point", {shape.n, n_groups}, true));
    shape.is_centered = all_zero(zero);
    return std::shared_ptr<const quant::AffineMatrix>(std::make_shared<IntxMatrix>(shape, data, scale, zero));
  }

 private:
  // block_size [1, group], and shape [N, K] unless the caller knows it.
  Result<AffineShape> affine_shape(int bits, const std::vector<int64_t>* known = nullptr) const {
    const auto block = TRY(pair_of("block_size"));
    const auto size = known ? *known : TRY(pair_of("shape"));
    if (block[0] != 1 || block[1] < 1 || size[0] < 1 || size[1] < 1 || size[1] % block[1] != 0 || size[1] % 2 != 0)
      return invalid_format("shape [{}, {}] with block_size [{}, {}]; expected rows of whole groups", size[0], size[1],
                            block[0], block[1]);
    return AffineShape{.n = size[0], .k = size[1], .bits = bits, .group_size = block[1]};
  }
  Result<std::vector<int64_t>> pair_of(const char* key) const {
    const json& list = *TRY(attributes_.array(key));
    const auto first = list.size() == 2 ? integer_of(list[0]) : std::nullopt;
    const auto second = list.size() == 2 ? integer_of(list[1]) : std::nullopt;
    if (!first || !second) return not_implemented("\"{}\": expected two integers: only matrices are supported", key);
    return std::vector<int64_t>{*first, *second};
  }

  Result<Tensor> piece(std::string_view field, const std::vector<int64_t>& shape) const {
    const std::string key = piece_name(name_, field);
    const auto found = checkpoint_.tensors.find(key);
    if (found == checkpoint_.tensors.end()) return make_error(ErrorCode::kNotFound, "piece {} is missing", key);
    if (found->second.shape != shape)
      return invalid_format("piece {} is {}, expected [{}, {}]", key, describe(found->second), shape[0], shape[1]);
    return found->second;
  }
  Result<Tensor> piece(std::string_view field, const std::vector<int64_t>& shape, ElementType type) const {
    Tensor tensor = TRY(piece(field, shape));
    if (tensor.type != type)
      return invalid_format("piece {} is {}, expected {}", piece_name(name_, field), describe(tensor), name_of(type));
    return tensor;
  }
  Result<Tensor> parameter(std::string_view field, const std::vector<int64_t>& shape, bool may_be_bytes) const {
    Tensor tensor = TRY(piece(field, shape));
    if (!is_float(tensor.type) && !(may_be_bytes && tensor.type == ElementType::kI8))
      return invalid_format("piece {} is {}, expected floats", piece_name(name_, field), describe(tensor));
    return tensor;
  }

  static bool all_zero(const Tensor& zero) {
    if (zero.type != ElementType::kI8) return false;  // of floats one would have to read all, for a few bytes saved
    for (const std::byte b : zero.bytes)
      if (b != std::byte{0}) return false;
    return true;
  }

  // Zero points in codes lie around the middle of 0..15; those in values are as small as weights.
  static Status check_domain(const Tensor& zero) {
    constexpr int64_t kSample = 4096;
    constexpr double kLeastMean = 1;
    const int64_t n = std::min(kSample, zero.n_elements());
    double sum = 0;
    for (const float v : numbers(zero, 0, n)) sum += static_cast<double>(std::fabs(v));
    if (sum / static_cast<double>(n) >= kLeastMean) return {};
    return invalid_argument(
        "zero points average {:.3g}, which is no code between 0 and 15: they look like values, as torchao's own "
        "quantizer stores them; read them so with --int4-zeros values",
        sum / static_cast<double>(n));
  }

  const safetensors::Checkpoint& checkpoint_;
  const std::string& name_;
  const JsonFields& attributes_;
};

}  // namespace

Result<std::vector<std::string>> torchao_names(const safetensors::Checkpoint& checkpoint) {
  std::vector<std::string> out;
  const json names = TRY(parse_metadata(checkpoint, "tensor_names"));
  if (names.is_null()) return out;
  if (!names.is_array()) return invalid_format("metadata \"tensor_names\" is not a list");
  for (const json& name : names) {
    if (!name.is_string()) return invalid_format("metadata \"tensor_names\" is not a list of names");
    out.push_back(name.get_ref<const std::string&>());
  }
  return out;
}

Result<std::shared_ptr<const quant::AffineMatrix>> torchao_matrix(const safetensors::Checkpoint& checkpoint,
                                                                  const std::string& name, Int4Zeros zeros) {
  const json entry = TRY(parse_metadata(checkpoint, name));
  if (entry.is_null()) return std::shared_ptr<const quant::AffineMatrix>();
  if (!entry.is_object()) return invalid_format("metadata \"{}\" is not an object", name);
  const JsonFields fields(entry, fmt::format("metadata \"{}\"", name));
  const std::string_view type = TRY(fields.text("_type"));
  if (type == "Tensor" || type == "torch.Tensor") return std::shared_ptr<const quant::AffineMatrix>();
  const JsonFields attributes = TRY(fields.object("_data"));
  Reader reader(checkpoint, name, attributes);
  auto matrix =
      type == "Int4Tensor" ? reader.int4(zeros)
      : type == "IntxUnpackedToInt8Tensor"
          ? reader.intx()
          : Result<std::shared_ptr<const quant::AffineMatrix>>(not_implemented("class {}; supported: Int4Tensor and "
                                                                               "IntxUnpackedToInt8Tensor",
                                                                               type));
  if (!matrix) return matrix.error().in(name);
  return matrix;
}

}  // namespace tessera::models
