// What libtessera_cuda.so offers, as plain structs and one table of functions: the run time loads the library when a
// GPU is asked for, so that one binary runs everywhere and no CUDA header leaves this folder. The emulated device
// (emulator/device.h) fills the same table.
//
// Work is enqueued in order on the device's stream; nothing waits for it but download() and synchronize(). Addresses
// are device memory; 0 is none. Rows of activations lie back to back. A function returns 0, or not 0 with a message in
// `Failure`, which the caller owns.
#pragma once

#include <stdint.h>

namespace tessera::kernels::cuda {

inline constexpr uint32_t kApiVersion = 8;
inline constexpr char kApiSymbol[] = "tessera_cuda_api";

using Address = uint64_t;

enum class Element : int32_t { kF32, kF16, kBF16 };

// Weight formats with kernels. The values are ggml's type codes (quant/format.h).
enum class Format : int32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ8_0 = 8,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kBF16 = 30,
};

struct Failure {
  char message[256];
};

// ---- activations ----------------------------------------------------------------------------------------------------

// Forms of the input of a linear, made of (m, k) floats. Token t is row t % 8 of tile t / 8; tiles have min(m, 8) rows.
//   kInt8      arithmetic as in kernels/cpu/arithmetic.md; for up to kMaxVecTokens tokens.
//              q i8 (tiles, k / 32, rows, 32): of each 32 codes the words of four in the order 0 4 1 5 2 6 3 7
//              d f32 (m, k / group)
//              sums i8 (tiles, k / 256, rows, 32), with groups of 256: of each 16 codes the sum as 128 h + l; words of
//              four in the order l h l h l h l h
//              Of up to kFewTokens tokens: q i8 (m, padded_codes(k)): of each 256 codes the 16s in few_order's order;
//              no sums
//   kF32       values f32 (m, k)
//   kF16Tiles  for the tensor cores. values f16 (tiled_values(k) / 64, padded_tokens(m), 64), swizzled by 128 bytes,
//              zero past k; of each 16 values the order is 0 1 4 5 8 9 12 13 2 3 6 7 10 11 14 15.
//              d f32 (m): what a token's products are to be multiplied by
enum class Form : int32_t { kInt8, kF32, kF16Tiles };
inline constexpr int kFewTokens = 2;
constexpr int32_t padded_codes(int32_t k) { return (k + 255) / 256 * 256; }
constexpr int few_order(int sixteenth) { return sixteenth % 4 * 4 + sixteenth / 4; }  // its place among the 256's
struct Activations {
  Form form;
  int32_t m, k;
  int32_t group;  // of kInt8: 256 or 32
  Address q, d, sums;
  Address values;
};
constexpr int32_t padded_tokens(int32_t m) { return m <= 64 ? 64 : m <= 128 ? 128 : (m + 255) / 256 * 256; }
constexpr int32_t tiled_values(int32_t k) { return (k + 63) / 64 * 64; }

// Bytes of a form's arrays for m rows of k; 0: it has none.
struct FormBytes {
  uint64_t q, d, sums, values;
};
constexpr FormBytes form_bytes(Form form, int32_t m, int32_t k, int32_t group) {
  const auto rows = static_cast<uint64_t>(m), columns = static_cast<uint64_t>(k);
  const uint64_t codes =
      m <= kFewTokens ? rows * static_cast<uint64_t>(padded_codes(k)) : (m <= 8 ? rows : (rows + 7) / 8 * 8) * columns;
  switch (form) {
    case Form::kInt8:
      return {codes, rows * columns / static_cast<uint64_t>(group) * 4, group == 256 && m > kFewTokens ? codes / 8 : 0,
              0};
    case Form::kF32:
      return {0, 0, 0, rows * columns * 4};
    case Form::kF16Tiles:
      return {0, rows * 4, 0, static_cast<uint64_t>(padded_tokens(m)) * static_cast<uint64_t>(tiled_values(k)) * 2};
  }
  return {};
}
struct ActivationsArgs {
  Address x;
  Element element;
  Activations out;
};

// ---- linears --------------------------------------------------------------------------------------------------------

