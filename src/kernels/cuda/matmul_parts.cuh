// How the tiles of a matmul, of rows of the weights and tokens, are dealt out to blocks. As many as fill the device
// some times are a block's each. Those left over would keep few multiprocessors busy as long as all of the others: they
// are cut along k, a block for each part. The blocks of a tile's first parts leave their sums in scratch, and that of
// the last one, which starts after them, waits and adds them to its own, always in the same order.
#pragma once

#include "kernels/cuda/division.cuh"
#include "kernels/cuda/row_tiles.cuh"

namespace tessera::kernels::cuda {

inline constexpr int kMostParts = 8;  // of a tile

// A launch, worked out on the host. Tiles of the same rows follow each other: blocks that run at the same time read the
// same weights.
struct MatmulWork {
  TiledLinear tiled;
  Divisor token_tiles;  // of each row tile
  int32_t n_tiles, n_whole, n_rounds;
  Divisor n_parts;  // of each tile from n_whole on

  MatmulWork(const LinearArgs& args, int rows_of_block, int tokens_of_block, int rounds)
      : tiled(args),
        token_tiles(divisor_of(pieces_of(args.x.m, tokens_of_block))),
        n_tiles(pieces_of(tiled.tiles.n(), rows_of_block) * token_tiles.value),
        n_whole(n_tiles),
        n_rounds(rounds),
        n_parts(divisor_of(1)) {}
  int n_blocks() const { return n_whole + (n_tiles - n_whole) * n_parts.value; }

  // Cuts what is left over when n_slots blocks run at once, if that ends earlier, into parts that leave up to n_left
  // sums. Beginning a part and adding its sums take some half of a round.
  void cut(int n_slots, int n_left) {
    const int left_over = n_tiles % n_slots;
    int best = left_over > 0 ? 2 * n_rounds : 0;  // in half rounds
    for (int parts = 2; parts <= kMostParts && parts <= n_rounds && left_over * (parts - 1) <= n_left; ++parts) {
      const int time = 2 * pieces_of(left_over * parts, n_slots) * pieces_of(n_rounds, parts) + parts;
      if (time >= best) continue;
      best = time, n_whole = n_tiles - left_over, n_parts = divisor_of(parts);
    }
  }
};

// What one block does.
struct MatmulShare {
  int row_tile, token_tile;
  int part = 0, n_left = 0, first_left = 0;  // of a tile that is cut: n_left parts before the last one leave their sums
  int first_round = 0, end_round;

  TESSERA_DEVICE explicit MatmulShare(const MatmulWork& work) : end_round(work.n_rounds) {
    int tile = block_x();
    if (tile >= work.n_whole) {
      const int cut_tile = quotient(tile - work.n_whole, work.n_parts);
      part = tile - work.n_whole - cut_tile * work.n_parts.value;
      n_left = work.n_parts.value - 1, first_left = cut_tile * n_left;
      tile = work.n_whole + cut_tile;
      first_round = quotient(work.n_rounds * part, work.n_parts);
      end_round = quotient(work.n_rounds * (part + 1), work.n_parts);
    }
    row_tile = quotient(tile, work.token_tiles);
    token_tile = tile - row_tile * work.token_tiles.value;
  }
};

// Sums of blocks on their way: flags, then kSums floats of each thread of each part.
template <int kThreads, int kSums>
struct LeftSums {
  static constexpr uint64_t kBytes = uint64_t{kThreads} * kSums * sizeof(float);  // of a part
  static constexpr int most() {
    return min_of_sizes(kMatmulFlagBytes / 4, static_cast<int>((kMatmulPartsBytes - kMatmulFlagBytes) / kBytes));
  }

  TESSERA_DEVICE static Global<uint32_t> flag(const LinearArgs& args, int place) {
    return global<uint32_t>(args.parts) + place;
  }
  TESSERA_DEVICE static Global<Words4> sums(const LinearArgs& args, int place) {
    return global<Words4>(args.parts + kMatmulFlagBytes + static_cast<uint32_t>(place) * kBytes) + thread();
  }
  TESSERA_DEVICE static void leave(const LinearArgs& args, int place, const float (&x)[kSums]) {
    const auto to = sums(args, place);
    TESSERA_UNROLL
    for (int i = 0; i < kSums; i += 4) to[i / 4 * kThreads] = words_of(x[i], x[i + 1], x[i + 2], x[i + 3]);
    sync_block();
    if (thread() != 0) return;
    fence();
    leave_word(flag(args, place), 1);
  }
  // Adds the sums of n places from `first` on to x.
  TESSERA_DEVICE static void take(const LinearArgs& args, int first, int n, float (&x)[kSums]) {
    const int end = first + n;
    if (thread() == 0) {
      for (int place = first; place < end; ++place) {
        while (load_past_caches(flag(args, place)) == 0) look_again();
        leave_word(flag(args, place), 0);
      }
      fence();
    }
    sync_block();
    TESSERA_LOOP
    for (int place = first; place < end; ++place) {
      const auto from = sums(args, place);
      TESSERA_UNROLL
      for (int i = 0; i < kSums; i += 4) {
        const Words4 words = from[i / 4 * kThreads];
        TESSERA_UNROLL
        for (int j = 0; j < 4; ++j) x[i + j] += float_of_bits(words.word[j]);
      }
    }
  }
};

}  // namespace tessera::kernels::cuda
