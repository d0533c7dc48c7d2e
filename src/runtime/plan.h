// A plan: the main chain as a list of steps. Built once per program; every instruction is either covered by a fused
// step or becomes a step of its own, so any valid program runs and ours run fast. Fusions are rows of a table
// (fusions.cpp), each with a name and a switch.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "program/hints.h"
#include "runtime/step.h"

namespace tessera::runtime {

struct PlanOptions {
  bool all_logits = false;                    // keep every token through the head (needs the last_token_take hint)
  std::vector<std::string> disabled_fusions;  // by name; "all" turns every one off
};

class Plan {
 public:
  // `bound` holds the program's constants, the init chain run; only the call looks at it. Errors: all_logits on a
  // program without the hint.
  static Result<Plan> create(const program::Program& program, const Slots& bound, const PlanOptions& options);

  Status run(StepContext& context) const;
  // The same, adding the seconds each step took to `seconds` (one entry per step).
  Status run_timed(StepContext& context, std::vector<double>& seconds) const;

  const std::vector<StepPtr>& steps() const { return steps_; }

 private:
  std::vector<StepPtr> steps_;
};

}  // namespace tessera::runtime
