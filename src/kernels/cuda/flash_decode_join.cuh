// The end of flash_decode.cuh: the sums of a block's warps become those of its piece, and those of the pieces the
// output. Always in the same order, whichever block comes last.
//
// Pieces go through device memory, kFan at a time: the last of kFan blocks to arrive joins what they left, and the last
// of those joins what is left then. So no block reads more than kFan pieces, however many there are.
//
// Whoever has a head's output can leave it in the form of the linear after it, too: a launch less.
#pragma once

#include "kernels/cuda/activations.cuh"
#include "kernels/cuda/flash_decode_block.cuh"

namespace tessera::kernels::cuda {

inline constexpr int kFan = 8;
static_assert(kFan * kFan == kMostPieces && kAttentionCounters == 2 * 2 * kFan);  // (tiles, levels, groups)

// Four columns of a row: sums relative to the maximum.
struct JoinedSums {
  float x[4], largest, total;
};

// Of n <= kMost parts: notes(i) are maximum and sum of exponentials, sums(i) four columns.
template <int kMost, typename Notes, typename Sums>
TESSERA_DEVICE JoinedSums join(int n, const Notes& notes, const Sums& sums) {
  Words2 note[kMost];
  Words4 part[kMost];
  TESSERA_UNROLL
  for (int i = 0; i < kMost; ++i) {
    if (i < n) note[i] = notes(i), part[i] = sums(i);
  }
  JoinedSums out = {{0, 0, 0, 0}, kNoScore, 0};
  TESSERA_UNROLL
  for (int i = 0; i < kMost; ++i)
    if (i < n) out.largest = max_of(out.largest, float_of_bits(note[i].word[0]));
  TESSERA_UNROLL
  for (int i = 0; i < kMost; ++i) {
    if (i >= n) continue;
    const float factor = exp2_of(float_of_bits(note[i].word[0]) - out.largest);
    out.total += float_of_bits(note[i].word[1]) * factor;
    TESSERA_UNROLL
    for (int e = 0; e < 4; ++e) out.x[e] += float_of_bits(part[i].word[e]) * factor;
  }
  return out;
}

// Where a row's pieces lie: their sums, then the notes, two to a piece, by level.
template <typename S>
struct JoinedPieces {
  const DecodeBlock<S>& b;
  int64_t first_row;  // of this block, among all
  TESSERA_DEVICE explicit JoinedPieces(const DecodeBlock<S>& of)
      : b(of), first_row(int64_t{of.kv_head} * of.a.m * of.a.group.value + of.first_row) {}
  TESSERA_DEVICE Global<Words4> sums(int row, int piece, int column) const {
    const int64_t at = ((first_row + row) * b.a.n_splits + piece) * b.a.head_dim + column;
    return global<Words4>(b.a.partial) + at / 4;
  }
  TESSERA_DEVICE Global<Words2> note(int row, int piece, int level) const {
    const int64_t n_sums = int64_t{b.a.m} * b.a.n_heads * b.a.n_splits * b.a.head_dim;
    return global<Words2>(b.a.partial) + (n_sums / 2 + ((first_row + row) * b.a.n_splits + piece) * 2 + level);
  }
  TESSERA_DEVICE void set(int row, int piece, int level, int column, const JoinedSums& x) const {
    *sums(row, piece, column) = words_of(x.x[0], x.x[1], x.x[2], x.x[3]);
    if (column == 0) *note(row, piece, level) = Words2{{bits_of_float(x.largest), bits_of_float(x.total)}};
  }
  TESSERA_DEVICE Global<uint32_t> counter(int level, int group) const {
    return global<uint32_t>(b.a.counters) + (b.kv_head * kAttentionCounters + (b.tile * 2 + level) * kFan + group);
  }
};

// Whether the kernel leaves the form `made` itself: groups must not be of several heads.
template <typename S>
inline constexpr bool kHasWholeGroups = S::kDim >= 256;
inline bool has_whole_groups(const AttentionArgs& a) { return a.head_dim % 256 == 0; }

template <typename S>
TESSERA_DEVICE void store_output(const DecodeBlock<S>& b, int row, int column, const JoinedSums& x) {
  const AttentionArgs& a = b.a;
  const int64_t at = (int64_t{b.token(row)} * a.n_heads + b.head(row)) * a.head_dim + column;
  float y[4];
  TESSERA_UNROLL
  for (int e = 0; e < 4; ++e) y[e] = x.x[e] / x.total;
  if (a.out_element == Element::kF32)
    global<Words4>(a.out)[at / 4] = words_of(y[0], y[1], y[2], y[3]);
  else
    global<Words2>(a.out)[at / 4] =
        Words2{{halves_of(y[0], y[1], a.out_element), halves_of(y[2], y[3], a.out_element)}};
  if constexpr (kHasWholeGroups<S>) {
    // For make_form, where nobody reads these columns any more.
    if (a.made.m != 0) *cast<Words4>(b.part(0, row) + column) = words_of(y[0], y[1], y[2], y[3]);
  }
}

// A warp per 256 values.
template <typename S>
TESSERA_DEVICE void make_form(const DecodeBlock<S>& b) {
  constexpr int kPieces = S::kDim / 256;
  sync_block();
  TESSERA_LOOP
  for (int i = warp(); i < b.n_rows * kPieces; i += S::kWarps) {
    const int row = i / kPieces, column = i % kPieces * 256 + 8 * lane();
    const auto from = cast<const Words4>(b.part(0, row) + column);
    const Words4 low = from[0], high = from[1];
    float x[8];
    TESSERA_UNROLL
    for (int e = 0; e < 4; ++e) x[e] = float_of_bits(low.word[e]), x[4 + e] = float_of_bits(high.word[e]);
    TESSERA_UNROLL
    for (int e = 0; e < 8; ++e) x[e] = rounded(x[e], b.a.out_element);
    quantize_eight(b.a.made, b.token(row), b.head(row) * b.a.head_dim + column, true, x);
  }
}

// do_four(row, column) for every four columns of the block's rows.
template <typename S, typename F>
TESSERA_DEVICE void for_each_four(const DecodeBlock<S>& b, const F& do_four) {
  TESSERA_LOOP
  for (int i = thread(); i < b.n_rows * (S::kDim / 4); i += S::kThreads) {
    const int row = i / (S::kDim / 4), column = 4 * (i % (S::kDim / 4));
    if (column < b.a.head_dim) do_four(row, column);
  }
}

// By all threads, when all warps' sums are in shared memory.
template <typename S>
TESSERA_DEVICE void join_and_store(const DecodeBlock<S>& b) {
  const auto of_warps = [&](int row, int column) {
    return join<S::kKeyWarps>(
        S::kKeyWarps, [&](int w) { return b.note(w, row); },
        [&](int w) { return *cast<const Words4>(b.part(w, row) + column); });
  };
  const JoinedPieces<S> pieces(b);
  for_each_four(b, [&](int row, int column) {
    const JoinedSums x = of_warps(row, column);
    if (b.n_pieces == 1)
      store_output(b, row, column, x);
    else
      pieces.set(row, b.piece, 0, column, x);
  });
  int index = b.piece, n = b.n_pieces, stride = 1;  // among n parts, `stride` pieces apart
  TESSERA_LOOP
  for (int level = 0; n > 1; ++level) {
    const int group = index / kFan, n_members = min_of(kFan, n - group * kFan);
    if (!is_last_of(pieces.counter(level, group), n_members, b.flag)) return;
    const auto of_members = [&](int row, int column) {
      const auto piece = [&](int i) { return (group * kFan + i) * stride; };
      return join<kFan>(
          n_members, [&](int i) { return Words2(*pieces.note(row, piece(i), level)); },
          [&](int i) { return Words4(*pieces.sums(row, piece(i), column)); });
    };
    n = (n + kFan - 1) / kFan;
    for_each_four(b, [&](int row, int column) {
      const JoinedSums x = of_members(row, column);
      if (n == 1)
        store_output(b, row, column, x);
      else
        pieces.set(row, group * kFan * stride, level + 1, column, x);  // over the first
    });
    index = group, stride *= kFan;
  }
  if constexpr (kHasWholeGroups<S>)
    if (b.a.made.m != 0) make_form(b);
}

}  // namespace tessera::kernels::cuda
