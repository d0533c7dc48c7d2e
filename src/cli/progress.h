// A progress line on stderr for work of many bytes, when a terminal listens; silent otherwise.
#pragma once

#include <chrono>
#include <string>

#include "compile/progress.h"

namespace tessera::cli {

class ProgressLine {
 public:
  explicit ProgressLine(std::string title);
  ~ProgressLine();  // clears the line
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  compile::Progress callback();  // valid while this lives

 private:
  void show(uint64_t done, uint64_t total);
  std::string title_;
  bool is_terminal_;
  bool shown_ = false;
  std::chrono::steady_clock::time_point start_, last_;
};

}  // namespace tessera::cli
