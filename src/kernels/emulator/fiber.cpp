#include "kernels/emulator/fiber.h"

#include <sys/mman.h>
#include <ucontext.h>

#include <cstdint>

#include "base/check.h"
#include "kernels/emulator/fiber_sanitizers.h"

// Where a switch is six pushes and a move, a step of a matrix product takes tens of microseconds. ucontext asks the
// system for the signal mask, which takes twenty times as long; it serves the other machines.
#if defined(__x86_64__)
extern "C" void tessera_fiber_switch(void** save_stack_pointer, void* stack_pointer);
asm(R"(
.text
.type tessera_fiber_switch, @function
tessera_fiber_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size tessera_fiber_switch, .-tessera_fiber_switch
)");
#endif

namespace tessera::kernels::emulator {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kStride = kPage + kFiberStackBytes;

thread_local FiberPool* entering = nullptr;  // whose current fiber is about to run for the first time

}  // namespace

struct FiberPool::Context {
  SanitizedStack sanitized;
#if defined(__x86_64__)
  void* stack_pointer = nullptr;

  void create(std::byte* stack, size_t bytes, void (*entry)()) {
    auto* top = reinterpret_cast<uint64_t*>(stack + bytes);
    *--top = 0;  // entry's return address; with it the stack is aligned as after a call
    *--top = reinterpret_cast<uint64_t>(entry);
    for (int i = 0; i < 6; ++i) *--top = 0;  // the registers that the switch restores
    stack_pointer = top;
  }
  static void switch_between(Context& from, Context& to) {
    tessera_fiber_switch(&from.stack_pointer, to.stack_pointer);
  }
#else
  ucontext_t state = {};

  void create(std::byte* stack, size_t bytes, void (*entry)()) {
    CHECK(getcontext(&state) == 0);
    state.uc_stack.ss_sp = stack;
    state.uc_stack.ss_size = bytes;
    makecontext(&state, entry, 0);
  }
  static void switch_between(Context& from, Context& to) { CHECK(swapcontext(&from.state, &to.state) == 0); }
#endif
};

FiberPool::FiberPool(size_t n_fibers, Body body, void* argument)
    : body_(body), argument_(argument), main_(std::make_unique<Context>()) {
  main_->sanitized.adopt_current();
  void* mapped =
      mmap(nullptr, n_fibers * kStride, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CHECK(mapped != MAP_FAILED);
  stacks_ = static_cast<std::byte*>(mapped);
  for (size_t i = 0; i < n_fibers; ++i) {
    CHECK(mprotect(stacks_ + i * kStride, kPage, PROT_NONE) == 0);
    std::byte* stack = stacks_ + i * kStride + kPage;
    fibers_.push_back(std::make_unique<Context>());
    fibers_.back()->create(stack, kFiberStackBytes, &enter);
    fibers_.back()->sanitized.create(stack, kFiberStackBytes);
  }
}

FiberPool::~FiberPool() {
  for (const auto& fiber : fibers_) fiber->sanitized.destroy();
  munmap(stacks_, fibers_.size() * kStride);
}

void FiberPool::switch_between(Context& from, Context& to) {
  SanitizedStack::before_switch(from.sanitized, to.sanitized);
  Context::switch_between(from, to);
  SanitizedStack::after_switch(to.sanitized, from.sanitized);  // control is back on `from`
}

void FiberPool::enter() {
  FiberPool& pool = *entering;
  SanitizedStack::after_switch(pool.main_->sanitized, pool.fibers_[pool.current_]->sanitized);
  pool.body_(pool.argument_, pool.current_);
  check_failed(__FILE__, __LINE__, "a fiber does not return");
}

void FiberPool::resume(size_t fiber) {
  current_ = fiber;
  entering = this;
  switch_between(*main_, *fibers_[fiber]);
}

void FiberPool::suspend() { switch_between(*fibers_[current_], *main_); }

}  // namespace tessera::kernels::emulator
