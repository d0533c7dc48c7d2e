// Fused steps that work row by row between the linears: norms, residual adds, the embedding's scale, the soft cap.
// Rows are loaded to f32, computed there and stored once in the slot's dtype.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "program/slots.h"
#include "runtime/step.h"

namespace tessera::runtime {

// Instructions of the main chain that a step stands for, to fall back on when dtypes or shapes at run time are not
// those the fused kernel is made for (temporaries have no metadata to decide it earlier).
struct Instructions {
  uint32_t chain = 0;
  std::vector<int> indices;
  Status run(StepContext& context) const;
};

// norm(x) * weight over the last axis.
struct NormSpec {
  program::Tid x;
  std::vector<float> weight;  // empty: no weight
  DType weight_dtype = DType::kF32;
  float eps = 0;

  // The fused kernel's case: float rows as long as the weight, in the weight's dtype (so nothing is promoted).
  bool fits(const ops::Tensor& x) const;
};

// out = norm(x)
class NormStep final : public Step {
 public:
  NormStep(NormSpec norm, program::Tid out, Instructions instructions)
      : norm_(std::move(norm)), out_(out), instructions_(std::move(instructions)) {}
  Status run(StepContext& context) const override;
  Status accept(StepVisitor& visitor) const override;
  const NormSpec& norm() const { return norm_; }
  program::Tid out() const { return out_; }
  std::string_view kind() const override { return "norm"; }

 private:
  NormSpec norm_;
  program::Tid out_;
  Instructions instructions_;
};

// sum = (residual + norm(x)) * scale; next = norm(sum) with its own weight, when there is one. One pass over the row
// for what would be four instructions.
class ResidualStep final : public Step {
 public:
  struct Spec {
    NormSpec branch;  // of the branch that joins the residual stream
    program::Tid residual, sum;
    std::optional<float> scale;    // of the weights' dtype
    std::optional<NormSpec> next;  // its x is `sum`
    program::Tid next_out;
    Instructions instructions;
  };
  explicit ResidualStep(Spec spec) : spec_(std::move(spec)) {}
  Status run(StepContext& context) const override;
  Status accept(StepVisitor& visitor) const override;
  const Spec& spec() const { return spec_; }
  std::string_view kind() const override { return "residual"; }

 private:
  Spec spec_;
};

// out = cap * tanh(x / cap) in f32; `casts`: the instructions take any float dtype to f32 first.
class SoftCapStep final : public Step {
 public:
  SoftCapStep(program::Tid x, program::Tid out, float cap, bool casts, Instructions instructions)
      : x_(x), out_(out), cap_(cap), casts_(casts), instructions_(std::move(instructions)) {}
  Status run(StepContext& context) const override;
  Status accept(StepVisitor& visitor) const override;
  program::Tid x() const { return x_; }
  program::Tid out() const { return out_; }
  float cap() const { return cap_; }
  std::string_view kind() const override { return "soft cap"; }

 private:
  program::Tid x_, out_;
  float cap_;
  bool casts_;
  Instructions instructions_;
};

// out[i] = row ids[i] of a table, times a factor.
class EmbeddingStep final : public Step {
 public:
  struct Spec {
    const quant::Format* format = nullptr;
    program::Tid weight, ids, out;
    int64_t n_rows = 0, k = 0;
    DType dtype = DType::kF32;
    float factor = 1;
  };
  explicit EmbeddingStep(Spec spec) : spec_(spec) {}
  Status run(StepContext& context) const override;
  Status accept(StepVisitor& visitor) const override;
  const Spec& spec() const { return spec_; }
  std::string_view kind() const override { return "embedding"; }

 private:
  Spec spec_;
};

}  // namespace tessera::runtime
