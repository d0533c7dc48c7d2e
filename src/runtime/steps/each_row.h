// Work on rows that needs some memory of the thread that does it.
#pragma once

#include "runtime/step.h"

namespace tessera::runtime {

// f(row index, scratch of `n_floats` floats) over all rows, `rows_of_task` at a time, on all threads when there is
// enough to do.
template <typename F>
void for_each_row(StepContext& context, int64_t n_rows, int64_t rows_of_task, int64_t n_floats, F&& f) {
  auto& scratch = context.workspace.rows;
  scratch.resize(static_cast<size_t>(context.pool.size()));
  const int64_t grain = n_rows < 2 * rows_of_task ? n_rows : rows_of_task;
  context.pool.parallel_for_by_thread(n_rows, grain, [&](int thread, int64_t begin, int64_t end) {
    float* mine = scratch[static_cast<size_t>(thread)].template reserve<float>(n_floats);
    for (int64_t i = begin; i < end; ++i) f(i, mine);
  });
}

}  // namespace tessera::runtime
