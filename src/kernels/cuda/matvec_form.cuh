// What a gated launch of the int8 decode leaves besides its outputs: these in the form of the linear after it, as
// make_activations would make it of them (activations.cuh), without a launch of its own.
//
// A group of 256 outputs is 32 tiles, of some six blocks. The block that finishes the group's first tile makes its
// codes; it finds the outputs as words that are their own flags, as those of parts are (matvec_shares.cuh): inverted,
// and zeros again when they have been taken. The group's other tiles are of this range or of later ones, which are
// blocks before this one.
#pragma once

#include "kernels/cuda/activations.cuh"
#include "kernels/cuda/matvec_shares.cuh"

namespace tessera::kernels::cuda {

TESSERA_DEVICE Global<uint32_t> word_of_output(const LinearArgs& args, int token, int row) {
  return global<uint32_t>(args.outputs) + (token * args.jobs[0].n + row);
}

// By all threads, when the block has left the words of all its tiles: a warp per group and token.
template <typename S>
TESSERA_DEVICE void make_form_of_outputs(const MatvecWork& work, const MatvecShare& share) {
  constexpr int kValues = 256, kTiles = kValues / (kTileRows / 2);  // of a group
  const LinearArgs& args = work.tiled.args;
  const int first_tile = share.first_tile + (share.is_cut_before() ? 1 : 0);
  TESSERA_LOOP
  for (int group = (first_tile + kTiles - 1) / kTiles; group <= share.last_tile / kTiles; ++group) {
    TESSERA_LOOP
    for (int token = warp(); token < args.x.m; token += S::kWarps) {
      const int row = group * kValues + 8 * lane();
      float x[8];
      const auto words = word_of_output(args, token, row);
      take_floats([&](int i) { return words + i; }, x);
      TESSERA_UNROLL
      for (int i = 0; i < 8; ++i) x[i] = rounded(x[i], args.jobs[0].out_element);
      quantize_eight(args.made, token, row, true, x);
    }
  }
}

}  // namespace tessera::kernels::cuda
