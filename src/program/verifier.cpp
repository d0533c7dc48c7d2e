#include <algorithm>
#include <set>
#include <vector>

#include "program/def_use.h"
#include "program/program.h"
#include "program/sizes.h"

namespace tessera::program {
namespace {

constexpr uint64_t kMaxCollection = 1'000'000;           // slots, chains, instructions of a chain
constexpr uint64_t kMaxBufferBytes = uint64_t{4} << 30;  // of one mutable buffer
constexpr int kMaxNesting = 64;                          // of If and Scan: interpreters recurse

// The dtypes the delegate computes with.
bool is_supported(DType dtype) { return is_known(dtype) && dtype != DType::kF64 && dtype != DType::kU16; }

Status check_counts(const Program& program) {
  const uint64_t tensors = uint64_t{program.n_constants} + program.n_inputs + program.n_outputs + program.n_mutable +
                           uint64_t{program.n_temps};
  if (tensors > kMaxCollection)
    return invalid_format("{} tensor slots, at most {} are allowed", tensors, kMaxCollection);
  if (program.n_values > kMaxCollection) {
    return invalid_format("{} value slots, at most {} are allowed", program.n_values, kMaxCollection);
  }
  const size_t n_chains = program.chains.size();
  if (n_chains > kMaxCollection) return invalid_format("{} chains, at most {} are allowed", n_chains, kMaxCollection);
  if (program.main_chain >= n_chains) {
    return invalid_format("main chain is {}, the program has {} chains", program.main_chain, n_chains);
  }
  if (program.init_chain >= 0 && static_cast<size_t>(program.init_chain) >= n_chains) {
    return invalid_format("init chain is {}, the program has {} chains", program.init_chain, n_chains);
  }
  return {};
}

// --- Maps and names. ---

Status check_slot(const Program& program, const Slot& slot, std::string_view where) {
  const uint64_t limit = slot.type == SlotType::kTensor ? program.n_tensors() : program.n_values;
  if (slot.idx < limit) return {};
  return invalid_format("{} names {} slot {}, the program has {}", where,
                        slot.type == SlotType::kTensor ? "tensor" : "value", slot.idx, limit);
}

// Entries in range, of a type the host can pass, each tensor once. `kind` restricts tensors when given.
Status check_map(const Program& program, const std::vector<Slot>& map, std::optional<TensorKind> kind,
                 std::string_view name) {
  std::set<uint32_t> seen;
  for (const Slot& slot : map) {
    TRY(check_slot(program, slot, name));
    if (slot.type == SlotType::kFloat || slot.type == SlotType::kBool) {
      return not_implemented("{} has a float or bool value slot; only tensors and ints can be passed", name);
    }
    if (slot.type != SlotType::kTensor) continue;
    if (kind && program.kind_of({slot.idx}) != *kind) {
      return invalid_format("{} names tensor slot {}, which is of another kind", name, slot.idx);
    }
    if (kind && !seen.insert(slot.idx).second) return invalid_format("{} names tensor slot {} twice", name, slot.idx);
  }
  return {};
}

Status check_maps(const Program& program) {
  TRY(check_map(program, program.input_map, TensorKind::kInput, "input_map"));
  TRY(check_map(program, program.output_map, std::nullopt, "output_map"));
  TRY(check_map(program, program.mutable_map, TensorKind::kMutable, "mutable_buffer_map"));
  if (program.mutable_map.size() != program.n_mutable) {
    return invalid_format("mutable_buffer_map has {} entries for {} mutable buffers", program.mutable_map.size(),
                          program.n_mutable);
  }
  for (const NamedSlot& named : program.named_slots) {
    if (named.name.size() > kMaxNameBytes)
      return invalid_format("a slot's name has {} bytes, at most {} are allowed", named.name.size(), kMaxNameBytes);
    TRY(check_slot(program, named.slot, fmt::format("named slot \"{}\"", named.name)));
  }
  return {};
}

// --- Metadata, constants, mutable buffers. ---

Status check_dims(const TensorMeta& meta, uint32_t id) {
  if (meta.shape.size() > kMaxRank) {
    return invalid_format("tensor_meta {} has rank {}, at most {} is allowed", id, meta.shape.size(), kMaxRank);
  }
  for (const ShapeDim& dim : meta.shape) {
    if (dim.value < -1) return invalid_format("tensor_meta {} has size {}, expected -1 or more", id, dim.value);
    if (dim.value >= 0) continue;
    if (dim.min_value < 0 || dim.max_value < -1 || (dim.max_value >= 0 && dim.max_value < dim.min_value)) {
      return invalid_format("tensor_meta {} has a dynamic size from {} to {}", id, dim.min_value, dim.max_value);
    }
  }
  return {};
}

Status check_metadata(const Program& program) {
  const uint32_t n_described = program.n_tensors() - program.n_temps;
  if (program.tensor_meta.size() < n_described) {
    return invalid_format("tensor_meta has {} entries for {} constants, inputs, outputs and mutable buffers",
                          program.tensor_meta.size(), n_described);
  }
  for (uint32_t id = 0; id < program.tensor_meta.size(); ++id) TRY(check_dims(program.tensor_meta[id], id));
  for (uint32_t id = 0; id < n_described; ++id) {
    const DType dtype = program.tensor_meta[id].dtype;
    if (is_supported(dtype) || program.kind_of({id}) == TensorKind::kOutput) continue;  // outputs: see IoTensor
    return not_implemented("tensor slot {} (\"{}\") has dtype code {}, which programs cannot compute with", id,
                           program.name_of({id}), static_cast<int>(dtype));
  }
  return {};
}

// The bytes of a tensor whose every size is known.
Result<uint64_t> static_bytes(const Program& program, uint32_t id) {
  const TensorMeta& meta = program.tensor_meta[id];
  std::vector<int32_t> sizes;
  for (const ShapeDim& dim : meta.shape) {
    if (dim.value < 0) {
      return invalid_format("tensor slot {} (\"{}\") has a dynamic shape, but is a constant or mutable buffer", id,
                            program.name_of({id}));
    }
    sizes.push_back(dim.value);
  }
  const auto bytes = tensor_bytes<int32_t>(meta.dtype, sizes);
  if (!bytes)
    return invalid_format("tensor slot {} (\"{}\") has a shape whose size overflows", id, program.name_of({id}));
  return *bytes;
}

Status check_constants(const Program& program) {
  std::vector<std::string_view> names(program.n_constants);
  for (const NamedSlot& named : program.named_slots) {
    if (named.slot.type == SlotType::kTensor && named.slot.idx < program.n_constants) {
      names[named.slot.idx] = named.name;
    }
  }
  for (uint32_t id = 0; id < program.n_constants; ++id) {
    if (names[id].empty()) return invalid_format("constant {} has no name, so nothing says where its data is", id);
    const Data* data = program.find_data(names[id]);
    if (data == nullptr) return make_error(ErrorCode::kNotFound, "constant {} (\"{}\") has no data", id, names[id]);
    const uint64_t expected = TRY(static_bytes(program, id));
    if (data->size() != expected) {
      return invalid_format("constant {} (\"{}\") has {} bytes of data, its shape and dtype need {}", id, names[id],
                            data->size(), expected);
    }
  }
  return {};
}

Status check_mutable_buffers(const Program& program) {
  for (const Slot& slot : program.mutable_map) {
    if (slot.type != SlotType::kTensor) return invalid_format("mutable_buffer_map has a value slot");
    const uint64_t bytes = TRY(static_bytes(program, slot.idx));
    if (bytes == 0 || bytes > kMaxBufferBytes) {
      return invalid_format("mutable buffer {} (\"{}\") has {} bytes, expected 1 to {}", slot.idx,
                            program.name_of({slot.idx}), bytes, kMaxBufferBytes);
    }
  }
  return {};
}

// --- Chains. ---

Status check_lists(const MetalKernel& kernel) {
  const auto same = [&](size_t a, size_t b, std::string_view what) -> Status {
    if (a == b) return {};
    return invalid_format("kernel \"{}\": {}: {} and {}", kernel.name.view(), what, a, b);
  };
  TRY(same(kernel.inputs.size(), kernel.input_names.size(), "inputs and input_names differ in length"));
  TRY(same(kernel.outputs.size(), kernel.output_names.size(), "outputs and output_names differ in length"));
  if (kernel.inputs.empty() || kernel.outputs.empty()) {
    return invalid_format("kernel \"{}\" needs at least one input and one output", kernel.name.view());
  }
  TRY(same(kernel.grid.size(), 3, "grid must have 3 entries"));
  TRY(same(kernel.threadgroup.size(), 3, "threadgroup must have 3 entries"));
  const size_t n_arguments = kernel.template_arg_names.size();
  TRY(same(n_arguments, kernel.template_arg_kinds.size(), "template argument names and kinds differ in length"));
  TRY(same(n_arguments, kernel.template_arg_values.size(), "template argument names and values differ in length"));
  TRY(same(kernel.outputs.size(), kernel.output_shape_lengths.size(), "one shape length per output is needed"));
  TRY(same(kernel.outputs.size(), kernel.output_dtypes.size(), "one dtype per output is needed"));
  size_t n_sizes = 0;
  for (const int32_t length : kernel.output_shape_lengths) {
    if (length < 0 || static_cast<size_t>(length) > kMaxRank) {
      return invalid_format("kernel \"{}\": output of rank {}", kernel.name.view(), length);
    }
    n_sizes += static_cast<size_t>(length);
  }
  TRY(same(n_sizes, kernel.output_shapes_flat.size(), "shape lengths do not add up to the sizes given"));
  for (const DType dtype : kernel.output_dtypes) {
    if (is_supported(dtype)) continue;
    return not_implemented("kernel \"{}\": output dtype code {}", kernel.name.view(), static_cast<int>(dtype));
  }
  return {};
}

Status check_lists(const Gather& gather) {
  if (gather.indices.size() == gather.axes.size()) return {};
  return invalid_format("{} index tensors for {} axes", gather.indices.size(), gather.axes.size());
}

Status check_lists(const Scan& scan) {
  if (scan.originals.size() != scan.sliced.size()) {
    return invalid_format("{} originals for {} sliced slots", scan.originals.size(), scan.sliced.size());
  }
  if (scan.originals.empty()) return invalid_format("no originals: the number of steps is unknown");
  if (scan.scan_axis < 0) return invalid_format("scan_axis {} must not be negative", scan.scan_axis);
  return {};
}

Status check_lists(const Node& node) {
  if (const auto* kernel = std::get_if<MetalKernel>(&node)) return check_lists(*kernel);
  if (const auto* gather = std::get_if<Gather>(&node)) return check_lists(*gather);
  if (const auto* scan = std::get_if<Scan>(&node)) return check_lists(*scan);
  return {};
}

class ChainVerifier {
 public:
  explicit ChainVerifier(const Program& program) : program_(program), height_(program.chains.size(), kUnvisited) {}

