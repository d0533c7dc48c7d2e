// What the CUDA benchmarks share: the first GPU or a word why there is none, giving up with a message, and times of
// recorded launches.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "kernels/cuda/gpu.h"
#include "kernels/cuda/library.h"

namespace tessera::kernels::cuda {

constexpr uint64_t kRotatedBytes = uint64_t{192} << 20;  // three times the 60 MB of an H200
constexpr int kRepeats = 7;

template <typename T>
T need(Result<T> result) {
  if (!result) {
    fmt::print(stderr, "benchmark: {}\n", result.error().message);
    std::exit(1);
  }
  return std::move(result).value();
}
inline void need(const Status& status) {
  if (status) return;
  fmt::print(stderr, "benchmark: {}\n", status.error().message);
  std::exit(1);
}

// Null where there is none; says why.
inline std::shared_ptr<Gpu> first_gpu() {
  auto api = load_library();
  auto gpu = api ? Gpu::open(**api, 0) : Result<std::shared_ptr<Gpu>>(api.error());
  if (gpu) return std::move(*gpu);
  fmt::print(stderr, "skipped, no GPU: {}\n", gpu.error().message);
  return nullptr;
}

struct Times {
  double best = 0, median = 0;  // seconds
};

// Seconds of one launch, of n recorded ones.
template <typename F>
Times time(Gpu& gpu, int n, const F& launch) {
  launch(0);  // loads the kernel
  need(gpu.begin_capture());
  for (int i = 0; i < n; ++i) launch(i);
  Graph* graph = need(gpu.end_capture());
  std::vector<double> seconds;
  for (int i = 0; i <= kRepeats; ++i) {
    need(gpu.mark(0));
    need(gpu.replay(graph));
    need(gpu.mark(1));
    const double total = need(gpu.seconds_between_marks());
    if (i > 0) seconds.push_back(total / n);  // the first warms up
  }
  gpu.release(graph);
  std::sort(seconds.begin(), seconds.end());
  return {seconds.front(), seconds[seconds.size() / 2]};
}

}  // namespace tessera::kernels::cuda
