#include "runtime/device/lowering.h"

#include <algorithm>
#include <type_traits>

namespace tessera::runtime {
namespace {

using namespace kernels::cuda;  // the vocabulary of launches
using program::Tid;
using Use = SessionMemory::Use;

uint64_t size_of_element(Element element) { return element == Element::kF32 ? 4 : 2; }
constexpr uint32_t kVersions = 4;  // of a slot

int32_t int32_of(int64_t n) { return static_cast<int32_t>(n); }

Result<Element> device_element(DType dtype) {
  const auto element = element_of(dtype);
  if (element) return *element;
  return not_implemented("{} activations or caches have no CUDA kernels", name_of(dtype));
}

class Lowering final : public StepVisitor {
 public:
  Lowering(const DeviceModel& model, SessionMemory& memory, int64_t n_tokens)
      : model_(model), memory_(memory), n_tokens_(n_tokens), slots_(model.model().program().n_tensors()) {
    position_ = memory_.get(Use::kPosition, 0, sizeof(int32_t));
  }
  Result<DeviceStep> run();

  Status embedding(const EmbeddingStep& step) override;
  Status linear(const LinearStep& step) override;
  Status norm(const NormStep& step) override;
  Status residual(const ResidualStep& step) override;
  Status soft_cap(const SoftCapStep& step) override;
  Status attention(const AttentionStep& step) override;
  Status same(Tid from, Tid to) override;
  Status instruction(uint32_t chain, uint32_t index) override;

 private:
  template <typename Args>
  using Operation = int (*Api::*)(Device*, const Args*, Failure*);
  template <typename Args>
  static std::function<Status(Gpu&)> launch_of(Operation<Args> operation, const Args& args) {
    return [operation, args](Gpu& gpu) { return gpu.run(operation, args); };
  }
  template <typename Args>
  void emit(Operation<Args> operation, const Args& args) {
    out_.launches.push_back(launch_of(operation, args));
    linear_outputs_.reset();
    constexpr bool makes_input = std::is_same_v<Args, ActivationsArgs>;
    out_.kinds.push_back(makes_input ? "inputs of linears" : kind_);
  }
  Result<DeviceRows> get(Tid tid) const;
  Result<DeviceRows> set(Tid tid, int64_t rows, int64_t width, Element element);
  template <typename T>
  Address numbers(const std::vector<T>& values) const {
    return model_.numbers(std::as_bytes(std::span(values)));
  }
  // Errors: the fused kernel's case does not hold (row_steps.h, NormSpec::fits).
  Status check_norm(const NormSpec& norm, const DeviceRows& x) const;
  template <typename Args>
  void emit_maker(Operation<Args> operation, const Args& args, uint32_t storage, uint32_t set = 0);
  Activations prepare(const DeviceRows& x, Form form, int32_t group);
  struct Job {
    LinearJob job;
    Format format;
    uint32_t storage;  // of its output
  };
  void multiply(const DeviceRows& x, std::span<const Job> jobs);
  LinearJob job_of(const LinearSpec& spec, Address out, Element element) const;
  Result<Address> cache(Tid tid, const AttentionStep::Spec& spec);
  void rotation(const AttentionStep::Spec& spec, Address& cos, Address& sin);
  int64_t pieces(const program::AttentionHint& hint, int64_t n_slots) const;

