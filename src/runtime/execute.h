// A program and its state, run instruction by instruction: what tests compare planned execution with.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "base/result.h"
#include "ops/tensor.h"
#include "program/program.h"
#include "runtime/interpreter.h"

namespace tessera::runtime {

// An argument or result of a program: a tensor, or an integer for an int slot.
using Argument = std::variant<ops::Tensor, int64_t>;

// Checks `inputs` against input_map, tensor_meta and the sizes the container declares, and puts them into their slots.
// Errors: wrong count, an int out of int32, a tensor of another dtype or shape, float or bool slots in the map.
Status set_inputs(const program::Program& program, std::span<const Argument> inputs, Slots& slots);
// The outputs by output_map, tensors cast to the dtype the container declares. Errors: a shape past its declared
// bounds.
Result<std::vector<Argument>> get_outputs(const program::Program& program, const Slots& slots);

// One handle: constants bound, mutable buffers zero, init chain run. Keeps a reference to `program`.
class Execution {
 public:
  struct Options {
    ThreadPool* pool = nullptr;
    const CustomKernels* kernels = nullptr;  // null: reference_kernels()
    OffGraphCache* cache = nullptr;
    std::optional<uint32_t> seed;  // of the random bits without a seed of their own; absent: different in every run
  };
  static Result<Execution> create(const program::Program& program, const Options& options);

  // One execution of the main chain. Mutable buffers persist between calls.
  Result<std::vector<Argument>> run(std::span<const Argument> inputs);
  Slots& slots() { return slots_; }

 private:
  Execution(const program::Program& program, const Options& options)
      : program_(&program), options_(options), slots_(program), random_stream_(options.seed.value_or(0)) {}
  ExecutionContext context(bool init_chain);

  const program::Program* program_;
  Options options_;
  Slots slots_;
  uint32_t random_stream_;
};

// Create and run once.
Result<std::vector<Argument>> run(const program::Program& program, std::span<const Argument> inputs);

}  // namespace tessera::runtime
