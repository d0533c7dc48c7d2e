// gguf_linear for many tokens on the tensor cores: out[t, n] = sum_k x[t, k] w[n, k] (+ bias), x in bf16, w dequantized
// tile by tile to bf16 in shared memory, sums in f32. Bound of the rounding: each factor within 2^-9 of its value.
//
// A block computes 128 tokens x 128 rows in steps of 64 along k. Copies of x run two steps ahead in a ring of three
// stages; of the weights, each thread fetches the slice of 32 values it will unpack in the next step before it
// multiplies in this one. Eight warps hold 64 x 32 outputs each: 64 accumulators a lane.
//
// Shared memory holds rows of 64 bf16 = eight chunks of 16 bytes; chunk c of row r lies at c ^ (r % 8), so that the
// eight rows a matrix load touches fall into different banks.
#pragma once

#include "kernels/cuda/formats.cuh"
#include "kernels/cuda/launch.cuh"

namespace tessera::kernels::cuda {

struct MatmulTile {
  static constexpr int kTokens = 128, kRows = 128, kDepth = 64, kWarps = 8, kThreads = kWarps * kWarp, kStages = 3;
  static constexpr int kRowBytes = kDepth * 2, kTileBytes = 128 * kRowBytes;
  static constexpr int kSharedBytes = (kStages + 2) * kTileBytes;  // x, and weights of this and the next step
  static constexpr int kWarpTokens = 64, kWarpRows = 32;
};

TESSERA_DEVICE int swizzled(int row, int chunk) { return row * MatmulTile::kRowBytes + ((chunk ^ (row % 8)) * 16); }

// A slice on its way from global to shared memory.
template <typename F, bool kIsFloat = F::kIsFloat>
struct SliceInFlight {
  typename F::Raw raw = {};
  TESSERA_DEVICE void fetch(Global<const uint8_t> row, int s, int) { raw = fetch_slice<F>(row, s); }
  TESSERA_DEVICE void unpack(int s, float (&out)[kSlice]) const {
    const auto slice = F::unpack(raw, s % (F::kValues / kSlice));
    TESSERA_UNROLL
    for (int i = 0; i < kSlice; ++i) out[i] = value_of<F>(slice, i);
  }
};
template <typename F>
struct SliceInFlight<F, true> {
  float values[kSlice];
  TESSERA_DEVICE void fetch(Global<const uint8_t> row, int s, int k) { dequantize_slice<F>(row, s, k, values); }
  TESSERA_DEVICE void unpack(int, float (&out)[kSlice]) const {
    TESSERA_UNROLL
    for (int i = 0; i < kSlice; ++i) out[i] = values[i];
  }
};

// Tokens [first, first + 128) of step `step` into a stage; a chunk past k is zero, a token past m repeats the last.
TESSERA_DEVICE void copy_tokens(const Activations& x, int first, int step, Shared<uint8_t> stage) {
  using T = MatmulTile;
  for (int i = thread(); i < T::kTokens * 8; i += T::kThreads) {
    const int row = i / 8, chunk = i % 8, at = step * T::kDepth + chunk * 8;
    const auto to = stage + swizzled(row, chunk);
    const int64_t token = min_of(first + row, x.m - 1);
    if (at < x.k)
      copy_async16(to, global<const uint8_t>(x.values) + (token * x.k + at) * 2);
    else
      *cast<Words4>(to) = Words4{{0, 0, 0, 0}};
  }
}

// Two threads per row of the tile, a slice each; slices past k are zero.
template <typename F>
struct WeightTile {
  Global<const uint8_t> row;
  int row_in_tile, half, k;
  SliceInFlight<F> slice;

