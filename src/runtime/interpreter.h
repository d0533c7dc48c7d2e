// Executes program instructions one by one on host tensors, with the scalar references of ops: the meaning of every
// program, and the path of every instruction the planner has no fused step for.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "base/thread_pool.h"
#include "program/program.h"
#include "runtime/custom_kernels.h"
#include "runtime/off_graph_cache.h"
#include "runtime/slots.h"

namespace tessera::runtime {

struct ExecutionContext {
  const program::Program& program;
  Slots& slots;
  ThreadPool* pool = nullptr;  // may be null: everything on the calling thread
  const CustomKernels& kernels = reference_kernels();
  bool init_chain = false;            // only then may an instruction write a constant
  OffGraphCache* cache = nullptr;     // may be null: UpdateAndAttend fails
  uint32_t* random_stream = nullptr;  // seeds of RandomBits without one count up from here; null: the process's stream
  uint32_t depth = 0;                 // of chains entered by If and Scan; more than there are chains is an error
};

// One instruction. Reshape, ExpandDims, Squeeze, IdCopy and Contiguous share the bytes of their input; SliceUpdate and
// IndexCopy work in place when out == dst and nobody else holds the bytes; everything else allocates its outputs.
// On error the slots keep what they held, except that chains entered by If and Scan are not rolled back.
Status execute(const program::Node& node, ExecutionContext& context);

// Instructions [begin, end) of a chain, or all of it. An error names chain, instruction and node:
// "chain 0, instruction 12 (RMSNorm): ...".
Status execute_range(uint32_t chain, uint32_t begin, uint32_t end, ExecutionContext& context);
Status execute_chain(uint32_t chain, ExecutionContext& context);

// Operands, as the interpreter reads them: literals clamped to int32.
Result<int32_t> read(const program::IntOrVid& operand, const Slots& slots);
Result<float> read(const program::FloatOrVid& operand, const Slots& slots);

}  // namespace tessera::runtime
