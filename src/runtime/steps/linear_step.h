// Linears over packed weights as one step: those that read the same input share its quantized form and one parallel
// region; a gate and an up projection are multiplied per output tile (kernels/cpu/linear.h).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "program/slots.h"
#include "runtime/linear_ops.h"
#include "runtime/step.h"

namespace tessera::runtime {

// For reports: what a step must read and compute.
class LinearWork {
 public:
  virtual ~LinearWork() = default;
  virtual int64_t weight_bytes() const = 0;
  virtual LinearOps ops_per_token(kernels::cpu::Arithmetic arithmetic) const = 0;  // 2 n k
  virtual bool last_token_only() const = 0;  // runs once a step, whatever the number of tokens
};

// What LinearWeight is to slots.
struct LinearSpec {
  struct Groups {
    program::Tid scales, biases;
    int bits = 0, group_size = 0;
    DType dtype = DType::kF32;
  };
  const quant::Format* format = nullptr;
  program::Tid weight;  // blocks of `format`; without one the codes of `groups`
  int64_t n = 0, k = 0;
  std::vector<float> bias;  // (n) or empty
  float factor = 1;         // of sums and bias
  std::optional<Groups> groups = {};

  // Without the addresses.
  kernels::cpu::LinearWeight shape() const;
};

class LinearStep final : public Step, public LinearWork {
 public:
  struct Job {
    LinearSpec weight;
    std::optional<LinearSpec> gate;  // out = gelu_tanh(gate) * weight
    program::Tid out;
    DType dtype = DType::kF32;  // of out; of the weight's numbers when `promotes`
    bool promotes = false;      // out is in x's dtype if that is `dtype`, else f32
  };
  LinearStep(program::Tid x, std::vector<Job> jobs, bool last_token_only)
      : x_(x), jobs_(std::move(jobs)), last_token_only_(last_token_only) {}

  Status run(StepContext& context) const override;
  Status accept(StepVisitor& visitor) const override;
  program::Tid x() const { return x_; }
  const std::vector<Job>& jobs() const { return jobs_; }
  std::string_view kind() const override;
  int64_t weight_bytes() const override;
  LinearOps ops_per_token(kernels::cpu::Arithmetic arithmetic) const override;
  bool last_token_only() const override { return last_token_only_; }

 private:
  program::Tid x_;
  std::vector<Job> jobs_;
  bool last_token_only_;
};

}  // namespace tessera::runtime
