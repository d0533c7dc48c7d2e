#include "runtime/device/device_model.h"

#include <set>

#include "program/def_use.h"
#include "runtime/step_visitor.h"

namespace tessera::runtime {
namespace {

using program::Tid;

// Everything the steps need on the device; fails at the first step that cannot run there.
class Needs final : public StepVisitor {
 public:
  explicit Needs(const Model& model) : model_(model) {}
  std::set<uint32_t> weights;
  std::vector<std::span<const std::byte>> numbers;

  Status embedding(const EmbeddingStep& step) override { return weight(step.spec().weight, *step.spec().format); }
  Status linear(const LinearStep& step) override {
    for (const LinearStep::Job& job : step.jobs()) {
      TRY(linear_weight(job.weight));
      if (job.gate) TRY(linear_weight(*job.gate));
    }
    return {};
  }
  Status norm(const NormStep& step) override {
    add(step.norm().weight);
    return {};
  }
  Status residual(const ResidualStep& step) override {
    add(step.spec().branch.weight);
    if (step.spec().next) add(step.spec().next->weight);
    return {};
  }
  Status soft_cap(const SoftCapStep&) override { return {}; }
  Status attention(const AttentionStep& step) override {
    const AttentionStep::Spec& spec = step.spec();
    if (spec.hint.compressed) return not_implemented("compressed caches (--turboquant) have no CUDA kernels");
    constexpr int kMaxHeadDim = 512;
    if (spec.hint.head_dim > kMaxHeadDim)
      return not_implemented("attention with heads of {} values has no CUDA kernel; {} at most", spec.hint.head_dim,
                             kMaxHeadDim);
    add(spec.q_norm);
    add(spec.k_norm);
    add(spec.rope.periods);
    return {};
  }
  Status same(Tid, Tid) override { return {}; }
  Status instruction(uint32_t chain, uint32_t index) override {
    const program::Node& node = model_.program().chains[chain][index];
    if (classify(model_.program(), node) != DeviceInstruction::kUnsupported) return {};
    return not_implemented("the instruction {} (number {}) has no CUDA kernel and no fused step; run it on the CPU",
                           program::name_of(node), index);
  }

 private:
  template <typename T>
  void add(const std::vector<T>& values) {
    if (!values.empty()) numbers.push_back(std::as_bytes(std::span(values)));
  }
  Status weight(Tid tid, const quant::Format& format) {
    if (!kernels::cuda::format_of(format))
      return not_implemented(
          "weight \"{}\" is {}, which has no CUDA kernels; there are F32, F16, BF16, Q8_0, Q4_0, "
          "Q4_K, Q5_K, Q6_K",
          model_.program().name_of(tid), format.name);
    weights.insert(tid.idx);
    return {};
  }
  Status linear_weight(const LinearSpec& spec) {
    add(spec.bias);
    return weight(spec.weight, *spec.format);
  }
  const Model& model_;
};

}  // namespace

DeviceInstruction classify(const program::Program& program, const program::Node& node) {
  bool writes_tensor = false;
  program::for_each_def(node, [&](Tid) { writes_tensor = true; });
  if (!writes_tensor) return DeviceInstruction::kNothing;
  const auto* take = std::get_if<program::Take>(&node);
  if (!take) return DeviceInstruction::kUnsupported;
  if (take->x.idx == program.input_map[1].idx) return DeviceInstruction::kNothing;  // the first position
  const bool is_last = take->axis == 1 && take->index == program::IntOrVidOrTid(-1);
  return is_last ? DeviceInstruction::kLastToken : DeviceInstruction::kUnsupported;
}

Result<std::shared_ptr<const DeviceModel>> DeviceModel::create(std::shared_ptr<const Model> model,
                                                               std::shared_ptr<kernels::cuda::Gpu> gpu) {
  if (model->samples()) return not_implemented("programs that sample inside have no CUDA kernels");
  if (model->cache_config()) return not_implemented("caches outside the graph have no CUDA kernels");
  Needs needs(*model);
  for (const StepPtr& step : model->plan().steps()) TRY(step->accept(needs));
  std::shared_ptr<DeviceModel> out(new DeviceModel(model, gpu));
  std::map<uint32_t, ops::Tensor> tensors;
  for (uint32_t tid : needs.weights) {
    tensors[tid] = TRY(model->bound_slots().get(Tid{tid}));
    out->weight_bytes_ += static_cast<int64_t>(tensors[tid].n_bytes());
  }
  const auto needed = static_cast<uint64_t>(out->weight_bytes_ + model->cache_bytes());
  if (needed > gpu->info().free_bytes)
    return make_error(
        ErrorCode::kOutOfMemory, "{}: weights and the caches of {} tokens need {:.1f} MB, {:.1f} MB of {:.1f} are free",
        gpu->info().name, model->context_length(), static_cast<double>(needed) / 1e6,
        static_cast<double>(gpu->info().free_bytes) / 1e6, static_cast<double>(gpu->info().total_bytes) / 1e6);
  for (const auto& [tid, tensor] : tensors) {
    const auto* bytes = static_cast<const std::byte*>(tensor.data);
    out->weights_.emplace(tid, TRY(gpu->upload(std::span(bytes, tensor.n_bytes()))));
  }
  for (const auto bytes : needs.numbers)
    if (!out->numbers_.contains(bytes.data())) out->numbers_.emplace(bytes.data(), TRY(gpu->upload(bytes)));
  TRY(gpu->synchronize());
  return std::shared_ptr<const DeviceModel>(std::move(out));
}

}  // namespace tessera::runtime
