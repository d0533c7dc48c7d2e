// Work on rows that needs some memory of the thread that does it.
#pragma once

#include <algorithm>
#include <atomic>

#include "runtime/step.h"

namespace tessera::runtime {

// f(row index, scratch of `n_floats` floats) over all rows, `rows_of_task` at a time, on all threads when there is
// enough to do.
template <typename F>
void for_each_row(StepContext& context, int64_t n_rows, int64_t rows_of_task, int64_t n_floats, F&& f) {
  auto& rows = context.workspace.rows;
  rows.resize(static_cast<size_t>(context.pool.size()));
  const auto scratch_of = [&](int thread) {
    return rows[static_cast<size_t>(thread)].template reserve<float>(n_floats);
  };
  if (n_rows < 2 * rows_of_task || context.pool.size() == 1) {
    float* mine = scratch_of(0);
    for (int64_t i = 0; i < n_rows; ++i) f(i, mine);
    return;
  }
  std::atomic<int64_t> next{0};
  context.pool.run([&](int thread) {
    float* mine = scratch_of(thread);
    for (int64_t begin; (begin = next.fetch_add(rows_of_task, std::memory_order_relaxed)) < n_rows;)
      for (int64_t i = begin; i < std::min(begin + rows_of_task, n_rows); ++i) f(i, mine);
  });
}

}  // namespace tessera::runtime
