#include "runtime/plan.h"

#include <algorithm>
#include <chrono>

#include "runtime/plan_builder.h"
#include "runtime/step_visitor.h"

namespace tessera::runtime {
namespace {

using program::Program;

// One instruction, executed by the interpreter.
class NodeStep final : public Step {
 public:
  NodeStep(uint32_t chain, uint32_t index, std::string_view name) : chain_(chain), index_(index), name_(name) {}
  Status run(StepContext& context) const override {
    return execute_range(chain_, index_, index_ + 1, context.execution);
  }
  Status accept(StepVisitor& visitor) const override { return visitor.instruction(chain_, index_); }
  std::string_view kind() const override { return name_; }

 private:
  uint32_t chain_, index_;
  std::string_view name_;
};

// The Take before the head, skipped: logits of every token are wanted.
class KeepAllTokensStep final : public Step {
 public:
  explicit KeepAllTokensStep(const program::Take& take) : take_(take) {}
  Status run(StepContext& context) const override {
    return context.slots().set(take_.out, TRY(context.slots().get(take_.x)));
  }
  Status accept(StepVisitor& visitor) const override { return visitor.same(take_.x, take_.out); }
  std::string_view kind() const override { return "all tokens"; }

 private:
  program::Take take_;
};

bool outlives_execution(const Program& program, uint32_t slot) {
  return program.kind_of({slot}) != program::TensorKind::kTemp;
}

Planned plan_node(const PlanBuilder& builder, int index, bool keep_all_tokens) {
  const program::Node& node = builder.chain[static_cast<size_t>(index)];
  const Dataflow::Access& access = builder.flow.at(index);
  Planned out;
  if (const auto* take = std::get_if<program::Take>(&node); take && keep_all_tokens)
    out.step = std::make_unique<KeepAllTokensStep>(*take);
  else
    out.step =
        std::make_unique<NodeStep>(builder.program.main_chain, static_cast<uint32_t>(index), program::name_of(node));
  out.covered = {index};
  for (const auto& use : access.reads) out.reads.push_back({use.slot, use.writer});
  for (uint32_t slot : access.writes) out.outs.push_back({slot, index});
  out.value_reads = access.value_reads;
  out.value_outs = access.value_writes;
  return out;
}

bool is_enabled(const PlanOptions& options, std::string_view name) {
  for (const std::string& disabled : options.disabled_fusions)
    if (disabled == name || disabled == "all") return false;
  return true;
}

// Every instruction exactly once: by the first fusion that matches, else by itself.
std::vector<Planned> cover(PlanBuilder& builder, const PlanOptions& options) {
  const size_t n = builder.chain.size();
  std::vector<bool> done(n, false);
  std::vector<Planned> out;
  size_t position = 0;  // in builder.order
  for (size_t index = 0; index < n; ++index) {
    while (position < builder.order.size() && static_cast<size_t>(builder.order[position]) < index) ++position;
    if (done[index]) continue;
    const bool is_tensor = position < builder.order.size() && static_cast<size_t>(builder.order[position]) == index;
    std::optional<Planned> match;
    for (const Fusion& fusion : fusions()) {
      if (!is_tensor || match) break;
      if (is_enabled(options, fusion.name)) match = fusion.match(builder, position);
    }
    const bool keep_all = options.all_logits && builder.hints.last_token_take == index;
    Planned& planned =
        out.emplace_back(match ? std::move(*match) : plan_node(builder, static_cast<int>(index), keep_all));
    for (const Version& v : planned.outs) planned.has_effect |= outlives_execution(builder.program, v.slot);
    for (int covered : planned.covered) done[static_cast<size_t>(covered)] = true;
  }
  return out;
}

// Keeps the steps somebody needs. False when a kept step reads a version that a fused step swallowed.
bool drop_unneeded(const PlanBuilder& builder, std::vector<Planned>& steps) {
  const Program& program = builder.program;
  std::vector<Version> wanted;
  std::vector<bool> value_wanted(program.n_values, false);
  for (const program::Slot& slot : program.output_map)
    if (slot.type != program::SlotType::kTensor) value_wanted[slot.idx] = true;
  const auto wants = [&](const Version& v) { return std::find(wanted.begin(), wanted.end(), v) != wanted.end(); };
  std::vector<Planned> kept;
  for (auto it = steps.rbegin(); it != steps.rend(); ++it) {
    bool needed = it->has_effect;
    for (const Version& out : it->outs) needed |= wants(out);
    for (uint32_t vid : it->value_outs) needed |= value_wanted[vid];
    for (int index : it->covered) {
      for (const Version& v : wanted)
        if (v.writer == index && std::find(it->outs.begin(), it->outs.end(), v) == it->outs.end()) return false;
      for (uint32_t vid : builder.flow.at(index).value_writes)
        if (value_wanted[vid] && std::find(it->value_outs.begin(), it->value_outs.end(), vid) == it->value_outs.end())
          return false;
    }
    std::erase_if(wanted,
                  [&](const Version& v) { return std::find(it->outs.begin(), it->outs.end(), v) != it->outs.end(); });
    for (uint32_t vid : it->value_outs) value_wanted[vid] = false;
    if (!needed) continue;
    for (const Version& read : it->reads)
      if (read.writer != Dataflow::kExternal && !wants(read)) wanted.push_back(read);
    for (uint32_t vid : it->value_reads) value_wanted[vid] = true;
    kept.push_back(std::move(*it));
  }
  std::reverse(kept.begin(), kept.end());
  steps = std::move(kept);
  return true;
}

Result<program::Hints> hints_of(const Program& program) {
  const program::Data* data = program.find_data(program::kHintsKey);
  if (!data) return program::Hints{};
  return program::decode_hints(data->bytes);
}

}  // namespace

Result<Plan> Plan::create(const Program& program, const Slots& bound, const PlanOptions& options) {
  program::Hints hints = TRY(hints_of(program));
  const size_t n = program.chains[program.main_chain].size();
  if (hints.last_token_take) {
    const bool is_take = *hints.last_token_take < n && std::holds_alternative<program::Take>(
                                                           program.chains[program.main_chain][*hints.last_token_take]);
    if (!is_take) hints.last_token_take.reset();
  }
  if (options.all_logits && (!hints.last_token_take || !is_enabled(options, "linear"))) {
    return not_implemented(
        "logits of every token: the program computes those of the last one, and has no {} that say how to keep the "
        "others",
        program::kHintsKey);
  }
  PlanBuilder builder(program, bound, std::move(hints));
  std::vector<Planned> steps = cover(builder, options);
  if (!drop_unneeded(builder, steps)) {
    // A hint claimed a range whose inside is read elsewhere. Everything by the instructions is slower and right.
    if (options.all_logits)
      return not_implemented("logits of every token: the program's hints contradict its instructions");
    steps = cover(builder, {.disabled_fusions = {"all"}});
    drop_unneeded(builder, steps);
  }
  Plan plan;
  for (Planned& planned : steps) plan.steps_.push_back(std::move(planned.step));
  return plan;
}

Status Plan::run(StepContext& context) const {
  for (const StepPtr& step : steps_) TRY(step->run(context));
  return {};
}

Status Plan::run_timed(StepContext& context, std::vector<double>& seconds) const {
  using Clock = std::chrono::steady_clock;
  seconds.resize(steps_.size(), 0.0);
  for (size_t i = 0; i < steps_.size(); ++i) {
    const auto start = Clock::now();
    TRY(steps_[i]->run(context));
    seconds[i] += std::chrono::duration<double>(Clock::now() - start).count();
  }
  return {};
}

}  // namespace tessera::runtime
