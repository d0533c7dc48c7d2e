// Joining neighbouring groups that share their parameters, without loss: weights quantized per 32 or 16 values often
// carry one scale per 64 or 128, and kernels for larger groups are faster.
//
// The rule is ExecuTorch's (extension/llm/export/gguf.py): of the powers of two that the cap and the number of groups
// allow, the largest for which every run of groups in every row of the tensor agrees exactly. One deviating row keeps
// the whole tensor at the smaller size.
#pragma once

#include <cstdint>
#include <vector>

namespace tessera::quant {

// value = scale * code - min, a pair for each run of group_size values.
struct GroupParams {
  int64_t n_rows = 0, n_groups = 0;  // n_groups of a row
  int group_size = 0;
  std::vector<float> scales, mins;  // (n_rows, n_groups); mins may be all zero, then they never differ
};

// The largest power of two up to `max_factor` for which every run of so many groups agrees in the rows given. A tensor
// too large to hold is asked piece by piece, each with the answer of the one before.
int mergeable_factor(const GroupParams& params, int max_factor);
// The factor that the sizes alone allow.
int max_merge_factor(int64_t n_groups, int group_size, int max_group_size);
// The first of each run of `factor` values.
std::vector<float> first_of_runs(const std::vector<float>& values, int factor);

// Groups of at most max_group_size values; unchanged where nothing can be joined.
GroupParams merge_groups(GroupParams params, int max_group_size);

}  // namespace tessera::quant
