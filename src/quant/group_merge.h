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

// Groups of at most max_group_size values; unchanged where nothing can be joined.
GroupParams merge_groups(GroupParams params, int max_group_size);

}  // namespace tessera::quant