// out[m, n] = x weight^T + bias, or gelu_tanh(x gate^T) * (x weight^T).
struct LinearJob {
  Address weight, gate;  // packed rows; gate: same format and n, or 0
  Address bias;          // f32 (n) or 0
  Address out;
  Element out_element;
  int32_t n;
};
inline constexpr int kMaxJobs = 4;
inline constexpr int kMaxVecTokens = 16;  // of matvec with int8 activations
// Values per scale of the int8 activations a format is multiplied with; 0: only with floats.
constexpr int32_t group_of(Format format) {
  switch (format) {
    case Format::kQ4_K:
    case Format::kQ5_K:
    case Format::kQ6_K:
      return 256;
    case Format::kQ8_0:
    case Format::kQ4_0:
      return 32;
    case Format::kF32:
    case Format::kF16:
    case Format::kBF16:
      return 0;
  }
  return 0;
}
// As many tokens are faster by matvec than by matmul, where both can be had.
constexpr int32_t most_vec_tokens(Format format) { return group_of(format) > 0 ? kMaxVecTokens : 1; }
struct LinearArgs {
  Activations x;
  Format format;
  int32_t n_jobs;
  LinearJob jobs[kMaxJobs];
  // Of matvec with kInt8 and more than kFewTokens tokens: scratch, kMatvecPartsBytes, zero before the first use;
  // launches leave zeros. Of matmul: scratch, kMatmulPartsBytes, of which the first kMatmulFlagBytes are so; or 0,
  // which is slower.
  Address parts;
  // Where leaves_form: what is in `out`, also in the form kInt8, at other places than x; its m is 0 where it is not
  // wanted. outputs: scratch for it, u32 (m, n), zero before the first use; launches leave zeros.
  Activations made;
  Address outputs;
};
// Whether matvec can leave its outputs as `made`: one gated job of whole groups.
constexpr bool leaves_form(const LinearArgs& args) {
  return args.x.form == Form::kInt8 && args.n_jobs == 1 && args.jobs[0].gate != 0 && args.jobs[0].n % 256 == 0;
}
inline constexpr uint64_t kMatvecPartsBytes = uint64_t{4} << 20;
inline constexpr int kMatmulFlagBytes = 16 * 1024;
inline constexpr uint64_t kMatmulPartsBytes = kMatmulFlagBytes + (uint64_t{32} << 20);

// ---- rows -----------------------------------------------------------------------------------------------------------

// out = row ids[i] of a packed table, times factor. An id outside the table gives a row of NaN.
struct EmbeddingArgs {
  Address table, ids;  // i32 (m)
  Address out;
  Format format;
  Element element;
  int32_t m, k, n_rows;
  float factor;
};
// sum = (residual + norm(x) branch_weight) * scale, next = norm(sum) next_weight. Without `residual` only a norm: sum
// is its output. Without `next` the second norm is left out. Weights are f32 (k) or 0. The last result can also be left
// in the form kInt8 or kF16Tiles: `made`, whose m is 0 where it is not wanted.
struct NormArgs {
  Address x, branch_weight, residual, sum, next_weight, next;
  Activations made;
  Element element;
  int32_t m, k;
  float branch_eps, next_eps, scale;
  // What wrote `residual` is no nearer than two launches back, and what lies between is one that waits before it lets
  // the next start (words.cuh), as linears are: it is read before the launch before this one has ended.
  bool residual_is_there;
};
// out = cap * tanh(x / cap), f32.
struct SoftCapArgs {
  Address x, out;
  Element element;
  int64_t n;
  float cap;
};
// out = gelu_tanh(gate) * up, elementwise.
struct GegluArgs {
  Address gate, up, out;
  Element element, out_element;
  int64_t n;
};

// ---- attention ------------------------------------------------------------------------------------------------------

