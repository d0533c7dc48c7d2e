// The KV cache that UpdateAndAttend addresses: owned by the host, not by the program. Each layer is either flat (all
// positions, storage grown by doubling) or a ring that keeps the last `window` positions readable for every token of a
// step. Contract: executorch-pte section 5.6.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/dtype.h"
#include "base/result.h"
#include "ops/tensor.h"

namespace tessera::runtime {

class OffGraphCache {
 public:
  struct Layer {
    int64_t window = 0;  // 0: flat
    int64_t n_kv_heads = 0;
    int64_t head_dim = 0;
  };
  struct Config {
    int64_t capacity = 0;  // tokens
    int64_t n_layers = 0;
    std::vector<Layer> layers;  // one for all, or n_layers
    DType kv_dtype = DType::kBF16;
    int64_t initial_capacity = 512;    // of flat layers, clamped to capacity
    std::optional<int64_t> max_write;  // tokens a ring takes in one step; absent: its window
  };
  // What a step attends to: k, v (1, n_kv_heads, S, head_dim) in the storage dtype, oldest position first.
  struct View {
    ops::Tensor k, v;
    bool causal = false;              // lower-right aligned
    std::optional<ops::Tensor> mask;  // bool (1, 1, T, S); absent and not causal: everything is attended
  };

  static Result<OffGraphCache> create(const Config& config);

  // Writes k, v (1, n_kv_heads, T, head_dim), any float dtype, at `position` of one layer and returns what its queries
  // see. Errors: layer or shape mismatch, past the capacity, more than max_write tokens into a ring, a position that
  // would leave a gap, positions that a ring no longer holds. On error nothing has changed.
  Result<View> update(int64_t layer, int64_t position, const ops::Tensor& k, const ops::Tensor& v);

  int64_t length() const { return length_; }  // max of position + T seen
  // Forgets everything at and after `length`. Errors: longer than it is, or a ring has evicted what would be needed.
  Status rewind(int64_t length);
  void clear();

 private:
  struct LayerState {
    Layer geometry;
    int64_t slots = 0;  // allocated positions per head
    int64_t max_write = 0;
    int64_t end = 0;  // positions [oldest, end) are held
    int64_t oldest = 0;
    ops::Tensor k, v;  // (n_kv_heads, slots, head_dim)
  };
  Status check_step(const LayerState& layer, int64_t position, const ops::Tensor& k, const ops::Tensor& v) const;
  Status reserve(LayerState& layer, int64_t n_positions);

  int64_t capacity_ = 0, length_ = 0;
  DType dtype_ = DType::kBF16;
  std::vector<LayerState> layers_;
};

}  // namespace tessera::runtime
