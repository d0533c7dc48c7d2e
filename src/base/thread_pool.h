// A pool that runs one function on every thread and waits: the only parallel pattern a decode step needs. Workers spin
// briefly before they sleep, so that the hundreds of short parallel regions of a step cost about a microsecond each.
// One region at a time: run() is called by one thread, the one that owns the step.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace tessera {

class ThreadPool {
 public:
  // `n_threads` counts the calling thread; 0 means one per processor.
  explicit ThreadPool(int n_threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return n_threads_; }

  // Calls f(thread_index) once for each index in [0, size()); returns when all calls have returned.
  template <typename F>
  void run(F&& f) {
    using Fn = std::remove_reference_t<F>;
    run_erased([](void* context, int thread) { (*static_cast<Fn*>(context))(thread); },
               const_cast<std::remove_const_t<Fn>*>(&f));
  }

  // Calls f(thread_index, begin, end) over [0, n) cut into chunks of `grain`, handed out in order to whichever thread
  // is free. The cut does not depend on the number of threads.
  template <typename F>
  void parallel_for_by_thread(int64_t n, int64_t grain, F&& f) {
    const auto chunk = [&](int thread, int64_t begin) { f(thread, begin, begin + grain < n ? begin + grain : n); };
    if (n <= grain || n_threads_ == 1) {
      for (int64_t begin = 0; begin < n; begin += grain) chunk(0, begin);
      return;
    }
    std::atomic<int64_t> next{0};
    run([&](int thread) {
      for (int64_t begin; (begin = next.fetch_add(grain, std::memory_order_relaxed)) < n;) chunk(thread, begin);
    });
  }
  // The same for those who do not ask which thread they are on: f(begin, end).
  template <typename F>
  void parallel_for(int64_t n, int64_t grain, F&& f) {
    parallel_for_by_thread(n, grain, [&](int, int64_t begin, int64_t end) { f(begin, end); });
  }

 private:
  using Function = void (*)(void* context, int thread);
  void run_erased(Function function, void* context);
  void work(int thread);

  int n_threads_;
  std::vector<std::thread> workers_;
  Function function_ = nullptr;
  void* context_ = nullptr;
  alignas(64) std::atomic<uint32_t> epoch_{0};   // odd steps of work; bumped once per region
  alignas(64) std::atomic<int32_t> pending_{0};  // workers still inside the current region
  std::atomic<bool> stop_{false};
};

}  // namespace tessera
