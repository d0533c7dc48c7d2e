// Fibers: functions with stacks of their own that hand control to each other on one thread of the system. A GPU thread
// of the emulator is one: it runs until it must wait for its SIMD group or threadgroup.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

namespace tessera::kernels::emulator {

class FiberPool {
 public:
  // A fiber's whole life; it must not return: it ends, if at all, in a suspend() after which nobody resumes it.
  using Body = void (*)(void* argument, size_t fiber);

  FiberPool(size_t n_fibers, Body body, void* argument);
  ~FiberPool();
  FiberPool(const FiberPool&) = delete;
  FiberPool& operator=(const FiberPool&) = delete;

  void resume(size_t fiber);  // runs it until it suspends
  void suspend();             // called in a fiber: back to whoever resumed it

 private:
  struct Context;
  void switch_between(Context& from, Context& to);
  static void enter();

  Body body_;
  void* argument_;
  std::byte* stacks_ = nullptr;  // a page that cannot be touched below each
  std::unique_ptr<Context> main_;
  std::vector<std::unique_ptr<Context>> fibers_;
  size_t current_ = 0;
};

}  // namespace tessera::kernels::emulator