  const DeviceModel& model_;
  SessionMemory& memory_;
  int64_t n_tokens_;
  std::vector<std::optional<DeviceRows>> slots_;
  std::vector<bool> has_rotation_;
  Address position_ = 0;
  // Of the launches that can leave their result in a linear's form, too, the last.
  struct Maker {
    size_t launch;
    uint32_t storage;                               // of the result
    uint32_t set;                                   // where the form is to be (SessionMemory::Use)
    std::function<bool(const Activations&)> leave;  // false: not in this form
  };
  std::optional<Maker> maker_;
  uint32_t set_ = 0;                                     // of the form prepared last
  std::optional<std::vector<uint32_t>> linear_outputs_;  // storages that the last launch writes, where it is a linear
  std::string_view kind_;
  std::vector<std::function<Status(Gpu&)>> first_;  // launches in front of all others
  DeviceStep out_;
};

Result<DeviceRows> Lowering::get(Tid tid) const {
  if (slots_[tid.idx]) return *slots_[tid.idx];
  return not_implemented("slot t{} is read by a step, but what wrote it has no CUDA kernel", tid.idx);
}

// A slot is an untyped variable: a step may read the old contents while it writes the new, and a view of the old ones
// may be alive. So a slot has several places, and the first is taken that no slot holds.
Result<DeviceRows> Lowering::set(Tid tid, int64_t rows, int64_t width, Element element) {
  const uint64_t bytes = static_cast<uint64_t>(rows * width) * size_of_element(element);
  const auto is_read = [&](uint32_t storage) {
    return std::any_of(slots_.begin(), slots_.end(),
                       [&](const auto& slot) { return slot && slot->storage == storage; });
  };
  uint32_t storage = tid.idx * kVersions;
  while (is_read(storage)) ++storage;
  if (storage >= (tid.idx + 1) * kVersions)
    return not_implemented("slot t{} is written while {} earlier contents of it are in use: no CUDA step keeps so many",
                           tid.idx, kVersions);
  slots_[tid.idx] = {memory_.get(Use::kSlot, storage, bytes), rows, width, element, storage};
  return *slots_[tid.idx];
}

Status Lowering::same(Tid from, Tid to) {
  slots_[to.idx] = TRY(get(from));
  return {};
}

Status Lowering::instruction(uint32_t chain, uint32_t index) {
  const program::Program& program = model_.model().program();
  const program::Node& node = program.chains[chain][index];
  if (classify(program, node) != DeviceInstruction::kLastToken) return {};
  const auto& take = std::get<program::Take>(node);
  DeviceRows x = TRY(get(take.x));
  x.address += static_cast<uint64_t>((x.rows - 1) * x.width) * size_of_element(x.element);
  x.rows = 1;
  slots_[take.out.idx] = x;
  return {};
}

Status Lowering::embedding(const EmbeddingStep& step) {
  const EmbeddingStep::Spec& spec = step.spec();
  if (spec.ids.idx != model_.model().program().input_map[0].idx)
    return not_implemented("an embedding of anything but the program's tokens has no CUDA kernel");
  const Element element = TRY(device_element(spec.dtype));
  const DeviceRows out = TRY(set(spec.out, n_tokens_, spec.k, element));
  emit(&Api::embedding, EmbeddingArgs{.table = model_.weight(spec.weight),
                                      .ids = memory_.get(Use::kIds, 0, static_cast<uint64_t>(n_tokens_) * 4),
                                      .out = out.address,
                                      .format = *format_of(*spec.format),
                                      .element = element,
                                      .m = int32_of(n_tokens_),
                                      .k = int32_of(spec.k),
                                      .n_rows = int32_of(spec.n_rows),
                                      .factor = spec.factor});
  return {};
}

// ---- linears -------------------------------------------------------------------------------------------------------

// x in the form a linear's kernel reads; f32 rows are their own form.
Activations Lowering::prepare(const DeviceRows& x, Form form, int32_t group) {
  Activations out{.form = form, .m = int32_of(x.rows), .k = int32_of(x.width), .group = group};
  if (form == Form::kF32 && x.element == Element::kF32) {
    out.values = x.address;
    return out;
  }
  const FormBytes bytes = form_bytes(form, out.m, out.k, group);
  const bool is_made = maker_ && maker_->launch + 1 == out_.launches.size() && maker_->storage == x.storage;
  set_ = is_made ? maker_->set : 0;
  const auto place = [&](Use use, uint64_t size) { return size == 0 ? 0 : memory_.get(use, set_, size); };
  out.q = place(Use::kCodes, bytes.q);
  out.d = place(form == Form::kInt8 ? Use::kScales : Use::kTokenScales, bytes.d);
  out.sums = place(Use::kSums, bytes.sums);
  out.values = place(form == Form::kF32 ? Use::kFloats : Use::kHalves, bytes.values);
  if (is_made && maker_->leave(out))
    maker_.reset();  // it leaves one form
  else
    emit(&Api::activations, ActivationsArgs{.x = x.address, .element = x.element, .out = out});
  return out;
}

bool can_leave(const NormArgs& args, const Activations& made) { return args.m == made.m && made.form != Form::kF32; }
bool can_leave(const AttentionArgs& args, const Activations& made) {
  return args.m == made.m && made.form == Form::kInt8;
}
bool can_leave(const LinearArgs& args, const Activations& made) {
  return leaves_form(args) && args.x.m == made.m && made.form == Form::kInt8;
}

// A launch whose result the next may want in its form.
template <typename Args>
void Lowering::emit_maker(Operation<Args> operation, const Args& args, uint32_t storage, uint32_t set) {
  const auto leave = [this, operation, args](const Activations& made) {
    if (!can_leave(args, made)) return false;
    Args with_form = args;
    with_form.made = made;
    out_.launches.back() = launch_of(operation, with_form);
    return true;
  };
  maker_ = Maker{out_.launches.size(), storage, set, leave};
  emit(operation, args);
}

LinearJob Lowering::job_of(const LinearSpec& spec, Address out, Element element) const {
  return {.weight = model_.weight(spec.weight),
          .gate = 0,
          .bias = numbers(spec.bias),
          .out = out,
          .out_element = element,
          .n = int32_of(spec.n)};
}

// Neighbours of one format are one launch; the input is brought into each form once.
void Lowering::multiply(const DeviceRows& x, std::span<const Job> jobs) {
  constexpr int64_t kMatrixRows = 32;  // k must be a multiple of this for the tensor cores
  const bool exact = model_.model().options().exact;
  std::optional<Activations> prepared;
  for (size_t i = 0; i < jobs.size();) {
    const bool is_matrix = x.rows > most_vec_tokens(jobs[i].format) && !exact && x.width % kMatrixRows == 0;
    const int32_t group = exact || x.rows > kMaxVecTokens ? 0 : group_of(jobs[i].format);
    const Form form = is_matrix ? Form::kF16Tiles : group > 0 ? Form::kInt8 : Form::kF32;
    if (!prepared || prepared->form != form || prepared->group != group) prepared = prepare(x, form, group);
    LinearArgs args{.x = *prepared, .format = jobs[i].format};
    if (is_matrix) args.parts = memory_.get(Use::kMatmulParts, 0, kMatmulPartsBytes);
    if (form == Form::kInt8 && x.rows > kFewTokens) args.parts = memory_.get(Use::kParts, 0, kMatvecPartsBytes);
    const bool has_gate = jobs[i].job.gate != 0;
    const auto fits = [&](const Job& job) { return job.format == args.format && (job.job.gate != 0) == has_gate; };
    std::vector<uint32_t> outputs;
    while (i < jobs.size() && args.n_jobs < kMaxJobs && fits(jobs[i])) {
      outputs.push_back(jobs[i].storage);
      args.jobs[args.n_jobs++] = jobs[i++].job;
    }
    if (is_matrix || !leaves_form(args)) {
      emit(is_matrix ? &Api::matmul : &Api::matvec, args);
    } else {
      args.outputs = memory_.get(Use::kOutputs, 0, uint64_t{4} * static_cast<uint64_t>(x.rows * args.jobs[0].n));
      emit_maker(&Api::matvec, args, outputs.back(), 1 - set_);
    }
    linear_outputs_ = std::move(outputs);
  }
}

Status Lowering::linear(const LinearStep& step) {
  const DeviceRows x = TRY(get(step.x()));
  std::vector<Job> jobs;
  for (const LinearStep::Job& job : step.jobs()) {
    const Element dtype = TRY(device_element(job.dtype));
    const Element element = job.promotes && x.element != dtype ? Element::kF32 : dtype;
    if (x.width != job.weight.k)
      return invalid_argument("linear: input rows of {} values, expected {}", x.width, job.weight.k);
    const DeviceRows out = TRY(set(job.out, x.rows, job.weight.n, element));
    const Format format = *format_of(*job.weight.format);
    if (!job.gate) {
      jobs.push_back({job_of(job.weight, out.address, element), format, out.storage});
      continue;
    }
    const Format gate_format = *format_of(*job.gate->format);
    const bool is_one_launch = format == gate_format && job.weight.bias.empty() && job.gate->bias.empty();
    if (is_one_launch) {
      jobs.push_back({job_of(job.weight, out.address, element), format, out.storage});
      jobs.back().job.gate = model_.weight(job.gate->weight);
      continue;
    }
    const auto n = static_cast<uint64_t>(x.rows * job.weight.n);
    const Address gate = memory_.get(Use::kGate, 0, 4 * n), up = memory_.get(Use::kUp, 0, 4 * n);
    const Job both[] = {{job_of(*job.gate, gate, Element::kF32), gate_format, out.storage},
                        {job_of(job.weight, up, Element::kF32), format, out.storage}};
    multiply(x, both);
    emit(&Api::geglu, GegluArgs{gate, up, out.address, Element::kF32, element, x.rows * job.weight.n});
  }
  if (!jobs.empty()) multiply(x, jobs);
  return {};
}

// ---- rows ----------------------------------------------------------------------------------------------------------

Status Lowering::check_norm(const NormSpec& norm, const DeviceRows& x) const {
  const bool fits = norm.weight.empty() ||
                    (element_of(norm.weight_dtype) == x.element && static_cast<int64_t>(norm.weight.size()) == x.width);
  if (fits) return {};
  return not_implemented("a norm of rows of {} values by a weight of {} {} has no CUDA kernel", x.width,
                         norm.weight.size(), name_of(norm.weight_dtype));
}

Status Lowering::norm(const NormStep& step) {
  const DeviceRows x = TRY(get(step.norm().x));
  TRY(check_norm(step.norm(), x));
  const DeviceRows out = TRY(set(step.out(), x.rows, x.width, x.element));
  const NormArgs args{.x = x.address,
                      .branch_weight = numbers(step.norm().weight),
                      .residual = 0,
                      .sum = out.address,
                      .next_weight = 0,
                      .next = 0,
                      .made = {},
                      .element = x.element,
                      .m = int32_of(x.rows),
                      .k = int32_of(x.width),
                      .branch_eps = step.norm().eps,
                      .next_eps = 0,
                      .scale = 1,
                      .residual_is_there = false};
  emit_maker(&Api::norm, args, out.storage);
  return {};
}

Status Lowering::residual(const ResidualStep& step) {
  const ResidualStep::Spec& spec = step.spec();
  const DeviceRows x = TRY(get(spec.branch.x)), residual = TRY(get(spec.residual));
  TRY(check_norm(spec.branch, x));
  if (spec.next) TRY(check_norm(*spec.next, x));
  if (x.rows != residual.rows || x.width != residual.width || x.element != residual.element)
    return not_implemented("a residual of another shape or dtype than its branch has no CUDA kernel");
  const DeviceRows sum = TRY(set(spec.sum, x.rows, x.width, x.element));
  const DeviceRows next = spec.next ? TRY(set(spec.next_out, x.rows, x.width, x.element)) : DeviceRows{};
  const bool is_there =
      linear_outputs_ && std::ranges::find(*linear_outputs_, residual.storage) == linear_outputs_->end();
  const NormArgs args{.x = x.address,
                      .branch_weight = numbers(spec.branch.weight),
                      .residual = residual.address,
                      .sum = sum.address,
                      .next_weight = spec.next ? numbers(spec.next->weight) : 0,
                      .next = next.address,
                      .made = {},
                      .element = x.element,
                      .m = int32_of(x.rows),
                      .k = int32_of(x.width),
                      .branch_eps = spec.branch.eps,
                      .next_eps = spec.next ? spec.next->eps : 0,
                      .scale = spec.scale.value_or(1.0f),
                      .residual_is_there = is_there};
  emit_maker(&Api::norm, args, spec.next ? next.storage : sum.storage);
  return {};
}

Status Lowering::soft_cap(const SoftCapStep& step) {
  const DeviceRows x = TRY(get(step.x()));
  const DeviceRows out = TRY(set(step.out(), x.rows, x.width, Element::kF32));
  emit(&Api::soft_cap, SoftCapArgs{x.address, out.address, x.element, x.rows * x.width, step.cap()});
  return {};
}

// ---- attention -----------------------------------------------------------------------------------------------------

Result<Address> Lowering::cache(Tid tid, const AttentionStep::Spec& spec) {
  const uint64_t n = static_cast<uint64_t>(spec.hint.n_kv_heads) * static_cast<uint64_t>(spec.n_slots) *
                     static_cast<uint64_t>(spec.hint.head_dim);
  return memory_.get(Use::kCache, tid.idx, n * size_of_element(TRY(device_element(spec.kv_dtype))));
}

// Of all layers that turn alike. At the start of the step: attention may read it before the launch before has ended.
void Lowering::rotation(const AttentionStep::Spec& spec, Address& cos, Address& sin) {
  const auto index = static_cast<uint32_t>(spec.rope_index);
  const uint64_t bytes = static_cast<uint64_t>(n_tokens_ * spec.hint.head_dim / 2) * 4;
  cos = memory_.get(Use::kCos, index, bytes);
  sin = memory_.get(Use::kSin, index, bytes);
  if (has_rotation_.size() <= index) has_rotation_.resize(index + 1);
  if (has_rotation_[index]) return;
  has_rotation_[index] = true;
  const RopeTableArgs args{numbers(spec.rope.periods), position_, cos, sin, int32_of(n_tokens_),
                           spec.hint.head_dim / 2};
  first_.push_back(launch_of(&Api::rope_table, args));
}

// Pieces of the keys: as many as fill the card, of some 64 keys at least.
int64_t Lowering::pieces(const program::AttentionHint& hint, int64_t n_slots) const {
  const int64_t rows = n_tokens_ * (hint.n_heads / hint.n_kv_heads),
                of_block = attention_block_rows(rows, hint.head_dim);
  const int64_t blocks = hint.n_kv_heads * ((rows + of_block - 1) / of_block);
  const int64_t longest = hint.window > 0 ? std::min<int64_t>(hint.window, n_slots) : n_slots;
  const int64_t most = std::clamp<int64_t>(longest / kLeastKeys, 1, kMostPieces);
  return std::clamp<int64_t>(model_.gpu().info().n_multiprocessors / blocks, 1, most);
}

Status Lowering::attention(const AttentionStep& step) {
  const AttentionStep::Spec& spec = step.spec();
  const program::AttentionHint& hint = spec.hint;
  const DeviceRows q = TRY(get(hint.q));
  const DeviceRows k = hint.k ? TRY(get(*hint.k)) : DeviceRows{}, v = hint.v ? TRY(get(*hint.v)) : DeviceRows{};
  const int64_t n_q = int64_t{hint.n_heads} * hint.head_dim, n_kv = int64_t{hint.n_kv_heads} * hint.head_dim;
  const auto is_of_heads = [&](const DeviceRows& x, int64_t width) {
    return x.rows == n_tokens_ && x.width == width && x.element == q.element;
  };
  const bool fits = is_of_heads(q, n_q) && (!hint.k || (is_of_heads(k, n_kv) && is_of_heads(v, n_kv)));
  if (!fits) return invalid_argument("attention: q, k and v do not have the shapes of their heads");
  const int64_t n_splits = pieces(hint, spec.n_slots);
  // For any number of tokens: several pieces only as long as their blocks fit the card. Exact attention, which a card
  // with little shared memory falls back to, joins single pieces, too.
  const int64_t n_joined = attention_block_rows(kDecodeRows + 1, hint.head_dim) * model_.gpu().info().n_multiprocessors;
  const bool is_flash =
      spec.kv_dtype != DType::kF32 && hint.head_dim % 8 == 0 && model_.gpu().info().shared_bytes >= kFlashSharedBytes;
  const int64_t n_exact = is_flash ? 0 : n_tokens_ * hint.n_heads;
  const uint64_t partial_bytes = attention_partial_bytes(std::max(n_joined, n_exact), 1, hint.head_dim);
  const uint64_t counter_bytes = static_cast<uint64_t>(hint.n_kv_heads) * kAttentionCounters * sizeof(uint32_t);
  const DeviceRows out = TRY(set(hint.out, q.rows, q.width, q.element));
  AttentionArgs args{.q = q.address,
                     .k = k.address,
                     .v = v.address,
                     .q_norm = numbers(spec.q_norm),
                     .k_norm = numbers(spec.k_norm),
                     .position = position_,
                     .k_cache = TRY(cache(hint.k_cache, spec)),
                     .v_cache = TRY(cache(hint.v_cache, spec)),
                     .queries = memory_.get(Use::kQueries, 0, static_cast<uint64_t>(n_tokens_ * n_q) * 4),
                     .partial = memory_.get(Use::kPartial, 0, partial_bytes),
                     .counters = memory_.get(Use::kArrivals, 0, counter_bytes),
                     .out = out.address,
                     .element = q.element,
                     .kv_element = TRY(device_element(spec.kv_dtype)),
                     .out_element = out.element,
                     .m = int32_of(n_tokens_),
                     .n_heads = hint.n_heads,
                     .n_kv_heads = hint.n_kv_heads,
                     .head_dim = hint.head_dim,
                     .n_slots = int32_of(spec.n_slots),
                     .window = hint.window,
                     .n_splits = int32_of(n_splits),
                     .eps = hint.eps,
                     .scale = hint.scale,
                     .made = {}};
  rotation(spec, args.cos, args.sin);
  emit_maker(&Api::attention, args, out.storage);
  return {};
}

Result<DeviceStep> Lowering::run() {
  for (const StepPtr& step : model_.model().plan().steps()) {
    kind_ = step->kind();
    TRY(step->accept(*this));
  }
  out_.launches.insert(out_.launches.begin(), first_.begin(), first_.end());
  out_.kinds.insert(out_.kinds.begin(), first_.size(), "rotation");
  kind_ = kPositionKind;
  emit(&Api::advance, AdvanceArgs{position_, int32_of(n_tokens_)});
  out_.logits = TRY(get(Tid{model_.model().program().output_map[0].idx}));
  if (out_.logits.element != Element::kF32 || out_.logits.width != model_.model().vocab_size())
    return not_implemented("logits that are not f32 rows of the vocabulary");
  if (model_.model().options().all_logits && out_.logits.rows != n_tokens_)
    return not_implemented("logits of {} of a step's {} tokens where those of all are wanted", out_.logits.rows,
                           n_tokens_);
  return std::move(out_);
}

}  // namespace

Result<DeviceStep> lower(const DeviceModel& model, SessionMemory& memory, int64_t n_tokens) {
  return Lowering(model, memory, n_tokens).run();
}

}  // namespace tessera::runtime
