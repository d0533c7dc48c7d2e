// Sampling options of `run` and `chat`: the user's choice, else the model's suggestion, else a default.
#pragma once

#include <CLI/CLI.hpp>

#include <optional>

#include "cli/model_file.h"
#include "generate/sampler.h"

namespace tessera::cli {

struct SamplingFlags {
  std::optional<float> temperature, top_p, min_p, repetition_penalty;
  std::optional<int32_t> top_k;
  std::optional<uint64_t> seed;

  void add_to(CLI::App& command) {
    command.add_option("--temperature", temperature, "0: always the likeliest token; default: the model's, or 1");
    command.add_option("--top-k", top_k, "Keep the k likeliest tokens; 0: all");
    command.add_option("--top-p", top_p, "Keep the likeliest tokens that make up this probability");
    command.add_option("--min-p", min_p, "Keep tokens with this share of the likeliest one's probability");
    command.add_option("--repetition-penalty", repetition_penalty, "Above 1: make the last 64 tokens less likely");
    command.add_option("--seed", seed, "Same seed, same text; default: from the clock");
  }

  // A program that samples inside cannot follow all of the model's suggestions: those it cannot are left out with a
  // warning. What the user asked for stays, and fails there.
  generate::SamplingOptions resolve(const LoadedModel& loaded) const;
};

}  // namespace tessera::cli
