// The steps of a plan, one function for each kind: how a device that executes plans by its own kernels learns what to
// do. A step shows what was resolved when the plan was built (its spec); nothing is computed here.
#pragma once

#include "program/slots.h"
#include "runtime/steps/attention_step.h"
#include "runtime/steps/linear_step.h"
#include "runtime/steps/row_steps.h"

namespace tessera::runtime {

class StepVisitor {
 public:
  virtual ~StepVisitor() = default;
  virtual Status embedding(const EmbeddingStep& step) = 0;
  virtual Status linear(const LinearStep& step) = 0;
  virtual Status norm(const NormStep& step) = 0;
  virtual Status residual(const ResidualStep& step) = 0;
  virtual Status soft_cap(const SoftCapStep& step) = 0;
  virtual Status attention(const AttentionStep& step) = 0;
  virtual Status same(program::Tid from, program::Tid to) = 0;  // another name for what is in a slot
  // An instruction without a fused step.
  virtual Status instruction(uint32_t chain, uint32_t index) = 0;
};

}  // namespace tessera::runtime
