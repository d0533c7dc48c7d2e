// A progress line on stderr for work of many bytes or tokens, when a terminal listens; silent otherwise.
#pragma once

#include <chrono>
#include <string>

#include "compile/progress.h"

namespace tessera::cli {

class ProgressLine {
 public:
  enum class Unit { kBytes, kTokens };
  explicit ProgressLine(std::string title, Unit unit = Unit::kBytes);
  ~ProgressLine();  // clears the line
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  compile::Progress callback();  // valid while this lives

 private:
  void show(uint64_t done, uint64_t total);
  std::string amount(uint64_t done, uint64_t total, double seconds) const;
  std::string title_;
  Unit unit_;
  bool is_terminal_;
  bool shown_ = false;
  std::chrono::steady_clock::time_point start_, last_;
};

}  // namespace tessera::cli
