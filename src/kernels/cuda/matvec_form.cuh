// What a gated launch of the int8 decode leaves besides its outputs: these in the form of the linear after it, as
// make_activations would make it of them (activations.cuh), without a launch of its own.
//
// A group of 256 outputs is some blocks' work. The block that has its first output makes its codes; it finds the
// outputs as words that are their own flags: inverted, as 0 is none (no float that arithmetic yields is 0 then: its
// NaNs are not all ones), and zeros again when they have been taken. The others are this block's or those of blocks
// before it.
#pragma once

#include "kernels/cuda/activations.cuh"

namespace tessera::kernels::cuda {

// Leaves a float, or four at a multiple of 16, for another block.
TESSERA_DEVICE void leave_float(Global<uint32_t> place, float value) { leave_word(place, ~bits_of_float(value)); }
TESSERA_DEVICE void leave_floats(Global<uint32_t> place, const float (&x)[4]) {
  leave_words(place, {~bits_of_float(x[0]), ~bits_of_float(x[1]), ~bits_of_float(x[2]), ~bits_of_float(x[3])});
}

// Takes n times four floats that others leave, when all are there: x[i] from place(i) on, multiples of 16. Asked for
// all at once. Where only n_there times four of them are left the others are 0.
template <int n, typename Place>
TESSERA_DEVICE void take_floats(const Place& place, float (&x)[n][4], int n_there = n) {
  uint32_t seen[n][4];
  bool is_there = false;
  while (!is_there) {
    is_there = true;
    TESSERA_UNROLL
    for (int i = 0; i < n; ++i) {
      for (uint32_t& word : seen[i]) word = ~0u;
      if (i < n_there) load_past_caches(place(i), seen[i]);
      for (const uint32_t word : seen[i]) is_there &= word != 0;
    }
    if (!is_there) look_again();
  }
  TESSERA_UNROLL
  for (int i = 0; i < n; ++i) {
    for (int j = 0; j < 4; ++j) x[i][j] = float_of_bits(~seen[i][j]);
    if (i < n_there) leave_words(place(i), {0, 0, 0, 0});
  }
}

TESSERA_DEVICE Global<uint32_t> word_of_output(const LinearArgs& args, int token, int row) {
  return global<uint32_t>(args.outputs) + (token * args.jobs[0].n + row);
}

// By all threads of n_warps warps, when the block has left the words of its rows, first to end - 1: a warp per group
// that begins among them, and token.
TESSERA_DEVICE void make_form_of_outputs(const LinearArgs& args, int n_warps, int first, int end) {
  constexpr int kValues = 256;  // of a group
  TESSERA_LOOP
  for (int begin = (first + kValues - 1) / kValues * kValues; begin < end; begin += kValues) {
    TESSERA_LOOP
    for (int token = warp(); token < args.x.m; token += n_warps) {
      const int row = begin + 8 * lane();
      float fours[2][4], x[8];
      const auto words = word_of_output(args, token, row);
      take_floats([&](int i) { return words + 4 * i; }, fours);
      TESSERA_UNROLL
      for (int i = 0; i < 8; ++i) x[i] = rounded(fours[i / 4][i % 4], args.jobs[0].out_element);
      quantize_eight(args.made, token, row, true, x);
    }
  }
}

}  // namespace tessera::kernels::cuda
