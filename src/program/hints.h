// tessera.hints: what our own compiler tells our own planner about a program, as named data that every other reader
// ignores. A hint claims that a range of main-chain instructions computes one thing the planner has a fused step for;
// the planner checks everything memory safety depends on and falls back to the instructions when a hint does not fit.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "program/fields.h"
#include "program/slots.h"

namespace tessera::program {

inline constexpr std::string_view kHintsKey = "tessera.hints";

// A compressed cache (quant/tq4.h): k_cache and v_cache are u8 codes (1, n_kv_heads, slots, head_dim / 2).
struct CompressedHint {
  Tid k_norms, v_norms;                 // mutable buffers bf16 (1, n_kv_heads, slots, 1)
  Tid rotation, boundaries, centroids;  // constants (head_dim, head_dim), (15), (16)
  TESSERA_FIELDS(CompressedHint, k_norms, v_norms, rotation, boundaries, centroids)
  bool operator==(const CompressedHint&) const = default;
};

// Instructions [begin, end) of the main chain are: per-head norms of q, k, v (v without weight), RoPE on q and k, cache
// write, masked attention with `scale`, heads concatenated into `out`. q is (1, T, n_heads * head_dim), k and v
// (1, T, n_kv_heads * head_dim), out like q; T and the absolute position of the first token come from `start`.
struct AttentionHint {
  uint32_t begin = 0, end = 0;
  Tid q;
  std::optional<Tid> k, v;  // absent: a layer that reads the caches of an earlier one. v may equal k (K = V layers).
  Tid q_norm;
  std::optional<Tid> k_norm;
  Tid k_cache, v_cache;  // mutable buffers (1, n_kv_heads, slots, head_dim)
  Tid out;
  Vid start;
  int32_t n_heads = 0, n_kv_heads = 0, head_dim = 0;
  int32_t window = 0;  // 0: full attention, the cache is flat; else a ring of `slots`
  float eps = 0, scale = 1;
  float rope_base = 10000;
  std::optional<Tid> rope_periods;  // f32 (head_dim / 2): angle = position / period; overrides rope_base
  std::optional<CompressedHint> compressed;
  TESSERA_FIELDS(AttentionHint, begin, end, q, k, v, q_norm, k_norm, k_cache, v_cache, out, start, n_heads, n_kv_heads,
                 head_dim, window, eps, scale, rope_base, rope_periods, compressed)
  bool operator==(const AttentionHint&) const = default;
};

struct Hints {
  std::vector<AttentionHint> attention;
  // Main-chain index of the Take that keeps the last token before the head; skipping it yields logits of every token.
  std::optional<uint32_t> last_token_take;
  TESSERA_FIELDS(Hints, attention, last_token_take)
  bool operator==(const Hints&) const = default;
};

std::vector<std::byte> encode(const Hints& hints);
// Errors: kInvalidFormat. Slot ranges are checked against the program by the planner.
Result<Hints> decode_hints(std::span<const std::byte> bytes);

}  // namespace tessera::program
