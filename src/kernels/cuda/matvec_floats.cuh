// gguf_linear of one token with weights that are floats: rows of whole 16-byte words go from memory to registers as
// they are. Sums and activations are f32. Reference: kernels/cpu/linear_reference.h. Bytes moved: the rows once;
// activations come from L1.
//
// Four warps take a row, or a row and its gate, a part each. A lane asks for eight words at once; what hides the
// latency is the number of warps. Rings in shared memory (matvec_exact.cuh) reach less here: there is next to no
// arithmetic to overlap, and their copies read memory more slowly than plain loads.
#pragma once

#include "kernels/cuda/matvec_exact.cuh"

namespace tessera::kernels::cuda {

inline constexpr int kFloatWarps = 8, kFloatLoads = 8, kFloatParts = 4;  // warps of a block, of a row

// Whether the rows of all jobs begin and end at multiples of 16 bytes.
template <typename F>
bool has_whole_words(const LinearArgs& args) {
  bool is_whole = args.x.k % F::kInWords4 == 0;
  for (int i = 0; i < args.n_jobs; ++i) is_whole &= (args.jobs[i].weight | args.jobs[i].gate) % 16 == 0;
  return is_whole;
}

template <typename F, int kRows>
TESSERA_KERNEL(kFloatWarps* kWarp, 4)
matvec_floats_kernel(LinearArgs args) {
  constexpr int kStep = F::kInWords4 * kWarp;                         // values of a load of a warp
  constexpr int kLoads = kFloatLoads / kRows;                         // at once
  constexpr int kParts = kFloatParts, kUnits = kFloatWarps / kParts;  // of a block
  const int part = warp() % kParts;
  const RowPlace at = place_of_row(args, block_x() * kUnits + warp() / kParts);
  const LinearJob& job = args.jobs[at.job];
  const bool is_there = at.row < job.n;
  const int n_steps = is_there ? (args.x.k + kStep - 1) / kStep : 0;
  const int from = n_steps * part / kParts * kStep, end = min_of(n_steps * (part + 1) / kParts * kStep, args.x.k);
  const auto start = static_cast<Address>(at.row * row_bytes<F>(args.x.k) + 16 * lane());
  const Address rows[2] = {job.weight + start, job.gate + start};
  const Address values = args.x.values + static_cast<Address>(F::kInWords4 * 4 * lane());
  const auto load = [](Address base, int offset) {
    return load_words4(global<const uint8_t>(base + static_cast<Address>(offset)));
  };
  const auto begin = [] {
    wait_for_previous();
    let_next_start();  // in this order: words.cuh
  };
  float sums[kRows] = {};
  for (int first = from; first < end; first += kLoads * kStep) {
    Words4 w[kRows][kLoads];
    const int left = end - first - F::kInWords4 * lane();
    TESSERA_UNROLL
    for (int r = 0; r < kRows; ++r) TESSERA_UNROLL
    for (int i = 0; i < kLoads; ++i)
      w[r][i] = i * kStep < left ? load(rows[r], (first + i * kStep) * F::kAlignment) : Words4{};
    if (first == from) begin();  // weights do not depend on the launch before
    TESSERA_UNROLL
    for (int i = 0; i < kLoads; ++i) {
      if (i * kStep >= left) continue;
      TESSERA_UNROLL
      for (int j = 0; j < F::kInWords4; j += 4) {
        const Words4 x = load(values, 4 * (first + i * kStep + j));
        TESSERA_UNROLL
        for (int r = 0; r < kRows; ++r) TESSERA_UNROLL
        for (int v = 0; v < 4; ++v) sums[r] += F::value_of(w[r][i], j + v) * float_of_bits(x.word[v]);
      }
    }
  }
  if (from >= end) begin();
  const auto parts = cast<float>(shared_memory()) + warp() / kParts * (kRows * kParts);  // (units, kRows, kParts)
  TESSERA_UNROLL
  for (int r = 0; r < kRows; ++r) {
    const float sum = warp_sum(sums[r]);
    if (lane() == 0) parts[r * kParts + part] = sum;
  }
  sync_block();
  if (lane() != 0 || part != 0 || !is_there) return;
  TESSERA_UNROLL
  for (int r = 0; r < kRows; ++r) {
    sums[r] = 0;
    TESSERA_UNROLL
    for (int p = 0; p < kParts; ++p) sums[r] += parts[r * kParts + p];
  }
  float value = sums[0] + (job.bias != 0 ? global<const float>(job.bias)[at.row] : 0.0f);
  if constexpr (kRows == 2) value *= gelu_tanh(sums[1]);
  store_float(job.out, job.out_element, at.row, value);
}

template <typename F, int kRows>
int launch_matvec_floats(Device& device, const LinearArgs& args, Failure* failure) {
  Launch shape;
  shape.threads = kFloatWarps * kWarp;
  shape.blocks.x = pieces_of(n_units_of(args), kFloatWarps / kFloatParts);
  shape.shared_bytes = kFloatWarps * kRows * static_cast<int>(sizeof(float));
  return launch(device, shape, matvec_floats_kernel<F, kRows>, args, failure);
}
template <typename F>
int matvec_floats(Device& device, const LinearArgs& args, Failure* failure) {
  if (args.jobs[0].gate != 0) return launch_matvec_floats<F, 2>(device, args, failure);
  return launch_matvec_floats<F, 1>(device, args, failure);
}

}  // namespace tessera::kernels::cuda
