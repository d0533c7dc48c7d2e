// Two loops in turn, the fastest run of either: on a machine whose neighbours take half of the speed from second to
// second, their ratio repeats within some ten percent.
#pragma once

#include <algorithm>
#include <chrono>
#include <utility>

namespace tessera::bench {

// Seconds of the fastest run of `work` and of `limit`, which take turns for 150 ms and at least three times.
template <typename Work, typename Limit>
std::pair<double, double> least_in_turn(Work&& work, Limit&& limit) {
  using Clock = std::chrono::steady_clock;
  const auto time = [](auto& run, double& least) {
    const auto start = Clock::now();
    run();
    least = std::min(least, std::chrono::duration<double>(Clock::now() - start).count());
  };
  double of_work = 1e9, of_limit = 1e9;
  const auto end = Clock::now() + std::chrono::milliseconds(150);
  for (int i = 0; i < 3 || Clock::now() < end; ++i) {
    time(limit, of_limit);
    time(work, of_work);
  }
  return {of_work, of_limit};
}

}  // namespace tessera::bench