  TESSERA_DEVICE WeightTile(const LinearJob& job, int first_row, int of_k) : k(of_k) {
    row_in_tile = thread() / 2;
    half = thread() % 2;
    const int64_t r = min_of(first_row + row_in_tile, job.n - 1);
    const int64_t bytes = F::kIsFloat ? int64_t{k} * F::kAlignment : int64_t{k / F::kValues} * F::kBytes;
    row = global<const uint8_t>(job.weight) + r * bytes;
  }
  TESSERA_DEVICE int index(int step) const { return 2 * step + half; }
  TESSERA_DEVICE void fetch(int step) {
    if (index(step) * kSlice < k) slice.fetch(row, index(step), k);
  }
  TESSERA_DEVICE void store(int step, Shared<uint8_t> tile) const {
    float values[kSlice];
    if (index(step) * kSlice < k) {
      slice.unpack(index(step), values);
    } else {
      TESSERA_UNROLL
      for (int i = 0; i < kSlice; ++i) values[i] = 0;
    }
    TESSERA_UNROLL
    for (int c = 0; c < 4; ++c) {
      Words4 chunk;
      TESSERA_UNROLL
      for (int i = 0; i < 4; ++i) chunk.word[i] = bf16x2_of(values[8 * c + 2 * i], values[8 * c + 2 * i + 1]);
      *cast<Words4>(tile + swizzled(row_in_tile, half * 4 + c)) = chunk;
    }
  }
};

using Accumulators = float[4][4][4];  // 16 tokens x 8 rows each: (tokens / 16, rows / 8, of the lane)

// One step: 64 values of k for the warp's 64 tokens x 32 rows.
TESSERA_DEVICE void multiply_tiles(Shared<const uint8_t> x, Shared<const uint8_t> w, Accumulators& acc) {
  using T = MatmulTile;
  const int first_token = warp() / 4 * T::kWarpTokens, first_row = warp() % 4 * T::kWarpRows;
  const int matrix = lane() / 8, in_matrix = lane() % 8;
  TESSERA_UNROLL
  for (int depth = 0; depth < T::kDepth / 16; ++depth) {
    uint32_t a[4][4], b[2][4];
    TESSERA_UNROLL
    for (int i = 0; i < 4; ++i)
      load_matrices(a[i], x + swizzled(first_token + 16 * i + matrix % 2 * 8 + in_matrix, 2 * depth + matrix / 2));
    TESSERA_UNROLL
    for (int j = 0; j < 2; ++j)
      load_matrices(b[j], w + swizzled(first_row + 16 * j + matrix / 2 * 8 + in_matrix, 2 * depth + matrix % 2));
    TESSERA_UNROLL
    for (int i = 0; i < 4; ++i) TESSERA_UNROLL
    for (int j = 0; j < 4; ++j) mma(acc[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
  }
}

TESSERA_DEVICE void store_tile(const LinearArgs& args, int first_token, int first_row, const Accumulators& acc) {
  const LinearJob& job = args.jobs[0];
  TESSERA_UNROLL
  for (int i = 0; i < 4; ++i) TESSERA_UNROLL
  for (int j = 0; j < 4; ++j) TESSERA_UNROLL
  for (int e = 0; e < 4; ++e) {
    const int token = first_token + 16 * i + e / 2 * 8 + lane() / 4;
    const int row = first_row + 8 * j + lane() % 4 * 2 + e % 2;
    if (token >= args.x.m || row >= job.n) continue;
    const float bias = job.bias != 0 ? global<const float>(job.bias)[row] : 0.0f;
    store_float(job.out, job.out_element, int64_t{token} * job.n + row, acc[i][j][e] + bias);
  }
}

template <typename F>
TESSERA_KERNEL(MatmulTile::kThreads, 1)
matmul_kernel(LinearArgs args) {
  using T = MatmulTile;
  const auto x_ring = shared_memory();
  const auto w_tiles = x_ring + T::kStages * T::kTileBytes;
  const int first_row = block_x() * T::kRows, first_token = block_y() * T::kTokens;
  const int n_steps = (args.x.k + T::kDepth - 1) / T::kDepth;
  WeightTile<F> weights(args.jobs[0], first_row, args.x.k);
  weights.fetch(0);
  weights.store(0, w_tiles);
  weights.fetch(1);
  wait_for_previous();
  let_next_start();
  for (int step = 0; step < T::kStages - 1; ++step) {
    if (step < n_steps) copy_tokens(args.x, first_token, step, x_ring + step * T::kTileBytes);
    commit_copies();
  }
  Accumulators acc = {};
  for (int step = 0; step < n_steps; ++step) {
    wait_copies<T::kStages - 2>();
    sync_block();  // this step's tiles are there, those of the step before have been read
    const int ahead = step + T::kStages - 1;
    if (ahead < n_steps) copy_tokens(args.x, first_token, ahead, x_ring + ahead % T::kStages * T::kTileBytes);
    commit_copies();
    multiply_tiles(x_ring + step % T::kStages * T::kTileBytes, w_tiles + step % 2 * T::kTileBytes, acc);
    if (step + 1 < n_steps) weights.store(step + 1, w_tiles + (step + 1) % 2 * T::kTileBytes);
    weights.fetch(step + 2);
  }
  store_tile(args, first_token + warp() / 4 * T::kWarpTokens, first_row + warp() % 4 * T::kWarpRows, acc);
}

template <typename F>
int matmul(Device& device, const LinearArgs& args, Failure* failure) {
  using T = MatmulTile;
  if (args.x.form != Form::kBF16) return fail(failure, "matmul needs the activations as bf16");
  if (args.x.k % kSlice != 0) return fail(failure, "matmul needs rows of a multiple of 32");
  Launch shape;
  shape.threads = T::kThreads;
  shape.shared_bytes = T::kSharedBytes;
  for (int i = 0; i < args.n_jobs; ++i) {
    if (args.jobs[i].gate != 0) return fail(failure, "matmul does not know gates");
    LinearArgs one = args;
    one.n_jobs = 1;
    one.jobs[0] = args.jobs[i];
    shape.blocks = {pieces_of(one.jobs[0].n, T::kRows), pieces_of(args.x.m, T::kTokens), 1};
    if (launch(device, shape, matmul_kernel<F>, one, failure)) return 1;
  }
  return 0;
}

}  // namespace tessera::kernels::cuda
