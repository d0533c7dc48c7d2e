// program::Program: the in-memory twin of what a .pte holds - the MLX delegate's graph plus the container facts a
// runner needs. The compile half builds one, the run half plans one; pte_writer and pte_loader carry it over a file.
// Slot numbering, maps and chains: executorch-pte sections 3 and 4.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/dtype.h"
#include "base/result.h"
#include "program/nodes.h"

namespace tessera {
class MappedFile;
}

namespace tessera::program {

// One dimension of a tensor_meta shape: value >= 0 is static; -1 is dynamic within [min_value, max_value]
// (max_value -1: unbounded).
struct ShapeDim {
  int32_t value = -1;
  int32_t min_value = 0;
  int32_t max_value = -1;
  bool operator==(const ShapeDim&) const = default;
};

struct TensorMeta {
  std::vector<ShapeDim> shape;
  DType dtype = DType::kF32;
  bool operator==(const TensorMeta&) const = default;
};

enum class SlotType : uint8_t { kTensor = 0, kInt = 1, kFloat = 2, kBool = 3 };

struct Slot {
  uint32_t idx = 0;
  SlotType type = SlotType::kTensor;
  bool operator==(const Slot&) const = default;
};

// Name of a constant (then it is also the named-data key), input, output or mutable buffer.
struct NamedSlot {
  std::string name;
  Slot slot;
  bool operator==(const NamedSlot&) const = default;
};

using Chain = std::vector<Node>;

enum class TensorKind { kConstant, kInput, kOutput, kMutable, kTemp };

// Bytes that are made when they are asked for and kept nowhere: constants that no file holds as a program needs them
// (a repacked weight), too many to be in memory together.
struct DataSource {
  using Sink = std::function<Status(std::span<const std::byte>)>;
  uint64_t size = 0;
  // Gives the sink all `size` bytes in order, in pieces; the same ones each time it is called.
  std::function<Status(const Sink& sink)> produce;
};

// Bytes under a key: the weights, and Tessera's own blobs (prefix "tessera."). Borrowed from `owner` - a mapped GGUF or
// .pte, or a vector made by the compiler - and shared by every session.
struct Data {
  std::span<const std::byte> bytes;  // empty when there is a source
  std::shared_ptr<const void> owner;
  // Set when the bytes are part of this mapping, which `owner` keeps alive. Then a writer can give pages back as it
  // streams them (MappedFile::forget) or name the file instead of copying the bytes (WriteOptions::weights).
  const MappedFile* mapped = nullptr;
  std::shared_ptr<const DataSource> source = nullptr;

  uint64_t size() const { return source ? source->size : bytes.size(); }

  static Data own(std::vector<std::byte> bytes);
  // The range must lie in the file.
  static Data borrow(std::shared_ptr<const MappedFile> file, uint64_t offset, uint64_t size);
  static Data lazy(DataSource source);
};

// A tensor returned by a constant method (get_kv_heads): row-major bytes of dtype x sizes.
struct ConstantTensor {
  DType dtype = DType::kF32;
  std::vector<int32_t> sizes;
  std::vector<std::byte> bytes;
  bool operator==(const ConstantTensor&) const = default;
};

// One value of a constant method (get_max_seq_len -> 4096): an ExecutionPlan without instructions.
using ConstantValue = std::variant<int64_t, bool, double, std::string, ConstantTensor>;

// A graph input or output as the container describes it to the host. Sizes are upper bounds when `dynamic`. A slot of
// type kInt is described as a 0-d i64.
struct IoTensor {
  DType dtype = DType::kF32;
  std::vector<int32_t> sizes;
  bool dynamic = false;
  bool operator==(const IoTensor&) const = default;
};

struct Program {
  std::string method = "forward";

  // Tensor ids: constants, inputs, outputs, mutable buffers, temporaries, each a consecutive range.
  uint32_t n_constants = 0, n_inputs = 0, n_outputs = 0, n_mutable = 0, n_temps = 0;
  uint32_t n_values = 0;

  std::vector<Chain> chains;
  uint32_t main_chain = 0;
  int32_t init_chain = -1;  // negative: none

  std::vector<Slot> input_map, output_map, mutable_map;
  std::vector<NamedSlot> named_slots;
  std::vector<TensorMeta> tensor_meta;  // for constants, inputs, outputs and mutable buffers, by tensor id

  std::vector<IoTensor> inputs, outputs;  // in input_map / output_map order
  std::map<std::string, std::vector<ConstantValue>, std::less<>> constant_methods;
  std::map<std::string, Data, std::less<>> data;  // constants by name and "tessera." blobs

  uint32_t n_tensors() const { return n_constants + n_inputs + n_outputs + n_mutable + n_temps; }
  TensorKind kind_of(Tid tid) const;
  // The name of a tensor slot, or "" (temporaries have none).
  std::string_view name_of(Tid tid) const;
  const Data* find_data(std::string_view key) const;
  // The first value of a constant method, when there is one of that type.
  std::optional<int64_t> int_constant(std::string_view method) const;
};

// Makes the bytes of every lazy constant, so that the program can be executed. One that was loaded has none.
Status materialize(Program& program);

// Checks everything that executing, planning or writing a program relies on, once: ranges of every slot reference in
// every chain (taken or not), chain indices and acyclicity of If/Scan, metadata and data of every constant (bytes equal
// shape x dtype), map entries, static mutable buffers, writes to constants only from the init chain, list lengths of
// MetalKernel/Gather/Scan nodes. executorch-pte sections 10.3 and 10.5.
Status verify(const Program& program);

}  // namespace tessera::program
