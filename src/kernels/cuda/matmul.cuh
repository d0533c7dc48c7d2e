// gguf_linear for many tokens on the tensor cores: out[t, n] = sum_k x[t, k] w[n, k] (+ bias), or gelu_tanh of a gate's
// product times it. x in f16, each token scaled by a power of two so that nothing overflows; w dequantized to f16 in
// registers; sums in f32. Bound of the rounding: each factor within 2^-10 of its value.
//
// Each warp has a tile of sixteen rows, whose packed units it streams through a ring of its own in shared memory
// (row_tiles.cuh); the block's warps share a ring of tiles of kTokens x 64 of x. Slice by slice a warp makes f16 of
// its rows' codes, in the registers the product takes them from, while the product of the slice before still runs. So
// the order of values within 16 is the lanes' (half_values), and x was laid out in that order (activations.cuh).
#pragma once

#include "kernels/cuda/bulk_copies.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/matmul_parts.cuh"
#include "kernels/cuda/warpgroup.cuh"

namespace tessera::kernels::cuda {

template <typename F, int kWarps, int kTokens>
struct MatmulShape {
  static constexpr int kThreads = kWarps * kWarp;
  static constexpr int kStages = 4, kAhead = kStages - 2;  // a stage is free when the step after its own has begun
  static constexpr int kTileBytes = kTokens * kTileRowBytes;
  // The smallest shape is the one that must fit into 99 KiB.
  static constexpr int kUnit = kWarps <= 8 && kTokens <= 64 ? F::kSmallMatmulUnit : F::kMatmulUnit;
  using U = Unit<F, kUnit>;
  static constexpr int kStepSlices = kTileDepth / kSlice, kUnitSteps = kUnit / kTileDepth;
  // Of the loop: an even number, and with it stages are constants.
  static constexpr int kRoundSteps = kUnitSteps < kStages ? kStages : kUnitSteps;
  static constexpr bool kMayEndWithin = F::kValues < kUnit || kUnitSteps < kRoundSteps;  // rows, in a round
  static constexpr int kUnits = (kAhead + kUnitSteps - 1) / kUnitSteps + 1;              // in a warp's ring
  static constexpr int kWarpBytes = kUnits * U::kStageBytes;
  using Copies = TileCopies<kStages, kThreads>;
  static constexpr int kRings = kStages * kTileBytes + kWarps * kWarpBytes;
  static constexpr int kSharedBytes = kRings + copies_bytes(2 * kStages);
  static constexpr int kBlocks = kWarps == 4 ? 4 : 1;  // of a multiprocessor, as far as registers go
  // Products on their way out: (tokens, rows of the block and 4) floats, with which the four tokens and eight rows of
  // a warp fall into different banks; and the scales of the tokens.
  static constexpr int kOutStride = kWarps * kTileRows + 4;
  static_assert((kTokens * kOutStride + kTokens) * 4 <= kRings);
};

template <typename F, int kWarps, int kTokens>
struct MatmulStreams {
  using S = MatmulShape<F, kWarps, kTokens>;
  typename S::U::Source source;
  int first_unit;                  // of the rows, of the block's part
  Address tiles;                   // the block's first of x
  uint32_t tile_stride;            // bytes from a step's to the next step's
  Shared<uint8_t> x_ring, w_ring;  // of the block, of this warp
  typename S::Copies copies;
  int n_steps;

  TESSERA_DEVICE Shared<uint8_t> unit_place(int unit) const { return w_ring + unit % S::kUnits * S::U::kStageBytes; }
  // Starts the copies that step `step` is the first to need, and closes their group in any case.
  TESSERA_DEVICE void copy_weights(int step) const {
    if (step >= n_steps || step % S::kUnitSteps != 0) return;
    const int unit = step / S::kUnitSteps;
    source.copy(first_unit + unit, unit_place(unit));
  }
  TESSERA_DEVICE Shared<uint8_t> tile_place(int step) const { return x_ring + step % S::kStages * S::kTileBytes; }
  TESSERA_DEVICE void copy_tokens(int step) const {
    if (step >= n_steps) return;
    const Address from = tiles + uint64_t{static_cast<uint32_t>(step)} * tile_stride;
    copies.start(tile_place(step), global<const uint8_t>(from), S::kTileBytes, step % S::kStages, step / S::kStages);
  }
};

// A warp's rows of a step as f16: a fragment for each 16 values.
struct StepWeights {
  uint32_t half[kTileDepth / 16][4];