// cos and sin f32 (m, half) of angle (position + t) / period; position i32 in device memory.
struct RopeTableArgs {
  Address periods;  // f64 (half)
  Address position, cos, sin;
  int32_t m, half;
};
// Norms and rotates the heads of q, k and v, puts k and v into their caches (n_kv_heads, n_slots, head_dim) at slot
// position % n_slots, and attends with m queries at position .. position + m - 1 over the caches. Keys of a query:
// those at most window - 1 back (window 0: all). A cache holds what the queries of a step see besides what the step
// writes: n_slots >= window + m - 1, or all positions.
//
// Up to kDecodeRows rows (m n_heads / n_kv_heads) over caches of 16 bits are one launch, and that one reads old keys,
// the position and the rotation before the launch before it has ended: whatever wrote them is no nearer than two
// launches back, and what lies between is one that waits before it lets the next start (words.cuh).
struct AttentionArgs {
  Address q, k, v;                     // (m, heads, head_dim); k and v 0: a layer that owns no cache
  Address q_norm, k_norm, cos, sin;    // f32 (head_dim); f32 (m, head_dim / 2)
  Address position, k_cache, v_cache;  // i32
  // Scratch: m n_heads head_dim floats; attention_partial_bytes of all rows and n_splits pieces of the keys;
  // u32 (n_kv_heads, kAttentionCounters), zero before the first use.
  Address queries, partial, counters;
  Address out;
  Element element, kv_element, out_element;
  int32_t m, n_heads, n_kv_heads, head_dim, n_slots, window;
  int32_t n_splits;  // at most; 1 .. kMostPieces
  float eps, scale;  // scale > 0
  Activations made;  // what is in `out`, also in the form kInt8; its m is 0 where it is not wanted
};
// Keys of a piece, at least, where attention cuts them.
inline constexpr int kLeastKeys = 64, kMostPieces = 64;
inline constexpr int kDecodeRows = 16, kAttentionCounters = 32;
// Of a row and piece: the weighted sum of values, maximum and sum of exponentials, and both again.
constexpr uint64_t attention_partial_bytes(int64_t rows, int64_t n_splits, int32_t head_dim) {
  return static_cast<uint64_t>(rows * n_splits) * (static_cast<uint64_t>(head_dim) + 4) * 4;
}
// With caches of 16 bits and heads of a multiple of 8, blocks that may have so much shared memory need partial results
// only where keys are cut; others keep some of each row.
inline constexpr int32_t kFlashSharedBytes = 200 * 1024;
// Rows of a KV head that are one block's, with caches of 16 bits.
constexpr int attention_block_rows(int64_t rows, int32_t head_dim) {
  return rows <= kDecodeRows ? 8 : head_dim > 256 ? 64 : 128;
}

// ---- the end of a step ----------------------------------------------------------------------------------------------

// How a token is chosen, in device memory, so that recorded work follows new rules. The meaning, and the order of the
// filters, is generate/sampler.h's. n_draws and n_history count on by themselves.
struct SamplingRules {
  float temperature;  // 0: the likeliest token, the lowest id of equals
  float top_p;        // 1: off
  float repetition_penalty;
  int32_t top_k;     // 0: all
  double log_min_p;  // -infinity: off
  uint64_t seed, n_draws;
  int32_t n_suppressed;
  int32_t window;  // how many last tokens of the history count as repeated
  int64_t n_history;
};
// token i32 = the one chosen by the rules among n logits. kNoFiniteLogit: there was none; kBadLogit - id: the logit of
// `id`, the first such, is NaN or +infinity. Also appended to the history, a ring of history_size ids.
inline constexpr int32_t kNoFiniteLogit = -1, kBadLogit = -2;
struct SampleArgs {
  Address logits;  // f32 (n)
  Address rules;   // SamplingRules
  Address suppressed, history;
  Address scratch;  // sampling_scratch_bytes(n); the first kSamplingCounters bytes are zero before the first use
  Address token;
  int32_t n, history_size;
  bool is_greedy;  // the rules say temperature 0: one launch is enough
};
inline constexpr int32_t kMaxLogits = 1 << 20, kLogitsPerBlock = 2048;
inline constexpr int kSamplingBins = 1024, kSamplingCounters = 16;
// A state, bins, one entry a block, the adjusted logits, and a list to sort.
constexpr uint64_t sampling_list_size(int32_t n) {
  uint64_t size = 1;
  while (size < static_cast<uint64_t>(n)) size *= 2;
  return size;
}
constexpr uint64_t sampling_scratch_bytes(int32_t n) {
  const uint64_t blocks = (static_cast<uint64_t>(n) + kLogitsPerBlock - 1) / kLogitsPerBlock;
  return 128 + kSamplingBins * 16 + blocks * (16 + kLogitsPerBlock * sizeof(float)) + sampling_list_size(n) * 8;
}
// position += by, in device memory.
struct AdvanceArgs {
  Address position;
  int32_t by;
};
// Copies bytes between places of the device.
struct CopyArgs {
  Address from, to;
  uint64_t bytes;
};
// Reads n_bytes (a multiple of 16) and leaves checksums, u32 (kReadChecksums): what the memory can deliver.
inline constexpr int kReadBlocks = 1056, kReadChecksums = kReadBlocks * 8;
struct ReadArgs {
  Address data, checksum;
  uint64_t n_bytes;
};
// Multiplies on the tensor cores: kPeakFlops a round and block; sums f32 (n_blocks, kPeakThreads).
inline constexpr int kPeakThreads = 256;
inline constexpr double kPeakFlops = 2.0 * 256 * 128 * 64;  // rows, tokens, depth
struct PeakArgs {
  Address sums;
  int32_t n_blocks, n_rounds;
};

