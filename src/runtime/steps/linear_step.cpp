#include "runtime/steps/linear_step.h"

#include <array>

namespace tessera::runtime {
namespace {

using kernels::cpu::ActivationForms;
using kernels::cpu::LinearWeight;
using ops::Tensor;

Result<LinearWeight> resolve(const Slots& slots, const LinearSpec& spec) {
  LinearWeight out = spec.shape();
  out.data = TRY(slots.get(spec.weight)).data;
  if (!spec.groups) return out;
  out.groups.scales = TRY(slots.get(spec.groups->scales)).data;
  out.groups.biases = TRY(slots.get(spec.groups->biases)).data;
  return out;
}

}  // namespace

LinearWeight LinearSpec::shape() const {
  LinearWeight out{.format = format, .n = n, .k = k, .bias = bias.empty() ? nullptr : bias.data(), .factor = factor};
  if (groups) out.groups = {.bits = groups->bits, .group_size = groups->group_size, .dtype = groups->dtype};
  return out;
}

Status LinearStep::run(StepContext& context) const {
  namespace cpu = kernels::cpu;
  const Tensor x = TRY(context.slots().get(x_));
  const int64_t k = jobs_.front().weight.k;
  if (!is_activation_dtype(x.dtype) || x.shape.rank() == 0 || x.shape.back() != k) {
    return invalid_argument("linear: input is {} {}, expected floats (..., {})", name_of(x.dtype), to_string(x.shape),
                            k);
  }
  const int64_t m = x.n_elements() / k;
  const auto arithmetic = context.exact ? cpu::Arithmetic::kExact : cpu::Arithmetic::kInt8;
  ActivationForms forms;
  std::vector<Tensor> outs;
  std::vector<LinearWeight> gates(jobs_.size());
  std::vector<cpu::LinearJob> jobs;
  for (size_t i = 0; i < jobs_.size(); ++i) {
    const Job& job = jobs_[i];
    Shape shape = x.shape;
    shape[shape.rank() - 1] = job.weight.n;
    const DType dtype = job.promotes && x.dtype != job.dtype ? DType::kF32 : job.dtype;
    outs.push_back(TRY(Tensor::allocate(dtype, shape)));
    jobs.push_back({.weight = TRY(resolve(context.slots(), job.weight)),
                    .out = {.dtype = dtype, .data = outs.back().data, .row_stride = job.weight.n}});
    forms |= jobs.back().weight.forms(arithmetic);
    if (!job.gate) continue;
    gates[i] = TRY(resolve(context.slots(), *job.gate));
    forms |= gates[i].forms(arithmetic);
    jobs.back().gate = &gates[i];
  }
  cpu::Activations& activations = context.workspace.activations;
  activations.prepare(context.pool, context.isa, {.dtype = x.dtype, .data = x.data, .m = m, .k = k, .row_stride = k},
                      forms);
  cpu::linear(context.pool, context.isa, jobs, activations);
  for (size_t i = 0; i < jobs_.size(); ++i) TRY(context.slots().set(jobs_[i].out, std::move(outs[i])));
  return {};
}

std::string_view LinearStep::kind() const {
  if (last_token_only_) return "head";
  return jobs_.front().gate ? "gate and up" : "linear";
}

int64_t LinearStep::weight_bytes() const {
  int64_t bytes = 0;
  for (const Job& job : jobs_) bytes += job.weight.shape().bytes() + (job.gate ? job.gate->shape().bytes() : 0);
  return bytes;
}

LinearOps LinearStep::ops_per_token(kernels::cpu::Arithmetic arithmetic) const {
  LinearOps ops;
  const auto count = [&](const LinearSpec& weight) {
    (weight.shape().forms(arithmetic).floats ? ops.f32 : ops.int8) += 2 * weight.n * weight.k;
  };
  for (const Job& job : jobs_) {
    count(job.weight);
    if (job.gate) count(*job.gate);
  }
  return ops;
}

}  // namespace tessera::runtime
