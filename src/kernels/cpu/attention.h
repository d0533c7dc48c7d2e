// Attention of a step's tokens over the caches: reads each key and value once per tile of rows, keeps no T x T matrix.
// Bytes moved for one token: n_kv_heads * visible keys * 2 * bytes of a key.
// Reference: ops::sliding_attention, and brute force in the test. The kernel of a tile: attention_impl.h.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/dtype.h"
#include "base/float16.h"
#include "base/scratch_buffer.h"
#include "base/thread_pool.h"
#include "kernels/cpu/float_kernels.h"

namespace tessera::kernels::cpu {

// Keys and values as TQ4 (quant/tq4.h), rotated, as q must be then: the caches are codes u8 (n_kv_heads, n_slots,
// head_dim / 2). They are decompressed sixteen at a time, where they are used.
struct CompressedKv {
  const BF16* k_norms = nullptr;  // (n_kv_heads, n_slots)
  const BF16* v_norms = nullptr;
  const float* centroids = nullptr;  // (16)
};

struct AttentionArgs {
  // (n_kv_heads, n_tokens, n_heads / n_kv_heads, head_dim), normed and rotated: what reads the same keys lies together.
  const float* q = nullptr;
  float* out = nullptr;           // (n_tokens, n_heads, head_dim)
  const void* k_cache = nullptr;  // (n_kv_heads, n_slots, head_dim) of kv_dtype; position p lies in slot p % n_slots
  const void* v_cache = nullptr;
  DType kv_dtype = DType::kF32;  // f32, f16 or bf16
  std::optional<CompressedKv> compressed = {};
  int64_t n_slots = 0;
  int64_t start = 0;  // absolute position of the first token; keys [0, start + n_tokens) have been written
  int64_t n_tokens = 0;
  int64_t n_heads = 0, n_kv_heads = 0;
  int64_t head_dim = 0;  // multiple of 16
  int64_t window = 0;    // each token sees this many positions, itself included; 0: all
  float scale = 1;
};

// Memory that calls reuse, one set per thread of the pool.
class AttentionScratch {
 public:
  struct PerThread {
    ScratchBuffer sums, k, v;
    std::vector<int64_t> q_pos;
  };
  ScratchBuffer spans;  // their sums, of all heads
  PerThread& of(int thread) { return per_thread_[static_cast<size_t>(thread)]; }
  void resize(int n_threads) { per_thread_.resize(static_cast<size_t>(n_threads)); }

 private:
  std::vector<PerThread> per_thread_;
};

// Preconditions (DCHECKed): head_dim % 16 == 0, n_heads % n_kv_heads == 0, with a window
// n_slots >= window + n_tokens - 1 or n_slots >= start + n_tokens, without one the latter.
void attention(ThreadPool& pool, const FloatKernels& kernels, const AttentionArgs& args, AttentionScratch& scratch);

}  // namespace tessera::kernels::cpu
