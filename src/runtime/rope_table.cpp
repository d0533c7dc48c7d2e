#include "runtime/rope_table.h"

#include <cmath>

namespace tessera::runtime {

RopeSpec rope_spec(double base, int64_t head_dim) {
  RopeSpec spec;
  for (int64_t i = 0; i < head_dim / 2; ++i)
    spec.periods.push_back(std::pow(base, 2.0 * static_cast<double>(i) / static_cast<double>(head_dim)));
  return spec;
}

void RopeTable::prepare(const RopeSpec& spec, int64_t start, int64_t n) {
  if (start == start_ && n == n_) return;
  start_ = start;
  n_ = n;
  half_ = static_cast<int64_t>(spec.periods.size());
  cos_.resize(static_cast<size_t>(n * half_));
  sin_.resize(static_cast<size_t>(n * half_));
  for (int64_t i = 0; i < half_; ++i) {
    for (int64_t t = 0; t < n; ++t) {
      const double angle = static_cast<double>(start + t) / spec.periods[static_cast<size_t>(i)];
      cos_[static_cast<size_t>(t * half_ + i)] = static_cast<float>(std::cos(angle));
      sin_[static_cast<size_t>(t * half_ + i)] = static_cast<float>(std::sin(angle));
    }
  }
}

}  // namespace tessera::runtime
