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

void keep_first_of_runs(std::vector<float>& values, size_t factor) {
  for (size_t i = 0; i < values.size() / factor; ++i) values[i] = values[i * factor];
  values.resize(values.size() / factor);
}

}  // namespace

GroupParams merge_groups(GroupParams params, int max_group_size) {
  int factor = 1;
  while (2 * factor * int64_t{params.group_size} <= max_group_size && params.n_groups % (2 * factor) == 0) factor *= 2;
  for (; factor > 1; factor /= 2) {
    const auto run = static_cast<size_t>(factor);
    if (!runs_are_equal(params.scales, run) || !runs_are_equal(params.mins, run)) continue;
    keep_first_of_runs(params.scales, run);
    keep_first_of_runs(params.mins, run);
    params.n_groups /= factor;
    params.group_size *= factor;
    break;
  }
  return params;
}

}  // namespace tessera::quant
