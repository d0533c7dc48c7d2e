// The graph of a model: typed values, the nodes that compute them in execution order, weights that refer to a file, and
// caches. Small enough to print (graph/text.h): a 60-layer model is some 1500 nodes. Graphs are built with
// graph::Builder, changed by passes (graph/passes/passes.h) and checked by verify().
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/mapped_file.h"
#include "base/result.h"
#include "base/shape.h"
#include "graph/ops.h"
#include "quant/affine.h"
#include "quant/format.h"

namespace tessera::graph {

// The symbolic size T in a Shape: the number of tokens of a step.
inline constexpr int64_t kTokens = -1;

struct Type {
  DType dtype = DType::kF32;
  Shape shape;
  bool operator==(const Type&) const = default;
};
std::string to_string(const Type& type);  // "bf16[1, T, 256]"

struct ValueId {
  int32_t index = -1;
  bool operator==(const ValueId&) const = default;
};

// What a step is given.
struct Input {
  std::string name;
  ValueId value;
};

// A tensor of the model's file. The value's type is what reading the weight yields (the activation dtype); `format` and
// `bytes` are what is stored. The bytes are borrowed from `owner`; a parsed graph has none.
struct Weight {
  std::string name = {};  // as in the file: "blk.0.attn_q.weight"
  ValueId value = {};
  const quant::Format* format = nullptr;  // null: see `affine`
  std::span<const std::byte> bytes = {};
  std::shared_ptr<const void> owner = {};
  const MappedFile* mapped = nullptr;  // when the bytes lie in a mapped file (which `owner` keeps)
  // Instead of format and bytes: codes and groups that are made or read when the program is written.
  std::shared_ptr<const quant::AffineMatrix> affine = nullptr;
};

// How a weight is stored: "Q4_K", or "int4/32" for codes of 4 bits in groups of 32.
std::string storage_name(const Weight& weight);

// Keys and values of earlier tokens. How many slots it has is decided when the graph is lowered.
struct Cache {
  std::string name;  // "blk.0"
  DType dtype = DType::kF32;
  int64_t n_kv_heads = 0, head_dim = 0;
  int64_t window = 0;  // 0: all earlier tokens are visible; else this many, the token itself included
  bool operator==(const Cache&) const = default;
};

struct Node {
  Op op;
  std::vector<ValueId> inputs;
  ValueId output;
};

struct Graph {
  std::string name;
  std::vector<Type> types;  // by ValueId
  std::vector<Input> inputs;
  std::vector<Weight> weights;
  std::vector<Cache> caches;
  std::vector<Node> nodes;  // each after the nodes it reads
  ValueId output;

  const Type& type(ValueId value) const { return types[static_cast<size_t>(value.index)]; }
  const Cache& cache(CacheId id) const { return caches[static_cast<size_t>(id.index)]; }
  ValueId new_value(Type type);
  ValueId find_input(std::string_view name) const;  // index -1 if there is none
  // By value: the weight it is (nullptr: it is none).
  const Weight* weight_of(ValueId value) const;
};

// Whether an attention node writes its cache (has k and v) or reads what an earlier one wrote.
inline bool writes_cache(const Node& node) { return node.inputs.size() > 3; }

// For each value, the index of the node that computes it (-1: an input or weight) and how many node inputs, the graph's
// output included, read it. Valid until the graph changes.
struct Uses {
  explicit Uses(const Graph& graph);
  int writer(ValueId value) const { return writer_[static_cast<size_t>(value.index)]; }
  int count(ValueId value) const { return count_[static_cast<size_t>(value.index)]; }

 private:
  std::vector<int> writer_, count_;
};

// The type of an op's result, or what is wrong with its inputs: the one place with shape rules.
Result<Type> infer(const Op& op, std::span<const Type> inputs, std::span<const Cache> caches);

// Whether a graph is well formed: every id in range, every value written once and before it is read, types as infer()
// says, names unique, caches written before they are read and by one node. Errors: kInternal, naming the node.
Status verify(const Graph& graph);

}  // namespace tessera::graph
