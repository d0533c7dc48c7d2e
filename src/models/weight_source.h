// Hands a model definition its weights by name and expected shape, and keeps the books: what is missing or mis-shaped
// (reported in one error, so that a wrong file is understood at once), and which of the file's tensors nobody asked
// for.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "graph/builder.h"
#include "models/model_source.h"

namespace tessera::models {

// "a, b, c and 5 more"
std::string first_few(const std::vector<std::string>& items);

class WeightSource {
 public:
  // `dtype` is that of activations.
  WeightSource(const ModelSource& source, DType dtype, graph::Builder& builder)
      : source_(source), dtype_(dtype), builder_(builder) {}

  // A (rows, columns) matrix; its bytes are borrowed, packed as they are. A tensor that is missing or does not fit
  // gives a value of the right type all the same, so that building goes on: ask status() before using the graph.
  graph::ValueId matrix(const std::string& name, int64_t rows, int64_t columns);
  // `n` values cast to the activation dtype (borrowed when they are of that type already).
  graph::ValueId vector(const std::string& name, int64_t n);
  // A constant of the model's own making.
  graph::ValueId constant(const std::string& name, const std::vector<float>& values);

  bool has(std::string_view name) const { return source_.find(name).has_value(); }
  // The values of a small float tensor; empty when it does not fit (status() tells).
  std::vector<float> read(const std::string& name, int64_t n);
  // A tensor that may be there and is not needed: not worth a warning.
  void ignore(std::string name) { used_.insert(std::move(name)); }

  // One error with every complaint, up to a few: kNotFound if all are missing tensors, else kInvalidFormat.
  Status status() const;
  // Tensors of the file that were neither used nor ignored.
  std::vector<std::string> unused() const;

 private:
  // The tensor if it exists with these dims (ggml order); else a complaint and nothing.
  std::optional<StoredTensor> require(const std::string& name, const std::vector<int64_t>& dims);
  graph::ValueId borrow(const std::string& name, const std::optional<StoredTensor>& tensor, graph::Type type);
  graph::ValueId own(const std::string& name, std::vector<std::byte> bytes, graph::Type type);

  const ModelSource& source_;
  DType dtype_;
  graph::Builder& builder_;
  std::set<std::string, std::less<>> used_;
  std::vector<std::string> missing_, wrong_;
};

}  // namespace tessera::models
