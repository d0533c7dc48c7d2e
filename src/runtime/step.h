// One step of a plan: a fused kernel over slots, or a single instruction through the interpreter. Steps hold what was
// resolved once (weights, shapes, slot numbers) and no state: sessions share them.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/scratch_buffer.h"
#include "kernels/cpu/attention.h"
#include "kernels/cpu/float_kernels.h"
#include "kernels/cpu/linear.h"
#include "runtime/interpreter.h"
#include "runtime/rope_table.h"

namespace tessera::runtime {

// What one session's steps may scribble on; grown once, then reused.
struct Workspace {
  kernels::cpu::Activations activations;
  kernels::cpu::AttentionScratch attention;
  ScratchBuffer q, out;             // attention's, f32
  std::vector<ScratchBuffer> rows;  // per thread
  std::vector<RopeTable> rope;      // by AttentionStep's rope_index
};

struct StepContext {
  ExecutionContext& execution;
  Workspace& workspace;
  ThreadPool& pool;
  kernels::cpu::Isa isa;
  const kernels::cpu::FloatKernels& floats;
  bool exact = false;  // f32 activations in the linears instead of int8

  Slots& slots() const { return execution.slots; }
};

class StepVisitor;

class Step {
 public:
  virtual ~Step() = default;
  virtual Status run(StepContext& context) const = 0;
  // Shows itself to who executes plans in another way (step_visitor.h).
  virtual Status accept(StepVisitor& visitor) const = 0;
  // A word for profiles: "linear", "attention", "RMSNorm", ...
  virtual std::string_view kind() const = 0;
};

using StepPtr = std::unique_ptr<Step>;

}  // namespace tessera::runtime
