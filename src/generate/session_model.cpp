#include "generate/session_model.h"

namespace tessera::generate {
namespace {

Result<runtime::TokenSampling> for_program(const SamplingOptions& options, uint64_t n_draws) {
  if (options.min_p != 0)
    return not_implemented("min-p {}: the program samples inside, by temperature, top-k and top-p; set it to 0",
                           options.min_p);
  if (options.repetition_penalty != 1)
    return not_implemented(
        "a repetition penalty of {}: the program samples inside, by temperature, top-k and top-p; set it to 1",
        options.repetition_penalty);
  runtime::TokenSampling out{
      .temperature = options.temperature, .top_p = options.top_p, .seed = static_cast<int64_t>(options.seed + n_draws)};
  if (options.top_k > 0) out.top_k = options.top_k;
  return out;
}

runtime::TokenRules rules_of(Sampler& sampler) {
  const SamplingOptions& options = sampler.options();
  return {.temperature = options.temperature,
          .top_k = options.top_k,
          .top_p = options.top_p,
          .min_p = options.min_p,
          .repetition_penalty = options.repetition_penalty,
          .repetition_window = options.repetition_window,
          .seed = options.seed,
          .n_draws = options.temperature == 0 ? 0 : sampler.count_draw(),
          .suppressed = sampler.suppressed(),
          .history = sampler.history()};
}

}  // namespace

Result<int32_t> SessionModel::next(std::span<const int32_t> tokens, Sampler& sampler) {
  if (session_->draws()) return session_->draw(tokens, rules_of(sampler));
  if (!session_->model().samples()) return TokenModel::next(tokens, sampler);
  return session_->sample(tokens, TRY(for_program(sampler.options(), sampler.count_draw())));
}

}  // namespace tessera::generate
