#include "models/weight_source.h"

#include "quant/param_array.h"

namespace tessera::models {
namespace {

std::vector<float> values_of(const StoredTensor& tensor, int64_t n) {
  std::vector<float> values(static_cast<size_t>(n));
  tensor.format->dequantize(tensor.bytes.data(), n, values.data());
  return values;
}

// A matrix that kernels can multiply with.
bool is_readable(const quant::Format& format) { return format.dequantize != nullptr; }

}  // namespace

std::string first_few(const std::vector<std::string>& items) {
  constexpr size_t kMost = 8;
  std::string out;
  for (size_t i = 0; i < items.size() && i < kMost; ++i) out += (i ? ", " : "") + items[i];
  if (items.size() > kMost) out += fmt::format(" and {} more", items.size() - kMost);
  return out;
}

std::optional<StoredTensor> WeightSource::require(const std::string& name, const std::vector<int64_t>& dims) {
  used_.insert(name);
  std::optional<StoredTensor> tensor = source_.find(name);
  if (!tensor) {
    missing_.push_back(fmt::format("{} {}", name, gguf::dims_to_string(dims)));
    return std::nullopt;
  }
  if (tensor->dims != dims) {
    wrong_.push_back(fmt::format("{}: expected dims {}, found {}", name, gguf::dims_to_string(dims),
                                 gguf::dims_to_string(tensor->dims)));
    return std::nullopt;
  }
  if (tensor->format && !is_readable(*tensor->format)) {
    wrong_.push_back(fmt::format("{}: format {} cannot be computed with; supported: {}", name, tensor->format->name,
                                 quant::list_formats(is_readable)));
    return std::nullopt;
  }
  return tensor;
}

graph::ValueId WeightSource::borrow(const std::string& name, const std::optional<StoredTensor>& tensor,
                                    graph::Type type) {
  if (!tensor) return builder_.weight({.name = name, .format = quant::format_of_floats(type.dtype)}, std::move(type));
  return builder_.weight({.name = name,
                          .format = tensor->format,
                          .bytes = tensor->bytes,
                          .owner = tensor->owner,
                          .mapped = tensor->mapped,
                          .affine = tensor->affine},
                         std::move(type));
}

graph::ValueId WeightSource::own(const std::string& name, std::vector<std::byte> bytes, graph::Type type) {
  const auto owner = std::make_shared<const std::vector<std::byte>>(std::move(bytes));
  const DType dtype = type.dtype;
  return builder_.weight({.name = name, .format = quant::format_of_floats(dtype), .bytes = *owner, .owner = owner},
                         std::move(type));
}

graph::ValueId WeightSource::matrix(const std::string& name, int64_t rows, int64_t columns) {
  return borrow(name, require(name, {columns, rows}), {dtype_, {rows, columns}});
}

graph::ValueId WeightSource::vector(const std::string& name, int64_t n) {
  const auto tensor = require(name, {n});
  const graph::Type type{dtype_, {n}};
  if (!tensor || tensor->format == quant::format_of_floats(dtype_)) return borrow(name, tensor, type);
  return own(name, quant::to_params(values_of(*tensor, n), dtype_).bytes, type);
}

graph::ValueId WeightSource::constant(const std::string& name, const std::vector<float>& values) {
  return own(name, quant::to_params(values, DType::kF32).bytes, {DType::kF32, {static_cast<int64_t>(values.size())}});
}

std::vector<float> WeightSource::read(const std::string& name, int64_t n) {
  const auto tensor = require(name, {n});
  return tensor ? values_of(*tensor, n) : std::vector<float>();
}

Status WeightSource::status() const {
  if (missing_.empty() && wrong_.empty()) return {};
  std::string what;
  if (!missing_.empty())
    what = fmt::format("{} missing: {}", missing_.size() == 1 ? "tensor" : "tensors", first_few(missing_));
  if (!wrong_.empty()) what += (what.empty() ? "" : "; ") + first_few(wrong_);
  return make_error(wrong_.empty() ? ErrorCode::kNotFound : ErrorCode::kInvalidFormat, "{}: {}", source_.path(), what);
}

std::vector<std::string> WeightSource::unused() const {
  std::vector<std::string> out;
  for (std::string& name : source_.names())
    if (!used_.contains(name)) out.push_back(std::move(name));
  return out;
}

}  // namespace tessera::models
