// A layer's attention as one step (program/hints.h, AttentionHint): head norms, rotation, cache write and attention
// over the cache, with no mask and no intermediate in a slot.
#pragma once

#include <optional>
#include <vector>

#include "program/hints.h"
#include "quant/tq4.h"
#include "runtime/step.h"

namespace tessera::runtime {

// For reports: what a step reads of the caches.
class CacheWork {
 public:
  virtual ~CacheWork() = default;
  // Bytes of keys and values that one token at `position` attends to.
  virtual int64_t cache_bytes(int64_t position) const = 0;
};

class AttentionStep final : public Step, public CacheWork {
 public:
  struct Spec {
    program::AttentionHint hint;
    std::vector<float> q_norm, k_norm;  // (head_dim); k_norm empty for layers without K of their own
    RopeSpec rope;
    size_t rope_index = 0;  // in Workspace::rope
    DType kv_dtype = DType::kF32;
    int64_t n_slots = 0;
    // What a compressed cache needs: vectors are turned when they come and what was attended to is turned back.
    struct Compression {
      quant::Tq4Rotation rotation;
      quant::Tq4Codebook codebook;
    };
    std::optional<Compression> compression = {};
  };
  explicit AttentionStep(Spec spec) : spec_(std::move(spec)) {}
  Status run(StepContext& context) const override;
  Status accept(StepVisitor& visitor) const override;
  const Spec& spec() const { return spec_; }
  std::string_view kind() const override { return "attention"; }
  int64_t cache_bytes(int64_t position) const override;

 private:
  struct Step;    // sizes and tensors of one run
  struct Buffer;  // keys or values of all positions
  // Makes the cache ready to be written if this layer does that. Errors: a slot that holds something else; instructions
  // may put anything there.
  Result<ops::Tensor*> cache(Slots& slots, program::Tid tid, DType dtype, int64_t row_values) const;
  Status check(const ops::Tensor& x, int64_t n_heads, int64_t n_tokens, std::string_view what) const;
  // The queries that read a KV head, and its key and value; scratch (head_dim).
  void prepare_head(StepContext& context, const Step& step, int64_t token, int64_t kv_head, float* scratch) const;
  // Changes `values` (head_dim) where the cache is compressed.
  void write(StepContext& context, const Buffer& buffer, int64_t kv_head, int64_t position, float* values) const;

  Spec spec_;
};

}  // namespace tessera::runtime