  template <typename Quads>
  TESSERA_DEVICE void unpack(const Quads& w, int in_unit, int slice) {
    uint32_t row[2][4];
    TESSERA_UNROLL
    for (int i = 0; i < 2; ++i) half_values<typename Quads::Format>(w.row[i], in_unit, row[i]);
    TESSERA_UNROLL
    for (int i = 0; i < 4; ++i)
      half[2 * slice + i / 2][2 * (i % 2)] = row[0][i], half[2 * slice + i / 2][2 * (i % 2) + 1] = row[1][i];
  }
};

// Four neighbours of a row of outputs, of which the first `n` exist.
TESSERA_DEVICE void store_four(const LinearJob& job, int64_t at, int n, const float (&x)[4]) {
  if (n < 4 || job.n % 4 != 0) {
    for (int i = 0; i < min_of(n, 4); ++i) store_float(job.out, job.out_element, at + i, x[i]);
  } else if (job.out_element == Element::kF32) {
    *cast<Words4>(global<float>(job.out) + at) = words_of(x[0], x[1], x[2], x[3]);
  } else {
    *cast<Words2>(global<uint16_t>(job.out) + at) =
        Words2{{halves_of(x[0], x[1], job.out_element), halves_of(x[2], x[3], job.out_element)}};
  }
}

// A block's products, through shared memory, so that a warp stores neighbours of one token.
template <typename F, int kWarps, int kTokens>
struct ProductStore {
  using S = MatmulShape<F, kWarps, kTokens>;
  static constexpr int kFours = kWarps * kTileRows / 4;  // of one token; a thread always has the same one
  static_assert(S::kThreads % kFours == 0);
  const LinearArgs& args;
  Shared<float> products, scales;
  int first_token;
  RowTile tile;  // of the thread's four
  bool exists;

