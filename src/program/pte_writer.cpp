#include "program/pte_writer.h"

#include <algorithm>
#include <bit>
#include <set>

#include "base/check.h"
#include "base/file_writer.h"
#include "base/mapped_file.h"
#include "program/container.h"
#include "program/external.h"
#include "program/graph_codec.h"
#include "program/sizes.h"

namespace tessera::program {
namespace {

constexpr uint64_t kArenaAlignment = 16;             // of planned tensors and of constants inside their segment
constexpr uint64_t kChunkBytes = uint64_t{8} << 20;  // resident at once while a mapped file streams through

// The raw half of a container: blobs to write, and where they will lie.
class SegmentList {
 public:
  // The index of a segment with these bytes. The same bytes in memory become one segment.
  uint32_t add(const Data& data, uint64_t alignment) {
    for (uint32_t i = 0; i < blobs_.size(); ++i) {
      if (is_same(blobs_[i].data, data)) return i;
    }
    const uint64_t size = data.size();
    const uint64_t offset = size == 0 ? end_ : align_up(end_, alignment);
    end_ = offset + size;
    blobs_.push_back({data, alignment});
    table_.push_back({offset, size});
    return static_cast<uint32_t>(blobs_.size() - 1);
  }
  const std::vector<pte::DataSegment>& table() const { return table_; }

  // Appends the segments to `file`, which stands at the segment base.
  Status write(FileWriter& file, const WriteOptions& options) const {
    const uint64_t total = file.offset() + end_;
    for (const Blob& blob : blobs_) {
      if (blob.data.size() == 0) continue;
      TRY(file.pad_to(blob.alignment));
      TRY(blob.data.source ? produce(file, *blob.data.source, total, options)
                           : stream(file, blob.data, total, options));
    }
    return {};
  }

 private:
  struct Blob {
    Data data;
    uint64_t alignment;
  };

  static bool is_same(const Data& a, const Data& b) {
    if (a.source || b.source) return a.source == b.source;
    return a.bytes.data() == b.bytes.data() && a.bytes.size() == b.bytes.size();
  }

  static Status produce(FileWriter& file, const DataSource& source, uint64_t total, const WriteOptions& options) {
    const uint64_t begin = file.offset();
    const auto write = [&](std::span<const std::byte> piece) -> Status {
      TRY(file.write(piece));
      if (options.progress) options.progress(file.offset(), total);
      return {};
    };
    TRY(source.produce(write));
    CHECK(file.offset() - begin == source.size);
    return {};
  }

  static Status stream(FileWriter& file, const Data& data, uint64_t total, const WriteOptions& options) {
    for (uint64_t done = 0; done < data.bytes.size();) {
      const uint64_t n = std::min<uint64_t>(kChunkBytes, data.bytes.size() - done);
      const auto piece = data.bytes.subspan(done, n);
      TRY(data.mapped ? file.copy(*data.mapped, data.mapped->offset_of(piece), n) : file.write(piece));
      done += n;
      if (options.progress) options.progress(file.offset(), total);
    }
    return {};
  }

