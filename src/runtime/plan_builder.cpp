#include "runtime/plan_builder.h"

#include "ops/elements.h"

namespace tessera::runtime {
namespace {

std::vector<int> tensor_instructions(const Dataflow& flow) {
  std::vector<int> out;
  for (int i = 0; i < flow.size(); ++i)
    if (!flow.at(i).writes.empty()) out.push_back(i);
  return out;
}

}  // namespace

PlanBuilder::PlanBuilder(const program::Program& p, const Slots& slots, program::Hints h)
    : program(p),
      bound(slots),
      hints(std::move(h)),
      chain(p.chains[p.main_chain]),
      flow(p),
      order(tensor_instructions(flow)) {}

std::optional<ops::Tensor> PlanBuilder::constant(program::Tid tid) const {
  if (program.kind_of(tid) != program::TensorKind::kConstant) return std::nullopt;
  auto tensor = bound.get(tid);
  if (!tensor) return std::nullopt;
  return *std::move(tensor);
}

std::optional<std::vector<float>> PlanBuilder::float_constant(program::Tid tid) const {
  const auto tensor = constant(tid);
  if (!tensor || !is_activation_dtype(tensor->dtype)) return std::nullopt;
  std::vector<float> out(static_cast<size_t>(tensor->n_elements()));
  ops::load(*tensor, 0, tensor->n_elements(), out.data());
  return out;
}

std::optional<float> PlanBuilder::scalar_constant(program::Tid tid) const {
  const auto values = float_constant(tid);
  if (!values || values->size() != 1) return std::nullopt;
  return (*values)[0];
}

std::optional<Scaled> PlanBuilder::scaled_at(size_t i, program::Tid x, DType dtype) const {
  const auto* multiply = node_at<program::Multiply>(i);
  if (!multiply || !(multiply->a == x) || !only_read_at(written_at(i - 1, x), i)) return std::nullopt;
  const auto factor = scalar_constant(multiply->b);
  if (!factor || constant(multiply->b)->dtype != dtype) return std::nullopt;
  return Scaled{*factor, multiply->out};
}

const program::TensorMeta* PlanBuilder::buffer(program::Tid tid) const {
  const bool is_buffer = program.kind_of(tid) == program::TensorKind::kMutable;
  return is_buffer && tid.idx < program.tensor_meta.size() ? &program.tensor_meta[tid.idx] : nullptr;
}

}  // namespace tessera::runtime