  TESSERA_DEVICE ProductStore(const TiledLinear& tiled, const MatmulShare& share, Shared<uint8_t> memory)
      : args(tiled.args),
        products(cast<float>(memory)),
        scales(products + kTokens * S::kOutStride),
        first_token(share.token_tile * kTokens) {
    const int at = share.row_tile * kWarps + thread() % kFours / 4;
    exists = at < tiled.tiles.n();
    tile = RowTile::of<F>(tiled, min_of(at, tiled.tiles.n() - 1));
    for (int i = thread(); i < kTokens; i += S::kThreads)
      scales[i] = global<const float>(args.x.d)[min_of(first_token + i, args.x.m - 1)];
    sync_block();
  }
  // A warp's accumulators.
  TESSERA_DEVICE void put(const float (&acc)[kTokens / 2], bool is_gated) const {
    TESSERA_UNROLL
    for (int i = 0; i < kTokens / 4; ++i) {
      const int at = i / 2 * 4 + i % 2, token = i / 2 * 8 + lane() % 4 * 2 + i % 2;
      const auto to = products + (token * S::kOutStride + warp() * kTileRows + lane() / 4);
      const float low = acc[at] * scales[token], high = acc[at + 2] * scales[token];
      to[0] = is_gated ? high * gelu_tanh(low) : low;
      to[8] = high;
    }
  }
  TESSERA_DEVICE void store() const {
    const LinearJob& job = args.jobs[tile.job];
    const int four = thread() % kFours, in_tile = four % 4 * 4, row = tile.first + in_tile;
    if (!exists || in_tile >= rows_of_tile(job) || row >= job.n) return;
    float bias[4] = {};
    if (job.bias != 0)
      for (int i = 0; i < 4; ++i) bias[i] = global<const float>(job.bias)[min_of(row + i, job.n - 1)];
    const int n_tokens = min_of(kTokens, args.x.m - first_token);
    for (int t = thread() / kFours; t < n_tokens; t += S::kThreads / kFours) {
      const Words4 in = load_words4(products + (t * S::kOutStride + 4 * four));
      float x[4];
      TESSERA_UNROLL
      for (int i = 0; i < 4; ++i) x[i] = float_of_bits(in.word[i]) + bias[i];
      store_four(job, int64_t{first_token + t} * job.n + row, job.n - row, x);
    }
  }
};

template <typename F, int kWarps, int kTokens>
TESSERA_KERNEL(kWarps* kWarp, (MatmulShape<F, kWarps, kTokens>::kBlocks))
matmul_kernel(MatmulWork work) {
  using S = MatmulShape<F, kWarps, kTokens>;
  const auto memory = shared_memory();
  const TiledLinear& tiled = work.tiled;
  const LinearArgs& args = tiled.args;
  const MatmulShare share(work);
  const RowTile tile = RowTile::of<F>(tiled, min_of(share.row_tile * kWarps + warp(), tiled.tiles.n() - 1));
  const Address rows[2] = {tile.address(lane() / 4), tile.address(lane() / 4 + 8)};
  const int first_step = share.first_round * S::kRoundSteps, first_unit = first_step / S::kUnitSteps;
  const int n_steps = min_of(tiled_values(args.x.k) / kTileDepth, share.end_round * S::kRoundSteps) - first_step;
  const auto tile_stride = static_cast<uint32_t>(padded_tokens(args.x.m) * kTileRowBytes);
  MatmulStreams<F, kWarps, kTokens> streams{{},
                                            first_unit,
                                            args.x.values + static_cast<Address>(share.token_tile) * S::kTileBytes +
                                                uint64_t{static_cast<uint32_t>(first_step)} * tile_stride,
                                            tile_stride,
                                            memory,
                                            memory + (S::kStages * S::kTileBytes + warp() * S::kWarpBytes),
                                            typename S::Copies(memory + S::kRings),
                                            n_steps};
  streams.source.set(tile);
  if (kWarps == 8) streams.source.keep();                                   // lanes of sixteen warps have 128 registers
  for (int step = 0; step < S::kAhead; ++step) streams.copy_weights(step);  // do not depend on the launch before
  wait_for_previous();
  let_next_start();
  for (int step = 0; step < S::kAhead; ++step) {
    streams.copy_tokens(step);
    commit_copies();
  }
  float acc[kTokens / 2];
  StepWeights a[2];  // of this step and of the one before, whose products are being made
  for (int round = 0; round < streams.n_steps; round += S::kRoundSteps) {
    QuadPair<F, S::kUnit> w;
    TESSERA_UNROLL
    for (int within = 0; within < S::kRoundSteps; ++within) {
      const int step = round + within, unit = step / S::kUnitSteps;
      wait_copies<S::kAhead - 1>();
      sync_warp();
      StepWeights& now = a[within % 2];
      TESSERA_UNROLL
      for (int slice = 0; slice < S::kStepSlices; ++slice) {
        const int in_unit = within % S::kUnitSteps * S::kStepSlices + slice;
        if (in_unit % F::kSharedSlices == 0)
          w = QuadPair<F, S::kUnit>::fetch(streams.unit_place(unit), rows, first_unit + unit, args.x.k);
        now.unpack(w, in_unit, slice);
      }
      streams.copies.meet();
      streams.copies.wait(step % S::kStages, step / S::kStages);
      warpgroup_arrive();
      TESSERA_UNROLL
      for (int depth = 0; depth < kTileDepth / 16; ++depth)
        multiply_tile<kTokens>(acc, now.half[depth], streams.tile_place(step), depth, step + depth > 0);
      warpgroup_commit();
      streams.copy_weights(step + S::kAhead);
      streams.copy_tokens(step + S::kAhead);
      commit_copies();
      warpgroup_wait<1>();  // the registers of the step before are free, and its stage
      if (step > 0) streams.copies.release((step - 1) % S::kStages);
      if (S::kMayEndWithin && step + 1 >= streams.n_steps) {
        wait_for_sums(acc);  // where two ways meet: else ptxas has products made one by one
        break;
      }
    }
  }
  wait_for_sums(acc);
  wait_copies<0>();
  sync_block();  // the rings are free
  using Left = LeftSums<S::kThreads, kTokens / 2>;
  if (share.part < share.n_left) return Left::leave(args, share.first_left + share.part, acc);
  if (share.n_left > 0) Left::take(args, share.first_left, share.n_left, acc);
  const ProductStore<F, kWarps, kTokens> out(tiled, share, memory);
  const bool is_gated = args.jobs[tile.job].gate != 0;
  if (is_gated)
    out.put(acc, true);
  else
    out.put(acc, false);
  sync_block();
  out.store();
}

template <typename F, int kWarps, int kTokens>
int launch_matmul(Device& device, const LinearArgs& args, Failure* failure) {
  using S = MatmulShape<F, kWarps, kTokens>;
  constexpr auto kernel = matmul_kernel<F, kWarps, kTokens>;
  Launch shape;
  shape.threads = S::kThreads;
  shape.shared_bytes = S::kSharedBytes;
  MatmulWork work(args, kWarps, kTokens, pieces_of(tiled_values(args.x.k) / kTileDepth, S::kRoundSteps));
  if (args.parts != 0) work.cut(resident_blocks(device, kernel, shape), LeftSums<S::kThreads, kTokens / 2>::most());
  shape.blocks.x = work.n_blocks();
  return launch(device, shape, kernel, work, failure);
}

// Sixteen warps hide the unpacking behind the products; cards with less shared memory hold the rings of eight, or of
// four.
template <typename F, int kTokens>
int launch_matmul(Device& device, const LinearArgs& args, Failure* failure) {
  if (device.shared_bytes >= MatmulShape<F, 16, kTokens>::kSharedBytes)
    return launch_matmul<F, 16, kTokens>(device, args, failure);
  if (device.shared_bytes >= MatmulShape<F, 8, kTokens>::kSharedBytes)
    return launch_matmul<F, 8, kTokens>(device, args, failure);
  if (device.shared_bytes >= MatmulShape<F, 8, 64>::kSharedBytes) return launch_matmul<F, 8, 64>(device, args, failure);
  return launch_matmul<F, 4, 64>(device, args, failure);
}

template <typename F>
int matmul(Device& device, const LinearArgs& args, Failure* failure) {
  if (args.x.form != Form::kF16Tiles) return fail(failure, "matmul needs the activations as tiles of f16");
  if (args.x.k % kSlice != 0) return fail(failure, "matmul needs rows of a multiple of 32");
  for (int i = 0; F::kIsFloat && i < args.n_jobs; ++i)
    if (args.jobs[i].weight % 16 != 0 || args.jobs[i].gate % 16 != 0)
      return fail(failure, "matmul needs floats at multiples of 16 bytes");
  // For few tokens unpacking is the work. Blocks of 64 rows share it out evenly, three to six to a multiprocessor.
  if (args.x.m <= 32) return launch_matmul<F, 4, 32>(device, args, failure);
  if (args.x.m <= 64) return launch_matmul<F, 4, 64>(device, args, failure);
  // An unpacked weight is used for twice as many tokens, and half as many warps, each with 128 sums a lane, suffice.
  if (args.x.m > 128 && device.shared_bytes >= MatmulShape<F, 8, 256>::kSharedBytes)
    return launch_matmul<F, 8, 256>(device, args, failure);
  return launch_matmul<F, 128>(device, args, failure);
}

}  // namespace tessera::kernels::cuda