  Status run() {
    for (uint32_t chain = 0; chain < program_.chains.size(); ++chain) TRY(check_references(chain));
    for (uint32_t chain = 0; chain < program_.chains.size(); ++chain) TRY(check_nesting(chain, 1));
    return check_constant_writes();
  }

 private:
  static constexpr int kUnvisited = 0, kOpen = -1;

  // Slots and chains exist, lists fit together.
  Status check_references(uint32_t chain) {
    const Chain& nodes = program_.chains[chain];
    if (nodes.size() > kMaxCollection) {
      return invalid_format("chain {} has {} instructions, at most {} are allowed", chain, nodes.size(),
                            kMaxCollection);
    }
    const uint32_t n_tensors = program_.n_tensors(), n_values = program_.n_values;
    const auto n_chains = static_cast<uint32_t>(program_.chains.size());
    for (size_t i = 0; i < nodes.size(); ++i) {
      Status status;
      const auto check = [&](uint32_t idx, uint32_t limit, std::string_view what) {
        if (idx >= limit && status) status = invalid_format("{} {}, the program has {}", what, idx, limit);
      };
      for_each_slot(nodes[i], [&](SlotRole role, uint32_t idx) {
        if (role == SlotRole::kUse || role == SlotRole::kDef)
          check(idx, n_tensors, "tensor slot");
        else
          check(idx, n_values, "value slot");
      });
      for_each_chain(nodes[i], [&](uint32_t target) { check(target, n_chains, "chain"); });
      if (status) status = check_lists(nodes[i]);
      if (!status) return in(status, chain, i);
    }
    return {};
  }

