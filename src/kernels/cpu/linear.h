// gguf_linear on the CPU: out[m, n] = factor * (sum_k x[m, k] * w[n, k] (+ bias[n])), w in the packed blocks of a GGUF
// file, read where they lie. Several linears over the same input run in one parallel region.
//
// Results are the same bits for every instruction set, number of threads and way of cutting the rows of x into calls.
// What is computed, in which order: arithmetic.md. The plain version: linear_reference.h.
#pragma once

#include <cstdint>
#include <span>

#include "base/dtype.h"
#include "base/thread_pool.h"
#include "kernels/cpu/activations.h"
#include "kernels/cpu/affine_groups.h"
#include "kernels/cpu/isa.h"
#include "quant/format.h"

namespace tessera::kernels::cpu {

// Borrowed. Rows of n lie back to back, each row_bytes(); `data` needs no alignment beyond that of the file (no byte
// outside the n rows is read).
struct LinearWeight {
  const quant::Format* format = nullptr;  // null: affine groups
  const void* data = nullptr;             // blocks of the format, or codes
  int64_t n = 0;
  int64_t k = 0;                // a multiple of the format's block or of the group
  const float* bias = nullptr;  // (n) or null
  float factor = 1;             // multiplies all outputs
  AffineGroups groups = {};     // without a format

  int64_t row_bytes() const { return format ? format->bytes_for(k) : groups.code_row_bytes(k); }
  int64_t bytes() const { return n * (row_bytes() + (format ? 0 : 2 * groups.param_row_bytes(k))); }
  // The activations it reads.
  ActivationForms forms(Arithmetic arithmetic) const;
};

struct OutputRows {
  DType dtype = DType::kF32;  // f32, f16 or bf16
  void* data = nullptr;
  int64_t row_stride = 0;  // elements from row to row
};

struct LinearJob {
  LinearWeight weight;
  OutputRows out;  // (m, n)
  // With a gate: out = gelu_tanh(x gate^T) * (x weight^T), in f32 until the final rounding. n and k as of `weight`.
  const LinearWeight* gate = nullptr;
};

// Preconditions (DCHECKed): weights' k equals the activations', and the activations hold the form each weight needs
// (LinearWeight::forms). A weight uses the integer arithmetic if the activations hold its int8 form.
void linear(ThreadPool& pool, Isa isa, std::span<const LinearJob> jobs, const Activations& x);

}  // namespace tessera::kernels::cpu
