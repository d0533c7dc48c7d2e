#include "cli/progress.h"

#include <fmt/core.h>
#include <unistd.h>

#include <cstdio>

namespace tessera::cli {

ProgressLine::ProgressLine(std::string title, Unit unit)
    : title_(std::move(title)),
      unit_(unit),
      is_terminal_(::isatty(STDERR_FILENO) != 0),
      start_(std::chrono::steady_clock::now()) {}

ProgressLine::~ProgressLine() {
  if (shown_) fmt::print(stderr, "\r\033[K");
}

compile::Progress ProgressLine::callback() {
  return [this](uint64_t done, uint64_t total) { show(done, total); };
}

std::string ProgressLine::amount(uint64_t done, uint64_t total, double seconds) const {
  const double rate = seconds > 0 ? static_cast<double>(done) / seconds : 0.0;
  if (unit_ == Unit::kTokens) return fmt::format("{} of {} tokens  {:.0f} tok/s", done, total, rate);
  return fmt::format("{:.2f} of {:.2f} GB  {:.0f} MB/s", static_cast<double>(done) / 1e9,
                     static_cast<double>(total) / 1e9, rate / 1e6);
}

void ProgressLine::show(uint64_t done, uint64_t total) {
  const auto now = std::chrono::steady_clock::now();
  if (!is_terminal_ || total == 0 || now - last_ < std::chrono::milliseconds(100)) return;
  last_ = now;
  shown_ = true;
  const double seconds = std::chrono::duration<double>(now - start_).count();
  const double fraction = static_cast<double>(done) / static_cast<double>(total);
  constexpr int kWidth = 30;
  const int filled = static_cast<int>(fraction * kWidth);
  fmt::print(stderr, "\r\033[K{} [{}{}] {:3.0f} %  {}", title_, std::string(static_cast<size_t>(filled), '#'),
             std::string(static_cast<size_t>(kWidth - filled), '.'), 100 * fraction, amount(done, total, seconds));
  std::fflush(stderr);
}

}  // namespace tessera::cli