  // No chain reaches itself, and none nests too deep. Leaves the height of each chain in height_.
  Status check_nesting(uint32_t chain, int depth) {
    if (height_[chain] == kOpen) return invalid_format("chain {} runs itself through If or Scan", chain);
    if (height_[chain] != kUnvisited) return {};
    if (depth > kMaxNesting) return invalid_format("chains nest deeper than {}", kMaxNesting);
    height_[chain] = kOpen;
    int height = 1;
    Status status;
    for (const Node& node : program_.chains[chain]) {
      for_each_chain(node, [&](uint32_t target) {
        if (status) status = check_nesting(target, depth + 1);
        if (status) height = std::max(height, height_[target] + 1);
      });
      if (!status) return status;
    }
    if (height > kMaxNesting) return invalid_format("chains nest deeper than {}", kMaxNesting);
    height_[chain] = height;
    return {};
  }

  // Constants are shared by sessions: only the init chain, which runs once at load, may write them.
  Status check_constant_writes() {
    std::vector<bool> at_load(program_.chains.size()), at_run(program_.chains.size());
    mark(program_.main_chain, at_run);
    if (program_.init_chain >= 0) mark(static_cast<uint32_t>(program_.init_chain), at_load);
    for (uint32_t chain = 0; chain < program_.chains.size(); ++chain) {
      const bool may_write = at_load[chain] && !at_run[chain];
      const Chain& nodes = program_.chains[chain];
      for (size_t i = 0; i < nodes.size(); ++i) {
        Status status;
        if (!may_write) for_each_def(nodes[i], [&](Tid tid) { refuse_constant(tid, status); });
        if (const auto* update = std::get_if<SliceUpdate>(&nodes[i])) refuse_constant(update->dst, status);
        if (const auto* copy = std::get_if<IndexCopy>(&nodes[i])) refuse_constant(copy->dst, status);
        if (!status) return in(status, chain, i);
      }
    }
    return {};
  }
  void refuse_constant(Tid tid, Status& status) const {
    if (tid.idx < program_.n_constants) status = invalid_format("writes constant {}", tid.idx);
  }
  void mark(uint32_t chain, std::vector<bool>& reached) const {
    if (reached[chain]) return;
    reached[chain] = true;
    for (const Node& node : program_.chains[chain])
      for_each_chain(node, [&](uint32_t target) { mark(target, reached); });
  }

