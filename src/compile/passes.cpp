#include "compile/passes.h"

#include <algorithm>

#include "graph/passes/passes.h"

namespace tessera::compile {
namespace {

constexpr Pass kPasses[] = {
    // Compute the head for the last token alone.
    {"keep_last_token", graph::keep_last_token, true},
    // Merge chained scales, drop those by one.
    {"fold_scales", graph::fold_scales},
    // Compute equal things once.
    {"common_subexpressions", graph::common_subexpressions},
    // Remove nodes, weights and caches that nothing reads.
    {"dead_code", graph::dead_code},
};

Status check_names(std::span<const std::string> disabled) {
  for (const std::string& name : disabled) {
    const auto* pass =
        std::find_if(std::begin(kPasses), std::end(kPasses), [&](const Pass& p) { return p.name == name; });
    if (pass == std::end(kPasses)) return invalid_argument("there is no pass '{}'", name);
    if (pass->required) return invalid_argument("pass '{}' cannot be disabled", name);
  }
  return {};
}

}  // namespace

std::span<const Pass> all_passes() { return kPasses; }

Result<std::vector<PassReport>> run_passes(graph::Graph& graph, std::span<const std::string> disabled) {
  using Clock = std::chrono::steady_clock;
  TRY(check_names(disabled));
  std::vector<PassReport> reports;
  for (const Pass& pass : kPasses) {
    if (std::find(disabled.begin(), disabled.end(), pass.name) != disabled.end()) continue;
    const auto begin = Clock::now();
    const int changes = pass.run(graph);
    const auto time = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begin);
    reports.push_back({pass.name, changes, time});
    if (auto status = graph::verify(graph); !status) return status.error().in(fmt::format("after pass {}", pass.name));
  }
  return reports;
}

}  // namespace tessera::compile