  std::vector<Blob> blobs_;
  std::vector<pte::DataSegment> table_;
  uint64_t end_ = 0;
};

RequiredVector<uint8_t> row_major(size_t rank) {
  RequiredVector<uint8_t> order;
  for (size_t i = 0; i < rank; ++i) order.push_back(static_cast<uint8_t>(i));
  return order;
}

pte::Tensor tensor_value(DType dtype, const std::vector<int32_t>& sizes) {
  pte::Tensor tensor;
  tensor.scalar_type = static_cast<int8_t>(dtype);
  tensor.sizes.assign(sizes.begin(), sizes.end());
  tensor.dim_order = row_major(sizes.size());
  return tensor;
}

// The parts every plan has, empty as they may be.
pte::ExecutionPlan empty_plan(const std::string& name) {
  pte::ExecutionPlan plan;
  plan.name = String(name);
  plan.container_meta_type = pte::ContainerMetadata{String(), String()};
  plan.chains.emplace_back();
  plan.chains[0].inputs.emplace();
  plan.chains[0].outputs.emplace();
  plan.operators.emplace();
  plan.non_const_buffer_sizes = {0};  // arena 0 is reserved
  return plan;
}

// Inputs are bound by the caller; outputs lie one after the other in arena 1.
pte::EValue io_value(const IoTensor& io, const Slot& slot, std::optional<uint64_t> planned_at) {
  if (slot.type == SlotType::kInt) return {pte::Int{}};
  pte::Tensor tensor = tensor_value(io.dtype, io.sizes);
  tensor.shape_dynamism = io.dynamic ? pte::kDynamicBound : pte::kStatic;
  if (planned_at) {
    tensor.allocation_info = pte::AllocationDetails{.memory_id = 1,
                                                    .memory_offset_low = static_cast<uint32_t>(*planned_at),
                                                    .memory_offset_high = static_cast<uint32_t>(*planned_at >> 32)};
  }
  return {std::move(tensor)};
}

// One delegate call over all inputs, then all outputs.
Result<pte::ExecutionPlan> method_plan(const Program& program, uint32_t payload_segment) {
  pte::ExecutionPlan plan = empty_plan(program.method);
  pte::DelegateCall call;
  const auto add = [&](pte::EValue value, RequiredVector<int32_t>& list) {
    const auto index = static_cast<int32_t>(plan.values.size());
    plan.values.push_back(std::move(value));
    list.push_back(index);
    call.args.push_back(index);
  };
  for (size_t i = 0; i < program.inputs.size(); ++i) {
    add(io_value(program.inputs[i], program.input_map[i], std::nullopt), plan.inputs);
  }
  std::optional<uint64_t> arena = 0;
  for (size_t i = 0; i < program.outputs.size(); ++i) {
    add(io_value(program.outputs[i], program.output_map[i], *arena), plan.outputs);
    if (program.output_map[i].type != SlotType::kTensor) continue;
    const auto bytes = tensor_bytes<int32_t>(program.outputs[i].dtype, program.outputs[i].sizes);
    arena = bytes ? checked_add(*arena, *bytes) : std::nullopt;
    if (arena) arena = checked_align_up(*arena, kArenaAlignment);
    if (!arena || *arena > INT64_MAX) return invalid_argument("the outputs' sizes overflow");
  }
  if (*arena > 0) plan.non_const_buffer_sizes.push_back(static_cast<int64_t>(*arena));
  plan.chains[0].instructions.push_back({std::move(call)});
  pte::BackendDelegate delegate{.id = String(std::string(kMlxBackend)),
                                .processed = {pte::kSegment, payload_segment},
                                .compile_specs = std::vector<pte::CompileSpec>()};
  plan.delegates.push_back(std::move(delegate));
  return plan;
}

// Constant methods, and the bytes of the tensors among their values: the constant segment.
class ConstantPlans {
 public:
  explicit ConstantPlans(const Program& program) {
    for (const auto& [name, values] : program.constant_methods) {
      pte::ExecutionPlan plan = empty_plan(name);
      for (const ConstantValue& value : values) {
        plan.outputs.push_back(static_cast<int32_t>(plan.values.size()));
        plan.values.push_back(
            {std::visit([this](const auto& v) -> pte::KernelTypes { return this->to_wire(v); }, value)});
      }
      plans.push_back(std::move(plan));
    }
  }

  std::vector<pte::ExecutionPlan> plans;
  std::vector<uint64_t> offsets = {0};  // entry 0 stands for "not a constant"
  std::vector<std::byte> bytes;

