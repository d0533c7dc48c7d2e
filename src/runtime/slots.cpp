#include "runtime/slots.h"

#include <algorithm>

#include "base/checked_math.h"
#include "ops/cast.h"

namespace tessera::runtime {

using program::Program;
using program::Tid;
using program::Vid;

namespace {

// A shape without dynamic sizes, none negative, its bytes within 64 bits.
Result<Shape> static_shape(const program::TensorMeta& meta, std::string_view name) {
  if (meta.shape.size() > Shape::kMaxRank)
    return invalid_format("{} has {} dimensions; at most {} are possible", name, meta.shape.size(), Shape::kMaxRank);
  if (!is_known(meta.dtype)) return not_implemented("{} has dtype code {}", name, static_cast<int>(meta.dtype));
  Shape shape;
  auto bytes = static_cast<int64_t>(size_of(meta.dtype));
  for (const program::ShapeDim& dim : meta.shape) {
    if (dim.value < 0) return invalid_format("{} has a dynamic shape", name);
    const auto next = checked_mul(bytes, std::max<int64_t>(dim.value, 1));
    if (!next) return invalid_format("{} has a size past 64 bits", name);
    bytes = *next;
    shape.push_back(dim.value);
  }
  return shape;
}

const program::TensorMeta* find_meta(const Program& program, Tid tid) {
  return tid.idx < program.tensor_meta.size() ? &program.tensor_meta[tid.idx] : nullptr;
}

// A byte that is neither false nor true must not be read as a bool.
Status check_bools(std::span<const std::byte> bytes, std::string_view name) {
  const auto bad = std::find_if(bytes.begin(), bytes.end(), [](std::byte b) { return b > std::byte{1}; });
  if (bad == bytes.end()) return {};
  return invalid_format("constant \"{}\": a bool is 0 or 1, found {} at index {}", name, static_cast<int>(*bad),
                        bad - bytes.begin());
}

bool is_aligned(const ops::Tensor& x) { return reinterpret_cast<uintptr_t>(x.data) % size_of(x.dtype) == 0; }

Result<ops::Tensor> constant(const Program& program, Tid tid) {
  const std::string_view name = program.name_of(tid);
  const program::TensorMeta* meta = find_meta(program, tid);
  if (!meta) return invalid_format("constant t{} \"{}\" has no metadata", tid.idx, name);
  const program::Data* data = name.empty() ? nullptr : program.find_data(name);
  if (!data) return invalid_format("constant t{} \"{}\" has no data", tid.idx, name);
  const Shape shape = TRY(static_shape(*meta, name));
  const ops::Tensor out = ops::Tensor::borrow(meta->dtype, shape, data->bytes.data(), data->owner);
  if (out.n_bytes() != data->bytes.size())
    return invalid_format("constant \"{}\" has {} bytes of data, {} {} needs {}", name, data->bytes.size(),
                          tessera::name_of(meta->dtype), to_string(shape), out.n_bytes());
  if (meta->dtype == DType::kBool) TRY(check_bools(out.bytes(), name));
  if (is_aligned(out)) return out;
  ops::Tensor copy = TRY(ops::clone(out));  // a file may put its data anywhere
  copy.read_only = true;
  return copy;
}

}  // namespace

std::string_view kind_name(const Value& value) {
  constexpr std::string_view kNames[] = {"int", "float", "bool"};
  return kNames[value.index()];
}

Slots::Slots(const Program& program)
    : tensors_(program.n_tensors()),
      values_(program.n_values),
      n_constants_(program.n_constants),
      mutable_begin_(program.n_constants + program.n_inputs + program.n_outputs),
      mutable_end_(mutable_begin_ + program.n_mutable) {}

Status Slots::bind_constants(const Program& program) {
  for (uint32_t i = 0; i < n_constants_; ++i) tensors_[i] = TRY(constant(program, Tid{i}));
  return {};
}

Status Slots::allocate_mutable_buffers(const Program& program) {
  for (const program::Slot& slot : program.mutable_map) {
    const Tid tid{slot.idx};
    const program::TensorMeta* meta = find_meta(program, tid);
    if (slot.type != program::SlotType::kTensor || !is_mutable(tid) || !meta)
      return invalid_format("the map of mutable buffers names slot {}, which is none", slot.idx);
    const Shape shape = TRY(static_shape(*meta, program.name_of(tid)));
    tensors_[tid.idx] = TRY(ops::Tensor::zeroed(meta->dtype, shape));
  }
  return {};
}

Status Slots::check(Tid tid) const {
  if (tid.idx < tensors_.size()) return {};
  return make_error(ErrorCode::kOutOfRange, "tensor slot t{} of {}", tid.idx, tensors_.size());
}

Status Slots::check(Vid vid) const {
  if (vid.idx < values_.size()) return {};
  return make_error(ErrorCode::kOutOfRange, "value slot v{} of {}", vid.idx, values_.size());
}

Result<ops::Tensor> Slots::get(Tid tid) const {
  TRY(check(tid));
  if (!tensors_[tid.idx].is_set()) return invalid_argument("reading tensor slot t{}, which is unset", tid.idx);
  return tensors_[tid.idx];
}

ops::Tensor* Slots::find(Tid tid) {
  return tid.idx < tensors_.size() && tensors_[tid.idx].is_set() ? &tensors_[tid.idx] : nullptr;
}

Status Slots::set(Tid tid, ops::Tensor tensor) {
  TRY(check(tid));
  if (is_constant(tid)) return invalid_argument("writing constant t{} outside the init chain", tid.idx);
  if (is_mutable(tid) && tensor.read_only) tensor = TRY(ops::clone(tensor));
  tensors_[tid.idx] = std::move(tensor);
  return {};
}

Status Slots::set_constant(Tid tid, ops::Tensor tensor) {
  TRY(check(tid));
  CHECK(is_constant(tid));
  tensors_[tid.idx] = std::move(tensor);
  return {};
}

Result<Value> Slots::get(Vid vid) const {
  TRY(check(vid));
  if (!values_[vid.idx].is_set) return invalid_argument("reading value slot v{}, which is unset", vid.idx);
  return values_[vid.idx].value;
}

Result<int32_t> Slots::get_int(Vid vid) const {
  const Value value = TRY(get(vid));
  if (const auto* number = std::get_if<int32_t>(&value)) return *number;
  return invalid_argument("value slot v{} holds a {}, an int is needed", vid.idx, kind_name(value));
}

Status Slots::set(Vid vid, Value value) {
  TRY(check(vid));
  values_[vid.idx] = {value, true};
  return {};
}

void Slots::clear() {
  for (uint32_t i = n_constants_; i < tensors_.size(); ++i)
    if (i < mutable_begin_ || i >= mutable_end_) tensors_[i] = {};
  for (ValueSlot& slot : values_) slot.is_set = false;
}

}  // namespace tessera::runtime
