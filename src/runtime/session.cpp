#include "runtime/session.h"

#include <cstdio>
#include <cstring>

#include "runtime/execute.h"

namespace tessera::runtime {
namespace {

// Bytes the system could hand out without swapping, or nothing where it does not say.
std::optional<int64_t> available_memory() {
  std::FILE* file = std::fopen("/proc/meminfo", "r");
  if (!file) return std::nullopt;
  char line[256];
  long long kib = -1;
  while (std::fgets(line, sizeof(line), file))
    if (std::sscanf(line, "MemAvailable: %lld kB", &kib) == 1) break;
  std::fclose(file);
  if (kib < 0) return std::nullopt;
  return int64_t{kib} * 1024;
}

template <typename T>
Result<ops::Tensor> scalar(DType dtype, T value) {
  ops::Tensor out = TRY(ops::Tensor::allocate(dtype, {}));
  *out.as<T>() = value;
  return out;
}

Status add_sampler_inputs(const TokenSampling& sampling, std::vector<Argument>& inputs) {
  inputs.emplace_back(TRY(scalar(DType::kF32, sampling.temperature)));
  inputs.emplace_back(TRY(scalar(DType::kI64, sampling.top_k)));
  inputs.emplace_back(TRY(scalar(DType::kF32, sampling.top_p)));
  inputs.emplace_back(TRY(scalar(DType::kI64, sampling.seed)));
  return {};
}

}  // namespace

Result<std::unique_ptr<Session>> Session::create(std::shared_ptr<const Model> model) {
  const auto available = available_memory();
  if (available && model->cache_bytes() > *available) {
    return make_error(ErrorCode::kOutOfMemory,
                      "caches for a context of {} tokens need {:.1f} MB, {:.1f} MB are available",
                      model->context_length(), static_cast<double>(model->cache_bytes()) / 1e6,
                      static_cast<double>(*available) / 1e6);
  }
  Slots slots = model->bound_slots();
  TRY(slots.allocate_mutable_buffers(model->program()));
  std::unique_ptr<Session> session(new Session(std::move(model), std::move(slots)));
  if (const auto& config = session->model_->cache_config()) session->cache_ = TRY(OffGraphCache::create(*config));
  return session;
}

Status Session::run_chunk(std::span<const int32_t> tokens, const TokenSampling* sampling) {
  const auto n = static_cast<int64_t>(tokens.size());
  ops::Tensor ids = TRY(ops::Tensor::allocate(DType::kI64, {1, n}));
  ops::Tensor positions = TRY(ops::Tensor::allocate(DType::kI64, {n}));
  for (int64_t i = 0; i < n; ++i) {
    ids.as<int64_t>()[i] = tokens[static_cast<size_t>(i)];
    positions.as<int64_t>()[i] = position_ + i;
  }
  slots_.clear();
  std::vector<Argument> inputs = {std::move(ids), std::move(positions)};
  if (sampling) TRY(add_sampler_inputs(*sampling, inputs));
  TRY(set_inputs(model_->program(), inputs, slots_));
  ExecutionContext execution{
      .program = model_->program(), .slots = slots_, .pool = &model_->pool(), .cache = cache_ ? &*cache_ : nullptr};
  StepContext context{.execution = execution,
                      .workspace = workspace_,
                      .pool = model_->pool(),
                      .isa = model_->isa(),
                      .floats = kernels::cpu::float_kernels(model_->isa()),
                      .exact = model_->options().exact};
  if (profile_) return model_->plan().run_timed(context, *profile_);
  return model_->plan().run(context);
}

// Some programs give the logits of every token although only the last one's are asked for.
Status Session::keep_logits(const ops::Tensor& result, int64_t n_tokens) {
  const bool all = model_->options().all_logits;
  const int64_t vocab = model_->vocab_size(), rows = all ? n_tokens : 1, found = result.n_elements();
  if (result.dtype != DType::kF32 || (found != rows * vocab && found != n_tokens * vocab)) {
    return invalid_format("the program's output is {} {}, expected f32 logits [{}, {}]", name_of(result.dtype),
                          to_string(result.shape), rows, vocab);
  }
  if (!all) logits_.clear();
  const float* end = result.as<float>() + found;
  logits_.insert(logits_.end(), end - rows * vocab, end);
  return {};
}

Status Session::keep_token() {
  const auto outputs = TRY(get_outputs(model_->program(), slots_));
  const auto& result = std::get<ops::Tensor>(outputs[0]);
  const int64_t token = result.n_elements() == 1 ? *result.as<int64_t>() : -1;
  if (token < 0 || token >= model_->vocab_size())
    return invalid_format("the program's output is {} {}, expected one token below {}", name_of(result.dtype),
                          to_string(result.shape), model_->vocab_size());
  token_ = static_cast<int32_t>(token);
  return {};
}

Status Session::advance(std::span<const int32_t> tokens, const TokenSampling* sampling) {
  if (failed_) return invalid_argument("the session failed in an earlier step; reset it first");
  TRY(model_->check_tokens(tokens, position_));
  constexpr TokenSampling kGreedy;  // what a chunk before the last gives is not looked at
  std::lock_guard lock(model_->step_mutex());
  logits_.clear();
  failed_ = true;  // until the whole step went through
  while (!tokens.empty()) {
    const auto chunk = tokens.subspan(0, std::min(tokens.size(), static_cast<size_t>(model_->max_tokens_per_step())));
    const bool is_last = chunk.size() == tokens.size();
    TRY(run_chunk(chunk, sampling && !is_last ? &kGreedy : sampling));
    if (sampling) {
      TRY(keep_token());
    } else {
      const program::Tid out{model_->program().output_map[0].idx};
      const ops::Tensor logits = TRY(slots_.get(out));
      TRY(keep_logits(logits, static_cast<int64_t>(chunk.size())));
    }
    slots_.clear();
    position_ += static_cast<int64_t>(chunk.size());
    tokens = tokens.subspan(chunk.size());
  }
  failed_ = false;
  return {};
}

Result<std::span<const float>> Session::step(std::span<const int32_t> tokens) {
  if (model_->samples()) return not_implemented("logits: the program samples inside, it gives tokens only");
  TRY(advance(tokens, nullptr));
  return std::span<const float>(logits_);
}

Result<int32_t> Session::sample(std::span<const int32_t> tokens, const TokenSampling& sampling) {
  if (!model_->samples()) return invalid_argument("the program gives logits, it does not sample");
  TRY(advance(tokens, &sampling));
  return token_;
}

}  // namespace tessera::runtime
