// gguf_linear for up to kFewTokens tokens with int8 activations, in one pass over the packed rows. Arithmetic:
// kernels/cpu/arithmetic.md. Bytes moved: the rows once (n row_bytes).
//
// A lane has a quarter of a unit of 256 values of its warp's part of the rows (matvec_parts.cuh), and the activations
// of that in registers: of a row it loads the packed bytes and nothing else, and what is integer in a block of 256
// values stays so. The lanes' sums of a stage's rows are added at once; those of a row's parts when the block has all
// its rows, always in the same order.
#pragma once

#include "kernels/cuda/matvec_form.cuh"
#include "kernels/cuda/matvec_parts.cuh"

namespace tessera::kernels::cuda {

// The activations of lane `lane` / 4's unit, quarter lane % 4. Where the part has fewer units, or the row fewer slices,
// scales are 0.
template <typename F>
TESSERA_DEVICE QuarterInput<F> load_input(const PartWork& work, int token, int part) {
  const Activations& x = work.args.x;
  const int first = part * work.units_of_part + lane() / 4, j = lane() % 4;
  const bool is_mine = lane() / 4 < work.units_of_part && first < work.n_units;
  const int unit = min_of(first, work.n_units - 1);
  const auto codes = global<const uint8_t>(x.q) + (token * padded_codes(x.k) + unit * kUnitValues);
  QuarterInput<F> out;
  int32_t sums[4];
  TESSERA_UNROLL
  for (int g = 0; g < 4; ++g) {
    out.codes[g] = load_words4(codes + few_order(F::sixteenth(j, g)) * 16);
    sums[g] = 0;
    TESSERA_UNROLL
    for (int i = 0; i < 4; ++i) sums[g] = dot4(out.codes[g].word[i], 0x01010101u, sums[g]);
  }
  out.sums.set(sums);
  constexpr int kScales = QuarterInput<F>::kScales;
  const auto d = global<const float>(x.d) + token * (x.k / F::kGroup);
  TESSERA_UNROLL
  for (int i = 0; i < kScales; ++i) {
    const int group = kScales == 1 ? unit : unit * kUnitSlices + 2 * j + i;
    const bool is_there = is_mine && group < x.k / F::kGroup;
    out.d[i] = is_there ? d[group] : 0.0f;
  }
  return out;
}

// Adds n values a lane over the warp, n a power of two: lane l has the sum of value l / (32 / n) in the end. Each step
// halves what a lane has, or how many lanes have the same.
template <int step = kWarp / 2, int n>
TESSERA_DEVICE float sum_over_lanes(const float (&x)[n]) {
  if constexpr (step == 0) {
    return x[0];
  } else if constexpr (n == 1) {
    const float sum[1] = {x[0] + shuffle_xor(x[0], step)};
    return sum_over_lanes<step / 2>(sum);
  } else {
    const bool is_upper = (lane() & step) != 0;
    float half[n / 2];
    TESSERA_UNROLL
    for (int i = 0; i < n / 2; ++i)
      half[i] = (is_upper ? x[i + n / 2] : x[i]) + shuffle_xor(is_upper ? x[i] : x[i + n / 2], step);
    return sum_over_lanes<step / 2>(half);
  }
}

// Adds the parts of the block's rows and stores the outputs. sums: (tokens, rows of weights, parts).
TESSERA_DEVICE void finish_rows(const PartWork& work, const BlockRows& rows, Shared<const float> sums) {
  static_assert(kFewTokens == 2);
  const LinearArgs& args = work.args;
  const int n_weights = work.weights_of_row, n_parts = work.n_parts;
  TESSERA_LOOP
  for (int i = thread(); i < args.x.m * rows.n; i += work.n_warps * kWarp) {
    const int token = i < rows.n ? 0 : 1;
    const auto parts = sums + i * n_weights * n_parts;
    float low = 0, high = 0;
    TESSERA_LOOP
    for (int p = 0; p < n_parts; ++p) {
      low += parts[p];
      if (n_weights == 2) high += parts[n_parts + p];
    }
    const JobList::Place at = work.rows.find(rows.first + i - token * rows.n);
    const LinearJob& job = args.jobs[at.job];
    float value = low + (job.bias != 0 ? global<const float>(job.bias)[at.index] : 0.0f);
    if (n_weights == 2) {
      value = high * gelu_tanh(low);
      if (args.made.m != 0) leave_float(word_of_output(args, token, at.index), value);
    }
    store_float(job.out, job.out_element, int64_t{token} * job.n + at.index, value);
  }
}

template <typename F, int kTokens, bool is_whole>
TESSERA_KERNEL(kMostWarps* kWarp, 1)
matvec_few_kernel(PartWork work) {
  using S = PartShape<F>;
  constexpr int kSums = S::kRows * kTokens;
  const auto memory = shared_memory();
  const BlockRows rows(work);
  const WarpRows mine(work, rows);
  PartStream<F, kTokens> stream(work, rows, mine, memory + warp() * work.warp_bytes);
  stream.fill(work.is_paced);  // weights do not depend on the launch before
  wait_for_previous();
  let_next_start();  // attention after it reads what earlier launches wrote, and does not wait for that (words.cuh)
  sync_warp();       // every lane has noted where its rows' parts begin
  const auto sums = cast<float>(memory + work.n_warps * work.warp_bytes);
  const int place = lane() / (kWarp / kSums), token = place / S::kRows, row_of_stage = place % S::kRows;
  const bool stores = lane() % (kWarp / kSums) == 0 && token < work.args.x.m;
  for (int part = mine.part; part < work.n_parts; part += work.warps_of_row.value) {
    const int first_unit = part * work.units_of_part;
    const int unit = min_of(lane() / 4, min_of(work.units_of_part, work.n_units - first_unit) - 1);
    const int n_slices = work.args.x.k / kSlice - (first_unit + unit) * kUnitSlices;
    QuarterInput<F> x[kTokens];
    TESSERA_UNROLL
    for (int t = 0; t < kTokens; ++t) x[t] = load_input<F>(work, min_of(t, work.args.x.m - 1), part);
    for (int row = stream.first_row(); row < mine.end; row += S::kRows) {
      stream.wait();
      float products[kSums];
      TESSERA_UNROLL
      for (int r = 0; r < S::kRows; ++r) {
        const auto quarter = F::fetch_quarter(stream.row(r), lead_of<is_whole>(stream.lead(r)) + unit * S::kUnitBytes,
                                              lane() % 4, is_whole ? kUnitSlices : min_of(n_slices, kUnitSlices));
        TESSERA_UNROLL
        for (int t = 0; t < kTokens; ++t) products[t * S::kRows + r] = F::product(quarter, x[t]);
      }
      const float sum = sum_over_lanes(products);
      const int at = row + row_of_stage;
      if (stores && at >= mine.begin && at < mine.end)
        sums[(token * rows.n * work.weights_of_row + at) * work.n_parts + part] = sum;
      sync_warp();  // all lanes have read the stage
      stream.copy_next();
    }
  }
  sync_block();
  finish_rows(work, rows, sums);
  if (work.args.made.m == 0) return;
  sync_block();
  make_form_of_outputs(work.args, work.n_warps, rows.first, rows.first + rows.n);
}

template <typename F, int kTokens>
int launch_matvec_few(Device& device, const LinearArgs& args, Failure* failure) {
  PartWork work = PartWork::of<F>(args, device.shared_bytes);
  const int most_rows = (device.shared_bytes - work.ring_bytes()) / work.sums_bytes(1);
  if (most_rows <= 0) return fail(failure, "matvec: a row is too long for this device's shared memory");
  const int most_blocks = device.n_multiprocessors - spare_multiprocessors(device);
  work.deal_out(most_blocks * pieces_of(work.rows.n(), most_blocks * most_rows));
  work.is_paced = device.last_blocks <= spare_multiprocessors(device);
  Launch shape;
  shape.threads = work.n_warps * kWarp;
  shape.shared_bytes = work.ring_bytes() + work.sums_bytes(work.ranges.most());
  shape.blocks.x = work.ranges.n_blocks;
  return for_units<F>(args, [&](auto is_whole) {
    return launch(device, shape, matvec_few_kernel<F, kTokens, is_whole.value>, work, failure);
  });
}

template <typename F>
int matvec_few(Device& device, const LinearArgs& args, Failure* failure) {
  for (int i = 0; i < args.n_jobs; ++i)
    if ((args.jobs[i].gate != 0) != (args.jobs[0].gate != 0))
      return fail(failure, "matvec: all weights have gates, or none");
  if (args.x.m == 1) return launch_matvec_few<F, 1>(device, args, failure);
  return launch_matvec_few<F, kFewTokens>(device, args, failure);
}

}  // namespace tessera::kernels::cuda
