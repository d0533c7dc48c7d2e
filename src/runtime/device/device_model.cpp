#include "runtime/device/device_model.h"

#include <algorithm>
#include <set>

#include "program/def_use.h"
#include "runtime/device/device_session.h"
#include "runtime/step_visitor.h"

namespace tessera::runtime {
namespace {

using kernels::cuda::DeviceInfo;
using program::Tid;

// Where a constant lies that is not uploaded yet; not 0, which is none.
constexpr kernels::cuda::Address kNotYetKnown = 1;

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
    TRY(check_cache(spec));
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
  // The kernels take the room for granted (AttentionArgs), so the longest step must fit at every position.
  Status check_cache(const AttentionStep::Spec& spec) const {
    const int64_t window = spec.hint.window, context = model_.context_length(), step = model_.max_tokens_per_step();
    if (spec.n_slots >= context || (window > 0 && spec.n_slots >= window + step - 1)) return {};
    return not_implemented(
        "attention over a cache of {} slots (window {}) has no CUDA kernel: steps of {} tokens in a context of {} "
        "need {}",
        spec.n_slots, window, step, context, window > 0 ? std::min(context, window + step - 1) : context);
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
    if (!spec.format)
      return not_implemented("weight \"{}\" is made of affine groups, which have no CUDA kernels",
                             model_.program().name_of(spec.weight));
    if (spec.factor != 1)
      return not_implemented(
          "products with weight \"{}\" are multiplied by a number of its own, which has no CUDA kernel",
          model_.program().name_of(spec.weight));
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
  std::vector<Constant> constants;
  for (uint32_t tid : needs.weights) {
    const ops::Tensor tensor = TRY(model->bound_slots().get(Tid{tid}));
    constants.push_back({{static_cast<const std::byte*>(tensor.data), tensor.n_bytes()}, &out->weights_[tid]});
  }
  for (const auto bytes : needs.numbers) {
    const auto [place, is_new] = out->numbers_.emplace(bytes.data(), 0);
    if (is_new) constants.push_back({bytes, &place->second});
  }
  for (const Constant& constant : constants) {
    *constant.place = kNotYetKnown;
    out->weight_bytes_ += std::ssize(constant.bytes);
  }
  SessionMemory session;
  TRY(note_session(*out, session));
  TRY(out->check_room(static_cast<uint64_t>(out->weight_bytes_) + session.bytes()));
  TRY(out->upload(std::move(constants)));
  return std::shared_ptr<const DeviceModel>(std::move(out));
}

// In the order of their addresses, which is the file's for what is mapped.
Status DeviceModel::upload(std::vector<Constant> constants) {
  std::sort(constants.begin(), constants.end(),
            [](const Constant& a, const Constant& b) { return a.bytes.data() < b.bytes.data(); });
  std::vector<uint64_t> sizes;
  for (const Constant& constant : constants) sizes.push_back(constant.bytes.size());
  memory_ = TRY(gpu_->allocate(sizes));
  std::vector<kernels::cuda::UploadPart> parts;
  for (size_t i = 0; i < constants.size(); ++i) {
    *constants[i].place = memory_[i];
    parts.push_back({memory_[i], constants[i].bytes.data(), constants[i].bytes.size()});
  }
  TRY(gpu_->upload(parts));
  return gpu_->synchronize();
}

Status DeviceModel::check_room(uint64_t needed) const {
  const DeviceInfo& info = gpu_->info();
  if (needed <= info.free_bytes) return {};
  const auto mb = [](uint64_t bytes) { return static_cast<double>(bytes) / 1e6; };
  return make_error(ErrorCode::kOutOfMemory,
                    "{}: weights and a session of {} tokens need {:.1f} MB, {:.1f} MB of {:.1f} are free", info.name,
                    model_->context_length(), mb(needed), mb(info.free_bytes), mb(info.total_bytes));
}

}  // namespace tessera::runtime
