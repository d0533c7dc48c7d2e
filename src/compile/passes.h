// Which passes run over a model's graph, in which order: the table in passes.cpp. Each has a name, can be switched off,
// is timed, and is followed by a check of the graph.
#pragma once

#include <chrono>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "graph/graph.h"

namespace tessera::compile {

struct Pass {
  std::string_view name;
  int (*run)(graph::Graph&);
  bool required = false;  // later stages rely on it: it cannot be switched off
};

std::span<const Pass> all_passes();

struct PassReport {
  std::string_view name;
  int changes = 0;
  std::chrono::microseconds time{0};
};

// Runs all passes but those named in `disabled`. Errors: kInvalidArgument for a name that is no pass or a required one;
// kInternal when a pass leaves a malformed graph (a bug).
Result<std::vector<PassReport>> run_passes(graph::Graph& graph, std::span<const std::string> disabled = {});

}  // namespace tessera::compile
