#include "quant/group_merge.h"

#include <cstddef>

namespace tessera::quant {
namespace {

// Whether every run of `factor` neighbours is equal. Rows hold a multiple of `factor` groups, so no run crosses rows.
bool runs_are_equal(const std::vector<float>& values, size_t factor) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] != values[i / factor * factor]) return false;
  }
  return true;
}

}  // namespace

int max_merge_factor(int64_t n_groups, int group_size, int max_group_size) {
  int factor = 1;
  while (2 * factor * int64_t{group_size} <= max_group_size && n_groups % (2 * factor) == 0) factor *= 2;
  return factor;
}

int mergeable_factor(const GroupParams& params, int max_factor) {
  int factor = max_factor;
  for (; factor > 1; factor /= 2) {
    const auto run = static_cast<size_t>(factor);
    if (runs_are_equal(params.scales, run) && runs_are_equal(params.mins, run)) break;
  }
  return factor;
}

std::vector<float> first_of_runs(const std::vector<float>& values, int factor) {
  const auto run = static_cast<size_t>(factor);
  std::vector<float> out(values.size() / run);
  for (size_t i = 0; i < out.size(); ++i) out[i] = values[i * run];
  return out;
}

GroupParams merge_groups(GroupParams params, int max_group_size) {
  const int factor = mergeable_factor(params, max_merge_factor(params.n_groups, params.group_size, max_group_size));
  if (factor == 1) return params;
  params.scales = first_of_runs(params.scales, factor);
  params.mins = first_of_runs(params.mins, factor);
  params.n_groups /= factor;
  params.group_size *= factor;
  return params;
}

}  // namespace tessera::quant