// ---- the device -----------------------------------------------------------------------------------------------------

struct DeviceInfo {
  char name[128];
  uint64_t free_bytes, total_bytes;
  int32_t n_multiprocessors, major, minor;
  int32_t shared_bytes;  // a block may have
};

inline constexpr uint64_t kPlacement = 256;
struct UploadPart {
  Address to;
  const void* from;
  uint64_t bytes;
};

struct Device;  // opaque
struct Graph;

struct Api {
  uint32_t version;  // kApiVersion
  int (*open)(int ordinal, Device** device, DeviceInfo* info, Failure* failure);
  void (*close)(Device* device);

  // n places at multiples of kPlacement, near each other in their order. All or nothing, and released together.
  int (*allocate)(Device* device, const uint64_t* bytes, uint64_t n, Address* addresses, Failure* failure);
  void (*release)(Device* device, const Address* addresses, uint64_t n);
  // From pageable memory; returns when it may be reused. Between two parts less than kPlacement bytes apart anything
  // may be written.
  int (*upload)(Device* device, const UploadPart* parts, uint64_t n, Failure* failure);
  int (*download)(Device* device, void* to, Address from, uint64_t bytes, Failure* failure);  // waits
  int (*synchronize)(Device* device, Failure* failure);

  // What is enqueued between the two is recorded instead, and runs at each replay.
  int (*begin_capture)(Device* device, Failure* failure);
  int (*end_capture)(Device* device, Graph** graph, Failure* failure);
  int (*replay)(Device* device, Graph* graph, Failure* failure);
  void (*release_graph)(Device* device, Graph* graph);

  // Seconds between two marks (0 and 1) on the stream.
  int (*mark)(Device* device, int which, Failure* failure);
  int (*seconds_between_marks)(Device* device, double* seconds, Failure* failure);

  int (*activations)(Device* device, const ActivationsArgs* args, Failure* failure);
  int (*matvec)(Device* device, const LinearArgs* args, Failure* failure);  // kF32, or kInt8 of m <= kMaxVecTokens
  int (*matmul)(Device* device, const LinearArgs* args, Failure* failure);  // form kF16Tiles
  int (*embedding)(Device* device, const EmbeddingArgs* args, Failure* failure);
  int (*norm)(Device* device, const NormArgs* args, Failure* failure);
  int (*soft_cap)(Device* device, const SoftCapArgs* args, Failure* failure);
  int (*geglu)(Device* device, const GegluArgs* args, Failure* failure);
  int (*rope_table)(Device* device, const RopeTableArgs* args, Failure* failure);
  int (*attention)(Device* device, const AttentionArgs* args, Failure* failure);
  int (*sample)(Device* device, const SampleArgs* args, Failure* failure);  // n <= kMaxLogits
  int (*advance)(Device* device, const AdvanceArgs* args, Failure* failure);
  int (*copy)(Device* device, const CopyArgs* args, Failure* failure);
  int (*read)(Device* device, const ReadArgs* args, Failure* failure);
  int (*peak)(Device* device, const PeakArgs* args, Failure* failure);
};

using ApiFunction = const Api* (*)();

}  // namespace tessera::kernels::cuda
