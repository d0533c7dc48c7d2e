#include "runtime/model.h"

#include <algorithm>

#include "runtime/cache_geometry.h"
#include "runtime/plan_builder.h"
#include "runtime/steps/attention_step.h"
#include "runtime/steps/linear_step.h"

namespace tessera::runtime {

Result<std::shared_ptr<const Model>> Model::create(program::Program program, const ModelOptions& options) {
  TRY(program::verify(program));
  TRY(program::materialize(program));
  std::shared_ptr<Model> model(new Model(std::move(program), options));
  TRY(model->check_interface());
  model->pool_ = std::make_unique<ThreadPool>(options.n_threads);
  model->isa_ = kernels::cpu::best_isa();
  TRY(model->bind());
  const PlanOptions plan{.all_logits = options.all_logits, .disabled_fusions = options.disabled_fusions};
  model->plan_ = TRY(Plan::create(model->program_, model->slots_, plan));
  model->count_work();
  return std::shared_ptr<const Model>(std::move(model));
}

// Logits, or of a program that samples a token; the size of the vocabulary.
Status Model::check_outputs() {
  const auto& p = program_;
  const auto is_input = [&](size_t i, DType dtype, size_t rank) {
    return i < p.inputs.size() && p.inputs[i].dtype == dtype && p.inputs[i].sizes.size() == rank;
  };
  const bool tokens = is_input(0, DType::kI64, 2) && is_input(1, DType::kI64, 1) && p.outputs.size() == 1;
  const bool sampler = p.inputs.size() == 6 && is_input(2, DType::kF32, 0) && is_input(3, DType::kI64, 0) &&
                       is_input(4, DType::kF32, 0) && is_input(5, DType::kI64, 0);
  if (tokens && p.inputs.size() == 2 && p.outputs[0].dtype == DType::kF32 && !p.outputs[0].sizes.empty()) {
    vocab_size_ = p.outputs[0].sizes.back();
    if (vocab_size_ <= 0) return invalid_format("method {} gives logits of {} tokens", p.method, vocab_size_);
    return {};
  }
  if (!tokens || !sampler || p.outputs[0].dtype != DType::kI64 || p.outputs[0].sizes != decltype(p.outputs[0].sizes){1})
    return not_implemented(
        "method {}: {} inputs and {} outputs; a language model takes tokens i64 (1, T) and positions i64 (T) and gives "
        "logits f32 (1, vocabulary), or takes also temperature f32, top_k i64, top_p f32 and seed i64 and gives a "
        "token i64 (1)",
        p.method, p.inputs.size(), p.outputs.size());
  samples_ = true;
  vocab_size_ = p.int_constant("get_vocab_size").value_or(0);
  if (vocab_size_ <= 0) return invalid_format("method {} samples; get_vocab_size is missing or not positive", p.method);
  if (options_.all_logits) return not_implemented("method {} samples: it gives tokens, no logits", p.method);
  return {};
}

Status Model::check_interface() {
  TRY(check_outputs());
  const auto& p = program_;
  max_tokens_per_step_ = p.inputs[0].dynamic || p.inputs[0].sizes[1] > 0 ? p.inputs[0].sizes[1] : 1;
  max_tokens_per_step_ = std::max<int64_t>(
      1, std::min(max_tokens_per_step_, p.int_constant("get_max_prefill_chunk").value_or(max_tokens_per_step_)));
  if (options_.max_chunk > 0) max_tokens_per_step_ = std::min(max_tokens_per_step_, options_.max_chunk);
  for (const char* method : {"get_max_context_len", "get_max_seq_len", "get_max_ctx_len"})
    if (context_length_ <= 0) context_length_ = p.int_constant(method).value_or(0);
  if (context_length_ <= 0) return invalid_format("method {}: get_max_seq_len is missing or not positive", p.method);
  if (needs_off_graph_cache(p)) {
    cache_config_ = TRY(runtime::cache_config(p, context_length_, DType::kBF16));
    if (cache_config_->max_write) max_tokens_per_step_ = std::min(max_tokens_per_step_, *cache_config_->max_write);
  }
  for (const program::Slot& slot : p.mutable_map) {
    const program::TensorMeta& meta = p.tensor_meta[slot.idx];
    int64_t bytes = static_cast<int64_t>(size_of(meta.dtype));
    for (const program::ShapeDim& dim : meta.shape) bytes *= dim.value;
    cache_bytes_ += bytes;
  }
  return {};
}

Status Model::check_tokens(std::span<const int32_t> tokens, int64_t position) const {
  if (tokens.empty()) return invalid_argument("a step needs at least one token");
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] < 0 || tokens[i] >= vocab_size_)
      return make_error(ErrorCode::kOutOfRange, "token {} is {}, the vocabulary has 0..{}", i, tokens[i],
                        vocab_size_ - 1);
  }
  if (std::ssize(tokens) > context_length_ - position)
    return make_error(ErrorCode::kOutOfRange, "{} tokens at position {} exceed the context of {}", tokens.size(),
                      position, context_length_);
  return {};
}

Status Model::bind() {
  TRY(slots_.bind_constants(program_));
  if (program_.init_chain < 0) return {};
  ExecutionContext context{.program = program_, .slots = slots_, .pool = pool_.get(), .init_chain = true};
  TRY(execute_chain(static_cast<uint32_t>(program_.init_chain), context));
  slots_.clear();
  return {};
}

void Model::count_work() {
  const auto arithmetic = options_.exact ? kernels::cpu::Arithmetic::kExact : kernels::cpu::Arithmetic::kInt8;
  for (const StepPtr& step : plan_.steps()) {
    const auto* linear = dynamic_cast<const LinearWork*>(step.get());
    if (!linear) continue;
    weight_bytes_per_token_ += linear->weight_bytes();
    if (!linear->last_token_only()) ops_per_token_ += linear->ops_per_token(arithmetic);
  }
}

int64_t Model::cache_bytes_read(int64_t position) const {
  int64_t bytes = 0;
  for (const StepPtr& step : plan_.steps())
    if (const auto* work = dynamic_cast<const CacheWork*>(step.get())) bytes += work->cache_bytes(position);
  return bytes;
}

}  // namespace tessera::runtime
