// The heads of a decode step, by the blocks that need them: norm and rotation of the block's queries, and of the keys
// and values of this step that fall into its piece, which also go to the caches. In f32, rounded once.
#pragma once

#include "kernels/cuda/flash_decode_block.cuh"

namespace tessera::kernels::cuda {

// A lane's eight values of each half of a head, so that a rotated pair is in one lane; zeros past the half.
struct HeadPart {
  float low[8] = {}, high[8] = {};
};

// Both halves are asked for before either is used: as two calls of load_eight the second would wait for the first.
TESSERA_DEVICE void load_part(const AttentionArgs& a, Address from, int64_t head, HeadPart& x) {
  const int half = a.head_dim / 2;
  const int64_t at = head * a.head_dim + 8 * lane();
  if (8 * lane() >= half) return;
  if (a.element == Element::kF32) {
    const auto words = global<const Words4>(from) + at / 4;
    const Words4 part[4] = {words[0], words[1], words[half / 4], words[half / 4 + 1]};
    TESSERA_UNROLL
    for (int i = 0; i < 8; ++i)
      x.low[i] = float_of_bits(part[i / 4].word[i % 4]), x.high[i] = float_of_bits(part[2 + i / 4].word[i % 4]);
  } else {
    const auto words = global<const Words4>(from) + at / 8;
    const Words4 low = words[0], high = words[half / 8];
    TESSERA_UNROLL
    for (int i = 0; i < 8; ++i) {
      x.low[i] = float_of_half(static_cast<uint16_t>(low.word[i / 2] >> 16 * (i % 2)), a.element);
      x.high[i] = float_of_half(static_cast<uint16_t>(high.word[i / 2] >> 16 * (i % 2)), a.element);
    }
  }
}
TESSERA_DEVICE void normalize(const AttentionArgs& a, HeadPart& x) {
  float squares = 0;
  TESSERA_UNROLL
  for (int i = 0; i < 8; ++i) squares += x.low[i] * x.low[i] + x.high[i] * x.high[i];
  const float factor = inverse_sqrt(warp_sum(squares) / static_cast<float>(a.head_dim) + a.eps);
  TESSERA_UNROLL
  for (int i = 0; i < 8; ++i) x.low[i] *= factor, x.high[i] *= factor;
}
// Weight of the norm, then the rotation of pairs (i, i + half).
TESSERA_DEVICE void weigh_and_rotate(int half, Shared<const float> weight, Shared<const float> rotation, HeadPart& x) {
  if (8 * lane() >= half) return;
  TESSERA_UNROLL
  for (int i = 0; i < 8; ++i) {
    const int at = 8 * lane() + i;
    const float low = x.low[i] * weight[at], high = x.high[i] * weight[half + at];
    const float cos = rotation[at], sin = rotation[half + at];
    x.low[i] = low * cos - high * sin;
    x.high[i] = low * sin + high * cos;
  }
}
template <typename S>
TESSERA_DEVICE Words4 words_of_part(const float (&x)[8]) {
  return {{S::pair(x[0], x[1]), S::pair(x[2], x[3]), S::pair(x[4], x[5]), S::pair(x[6], x[7])}};
}

// Chunks lane() of both halves of query row `row`, or of the key or value (`which`) of token `token`.
template <typename S>
TESSERA_DEVICE void store_query(const DecodeBlock<S>& b, int row, const HeadPart& x) {
  const int half_chunks = b.a.head_dim / 16;
  if (lane() >= half_chunks) return;
  *cast<Words4>(b.queries + S::place(row, lane())) = words_of_part<S>(x.low);
  *cast<Words4>(b.queries + S::place(row, half_chunks + lane())) = words_of_part<S>(x.high);
}
template <typename S>
TESSERA_DEVICE void store_fresh(const DecodeBlock<S>& b, int token, int which, const HeadPart& x) {
  const int half_chunks = b.a.head_dim / 16;
  if (lane() >= half_chunks) return;
  const Words4 low = words_of_part<S>(x.low), high = words_of_part<S>(x.high);
  const auto row = cast<Words4>(b.fresh + (token * 2 + which) * S::kRowBytes);
  row[lane()] = low;
  row[half_chunks + lane()] = high;
  if (b.tile != 0) return;  // of the blocks that make this key, one writes it
  const int64_t slot = int64_t{b.kv_head} * b.a.n_slots + remainder(b.position + token, b.a.slots);
  const auto cached = global<Words4>(which == 0 ? b.a.k_cache : b.a.v_cache) + slot * (b.a.head_dim / 8);
  cached[lane()] = low;
  cached[half_chunks + lane()] = high;
}

// A warp per head.
template <typename S>
TESSERA_DEVICE void make_heads(const DecodeBlock<S>& b) {
  const AttentionArgs& a = b.a;
  const int first_token = max_of(b.first_fresh, b.keys.begin) - b.position;
  const int n_fresh = max_of(b.keys.end - b.position - first_token, 0), half = a.head_dim / 2;
  TESSERA_LOOP
  for (int i = warp(); i < b.n_rows + 2 * n_fresh; i += S::kWarps) {
    const bool is_query = i < b.n_rows;
    const int which = is_query ? 0 : (i - b.n_rows) % 2;
    const int token = is_query ? b.token(i) : first_token + (i - b.n_rows) / 2;
    const int64_t head = is_query ? int64_t{token} * a.n_heads + b.head(i) : int64_t{token} * a.n_kv_heads + b.kv_head;
    HeadPart x;
    load_part(a, is_query ? a.q : which == 0 ? a.k : a.v, head, x);
    normalize(a, x);
    if (which == 0) weigh_and_rotate(half, b.norms + (is_query ? 0 : S::kDim), b.rotations + token * S::kDim, x);
    if (is_query)
      store_query<S>(b, i, x);
    else
      store_fresh<S>(b, token, which, x);
  }
}

}  // namespace tessera::kernels::cuda
