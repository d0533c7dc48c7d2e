#include "cli/sampling_flags.h"

#include <fmt/format.h>

#include <chrono>

#include "cli/command.h"

namespace tessera::cli {
namespace {

text::SamplingDefaults suggestions(const LoadedModel& loaded) {
  text::SamplingDefaults out = loaded.tokenizer->vocabulary().sampling;
  if (!loaded.model->samples()) return out;
  const auto drop = [](std::optional<float>& suggested, float neutral, std::string_view what) {
    if (suggested && *suggested != neutral)
      warn({fmt::format("the model suggests a {} of {}, which this program cannot apply: it samples inside", what,
                        *suggested)});
    suggested.reset();
  };
  drop(out.min_p, 0, "min-p");
  drop(out.repetition_penalty, 1, "repetition penalty");
  return out;
}

}  // namespace

generate::SamplingOptions SamplingFlags::resolve(const LoadedModel& loaded) const {
  const text::SamplingDefaults model = suggestions(loaded);
  generate::SamplingOptions out;
  const auto pick = [](const auto& flag, const auto& suggested, auto fallback) {
    return flag ? *flag : suggested ? *suggested : fallback;
  };
  out.temperature = pick(temperature, model.temperature, 1.0f);
  out.top_k = pick(top_k, model.top_k, 64);
  out.top_p = pick(top_p, model.top_p, 0.95f);
  out.min_p = pick(min_p, model.min_p, 0.0f);
  out.repetition_penalty = pick(repetition_penalty, model.repetition_penalty, 1.0f);
  out.seed = seed ? *seed : static_cast<uint64_t>(std::chrono::system_clock::now().time_since_epoch().count());
  need(generate::check(out));
  return out;
}

}  // namespace tessera::cli