 private:
  static pte::Int to_wire(int64_t value) { return {value}; }
  static pte::Bool to_wire(bool value) { return {value}; }
  static pte::Double to_wire(double value) { return {value}; }
  static pte::Text to_wire(const std::string& value) { return {String(value)}; }
  pte::Tensor to_wire(const ConstantTensor& value) {
    pte::Tensor tensor = tensor_value(value.dtype, value.sizes);
    tensor.data_buffer_idx = static_cast<uint32_t>(offsets.size());
    bytes.resize(align_up<size_t>(bytes.size(), kArenaAlignment));
    offsets.push_back(bytes.size());
    bytes.insert(bytes.end(), value.bytes.begin(), value.bytes.end());
    return tensor;
  }
};

// Constants in slot order - the order a load reads them in - without repeats.
std::vector<std::string> constant_keys(const Program& program) {
  std::vector<std::string> keys;
  std::set<std::string, std::less<>> seen;
  for (uint32_t id = 0; id < program.n_constants; ++id) {
    std::string key(program.name_of({id}));
    if (seen.insert(key).second) keys.push_back(std::move(key));
  }
  return keys;
}

// Puts weights and Tessera's blobs into segments, or leaves weights outside as the options say.
std::vector<pte::NamedData> add_named_data(const Program& program, const std::string& path, const WriteOptions& options,
                                           SegmentList& segments) {
  using Weights = WriteOptions::Weights;
  std::vector<pte::NamedData> named;
  const auto add = [&](const std::string& key, const Data& data, uint64_t alignment) {
    named.push_back({String(key), segments.add(data, alignment)});
  };
  ExternalWriter external(path);
  const std::vector<std::string> constants = constant_keys(program);
  for (const std::string& key : constants) {
    const Data& data = program.data.find(key)->second;
    if (options.weights == Weights::kPtd) continue;
    if (options.weights == Weights::kReference && data.mapped != nullptr)
      external.add(key, data);
    else
      add(key, data, options.segment_alignment);
  }
  const std::set<std::string_view> is_constant(constants.begin(), constants.end());
  for (const auto& [key, data] : program.data) {
    if (!is_constant.contains(key)) add(key, data, kSegmentAlignment);
  }
  if (!external.empty()) add(std::string(kExternalKey), Data::own(external.encode()), kSegmentAlignment);
  return named;
}

Status check_options(const Program& program, const WriteOptions& options) {
  if (!std::has_single_bit(options.segment_alignment) || options.segment_alignment < kSegmentAlignment) {
    return invalid_argument("segment alignment {} must be a power of two and at least {}", options.segment_alignment,
                            kSegmentAlignment);
  }
  if (program.find_data(kExternalKey) != nullptr)
    return invalid_argument("\"{}\" is the writer's to add", kExternalKey);
  return verify(program);
}

Status write_file(const std::string& path, std::span<const std::byte> head, const SegmentList& segments,
                  const WriteOptions& options) {
  FileWriter file = TRY(FileWriter::create(path));
  TRY(file.write(head));
  TRY(segments.write(file, options));
  return file.commit();
}

}  // namespace

Status write_pte(const Program& program, const std::string& path, const WriteOptions& options) {
  TRY(check_options(program, options));
  // Segments in this order: constants of constant methods, the delegate's payload, named data.
  SegmentList segments;
  ConstantPlans constants(program);
  const uint32_t constant_segment = segments.add(Data::own(constants.bytes), kSegmentAlignment);
  const uint32_t payload_segment = segments.add(Data::own(encode_payload(program)), kSegmentAlignment);

  pte::Program table;
  table.execution_plan.push_back(TRY(method_plan(program, payload_segment)));
  std::move(constants.plans.begin(), constants.plans.end(), std::back_inserter(table.execution_plan));
  table.constant_buffer.emplace();
  table.backend_delegate_data.emplace();
  table.constant_segment = pte::SubsegmentOffsets{constant_segment, constants.offsets};
  table.named_data = add_named_data(program, path, options, segments);
  table.segments = segments.table();
  return write_file(path, encode_container(table, options.segment_alignment), segments, options);
}

Status write_ptd(const Program& program, const std::string& path, const WriteOptions& options) {
  TRY(check_options(program, options));
  SegmentList segments;
  ptd::FlatTensor table;
  std::set<std::string, std::less<>> seen;
  for (uint32_t id = 0; id < program.n_constants; ++id) {
    const std::string key(program.name_of({id}));
    if (!seen.insert(key).second) continue;
    const TensorMeta& meta = program.tensor_meta[id];
    std::vector<int32_t> sizes;
    for (const ShapeDim& dim : meta.shape) sizes.push_back(dim.value);
    const ptd::TensorLayout layout{static_cast<int8_t>(meta.dtype), sizes, row_major(sizes.size())};
    const uint32_t segment = segments.add(program.data.find(key)->second, options.segment_alignment);
    table.named_data.push_back({String(key), segment, layout});
  }
  table.segments.assign(segments.table().begin(), segments.table().end());
  return write_file(path, encode_container(table, options.segment_alignment), segments, options);
}

}  // namespace tessera::program