  Error in(const Status& status, uint32_t chain, size_t instruction) const {
    const auto name = name_of(program_.chains[chain][instruction]);
    return status.error().in(fmt::format("chain {}, instruction {} ({})", chain, instruction, name));
  }

  const Program& program_;
  std::vector<int> height_;
};

// --- What the container says. ---

Status check_io(const Program& program, const std::vector<IoTensor>& tensors, const std::vector<Slot>& map,
                std::string_view what) {
  if (tensors.size() != map.size()) {
    return invalid_format("{} {}s are described, the map has {}", tensors.size(), what, map.size());
  }
  for (size_t i = 0; i < tensors.size(); ++i) {
    const IoTensor& tensor = tensors[i];
    const bool is_int = map[i].type == SlotType::kInt;
    const uint32_t slot = map[i].idx;
    if (is_int && (tensor.dtype != DType::kI64 || !tensor.sizes.empty())) {
      return invalid_format("{} {} is an int slot and must be described as a 0-d i64", what, i);
    }
    if (tensor.sizes.size() > kMaxRank || !tensor_bytes<int32_t>(tensor.dtype, tensor.sizes)) {
      return invalid_format("{} {} has an impossible dtype or shape", what, i);
    }
    if (is_int || program.kind_of({slot}) != TensorKind::kInput) continue;
    if (program.tensor_meta[slot].dtype != tensor.dtype) {
      return invalid_format("{} {} is {} to the host but {} to the graph", what, i, name_of(tensor.dtype),
                            name_of(program.tensor_meta[slot].dtype));
    }
  }
  return {};
}

Status check_constant_methods(const Program& program) {
  for (const auto& [name, values] : program.constant_methods) {
    if (name == program.method) return invalid_format("method \"{}\" is also a constant method", name);
    for (const ConstantValue& value : values) {
      const auto* tensor = std::get_if<ConstantTensor>(&value);
      if (tensor == nullptr) continue;
      const auto bytes = tensor_bytes<int32_t>(tensor->dtype, tensor->sizes);
      if (tensor->sizes.size() > kMaxRank || bytes != tensor->bytes.size()) {
        return invalid_format("constant method \"{}\": {} bytes do not fit the tensor's shape and dtype", name,
                              tensor->bytes.size());
      }
    }
  }
  return {};
}

}  // namespace

Status verify(const Program& program) {
  TRY(check_counts(program));
  TRY(check_maps(program));
  TRY(check_metadata(program));
  TRY(check_constants(program));
  TRY(check_mutable_buffers(program));
  TRY(ChainVerifier(program).run());
  TRY(check_io(program, program.inputs, program.input_map, "input"));
  TRY(check_io(program, program.outputs, program.output_map, "output"));
  return check_constant_methods(program);
}

}  // namespace tessera::program
