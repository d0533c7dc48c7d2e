// gguf_linear for few tokens with the activations as they are: values of the weights as f32, products and sums in f32,
// in one pass over the packed rows. The way of --exact, and of weights that are plain floats. Reference:
// kernels/cpu/linear_reference.h. Bytes moved: the rows once; activations come from L1 and L2.
//
// A warp takes a row after the other and streams it in pieces of 1024 values through a ring of its own in shared
// memory: 16-byte asynchronous copies keep kStages - 1 pieces in flight, whatever the registers do, also from one row
// to the next. Each lane unpacks one slice of 32 values of a piece and multiplies it with every token. The copies begin
// at the multiple of 16 below a piece, so blocks of 210, 34 or 18 bytes cost no narrow loads from memory.
#pragma once

#include "kernels/cuda/formats.cuh"
#include "kernels/cuda/launch.cuh"

namespace tessera::kernels::cuda {

inline constexpr int kExactWarps = 4;
inline constexpr int kPieceSlices = 32, kPieceValues = kPieceSlices * kSlice;

// Little's law: 4.5 TB/s for 0.8 us are 27 KB in flight on each of 132 multiprocessors. Eight pieces of 576 bytes and
// 16 warps are 74 KB; rows of floats need fewer.
template <typename F>
struct Ring {
  static constexpr int kPieceBytes = kPieceValues / F::kValues * F::kBytes;
  static constexpr int kStages = kPieceBytes > 1088 ? 4 : 8;
  static constexpr int kStageBytes = (kPieceBytes + 15 + 15) / 16 * 16;  // begins up to 15 bytes early
  static constexpr int kWarpBytes = kStages * kStageBytes;
};

// One row among those of all jobs.
struct RowPlace {
  int job, row;
};
TESSERA_DEVICE RowPlace place_of_row(const LinearArgs& a, int unit) {
  int job = 0;
  TESSERA_UNROLL
  for (int i = 0; i + 1 < kMaxJobs; ++i) {
    const bool is_past = job == i && i + 1 < a.n_jobs && unit >= a.jobs[i].n;
    if (is_past) unit -= a.jobs[i].n, job = i + 1;
  }
  return {job, unit};
}

// The rows of one warp as one stream of pieces; kRows: 1, or 2 where a gate precedes each row.
template <typename F, int kRows>
struct PieceStream {
  const LinearArgs& args;
  Shared<uint8_t> ring;
  int n_units, first_unit, unit_step, n_pieces;
  // What is copied next.
  int unit, which, piece, stage;

  TESSERA_DEVICE PieceStream(const LinearArgs& a, Shared<uint8_t> memory) : args(a), ring(memory) {
    n_units = 0;
    for (int i = 0; i < a.n_jobs; ++i) n_units += a.jobs[i].n;
    first_unit = block_x() * kExactWarps + warp();
    unit_step = n_blocks_x() * kExactWarps;
    n_pieces = (a.x.k + kPieceValues - 1) / kPieceValues;
    unit = first_unit, which = 0, piece = 0, stage = 0;
  }

  TESSERA_DEVICE Address address_of(int of_unit, int of_which, int of_piece) const {
    const RowPlace at = place_of_row(args, of_unit);
    const LinearJob& job = args.jobs[at.job];
    const Address rows = kRows == 2 && of_which == 0 ? job.gate : job.weight;
    return rows + static_cast<Address>(at.row * row_bytes<F>(args.x.k)) +
           static_cast<Address>(of_piece) * Ring<F>::kPieceBytes;
  }

  // Starts the copy of the next piece, if there is one, and closes its group in any case.
  TESSERA_DEVICE void copy_next() {
    if (unit < n_units) {
      const Address from = address_of(unit, which, piece);
      const int lead = static_cast<int>(from % 16);
      const int64_t left = row_bytes<F>(args.x.k) - int64_t{piece} * Ring<F>::kPieceBytes;
      const int bytes = lead + (left < Ring<F>::kPieceBytes ? static_cast<int>(left) : Ring<F>::kPieceBytes);
      const auto source = global<const uint8_t>(from - static_cast<Address>(lead));
      const auto target = ring + stage * Ring<F>::kStageBytes;
      for (int at = 16 * lane(); at < bytes; at += 16 * kWarp) copy_async16(target + at, source + at);
      if (++piece == n_pieces) {
        piece = 0;
        if (++which == kRows) which = 0, unit += unit_step;
      }
    }
    commit_copies();
    stage = stage + 1 == Ring<F>::kStages ? 0 : stage + 1;
  }
};

// Adds to every token's sum `n` weights times its activations from `at` on, which lie in whole words of 16 bytes:
// weight(i) is the i-th.
template <int n, int kTokens, typename Weight>
TESSERA_DEVICE void add_products(const Activations& x, int at, const Weight& weight, float (&acc)[kTokens]) {
  const auto values = global<const float>(x.values);
  TESSERA_UNROLL
  for (int t = 0; t < kTokens; ++t) {
    const auto row = cast<const uint8_t>(values + (int64_t{min_of(t, x.m - 1)} * x.k + at));
    TESSERA_UNROLL
    for (int i = 0; i < n; i += 4) {
      const Words4 four = load_words4(row + 4 * i);
      TESSERA_UNROLL
      for (int j = 0; j < 4; ++j) acc[t] += weight(i + j) * float_of_bits(four.word[j]);
    }
  }
}

// A piece of a row of floats, 16 bytes a lane at a time. Where rows begin or end between multiples of 16 bytes, value
// by value.
template <typename F, int kTokens>
TESSERA_DEVICE void multiply_floats(const Activations& x, Shared<const uint8_t> data, int first,
                                    float (&acc)[kTokens]) {
  constexpr int kWide = F::kInWords4;
  if (x.k % kWide == 0 && misalignment(data, 16) == 0) {
    TESSERA_UNROLL
    for (int step = 0; step < kPieceSlices / kWide; ++step) {
      const int at = kWide * (step * kWarp + lane());
      if (first + at >= x.k) return;
      const Words4 w = load_words4(data + at * F::kAlignment);
      add_products<kWide>(
          x, first + at, [&](int i) { return F::value_of(w, i); }, acc);
    }
  } else {
    const auto values = global<const float>(x.values);
    for (int at = lane(); at < kPieceValues && first + at < x.k; at += kWarp) {
      const float w = F::value(data, at);
      TESSERA_UNROLL
      for (int t = 0; t < kTokens; ++t) acc[t] += w * values[int64_t{min_of(t, x.m - 1)} * x.k + first + at];
    }
  }
}

// A piece of a row of blocks, a slice a lane.
template <typename F, int kTokens>
TESSERA_DEVICE void multiply_blocks(const Activations& x, Shared<const uint8_t> data, int first,
                                    float (&acc)[kTokens]) {
  const int at = lane() * kSlice;
  if (first + at >= x.k) return;
  float w[kSlice];
  dequantize_slice<F>(data, lane(), x.k, w);
  add_products<kSlice>(
      x, first + at, [&](int i) { return w[i]; }, acc);
}

// Blocks a multiprocessor must hold: as many as leave the registers that so many tokens need without spilling.
constexpr int min_blocks(int n_tokens) { return n_tokens <= 4 ? 4 : n_tokens <= 8 ? 3 : 2; }

template <typename F, int kTokens, int kRows>
TESSERA_KERNEL(kExactWarps* kWarp, min_blocks(kTokens))
matvec_exact_kernel(LinearArgs args) {
  using R = Ring<F>;
  const auto memory = shared_memory();
  PieceStream<F, kRows> stream(args, memory + warp() * R::kWarpBytes);
  for (int i = 0; i < R::kStages - 1; ++i) stream.copy_next();  // weights do not depend on the launch before
  wait_for_previous();
  let_next_start();  // attention after it reads what earlier launches wrote, and does not wait for that (words.cuh)
  int stage = 0;
  for (int unit = stream.first_unit; unit < stream.n_units; unit += stream.unit_step) {
    const RowPlace at = place_of_row(args, unit);
    const LinearJob& job = args.jobs[at.job];
    float results[kRows][kTokens];
    TESSERA_UNROLL
    for (int which = 0; which < kRows; ++which) {
      float(&acc)[kTokens] = results[which];
      TESSERA_UNROLL
      for (int t = 0; t < kTokens; ++t) acc[t] = 0;
      const auto lead = stream.address_of(unit, which, 0) % 16;
      for (int piece = 0; piece < stream.n_pieces; ++piece) {
        wait_copies<R::kStages - 2>();
        sync_warp();         // every lane's part of this piece is there, and the piece before it has been read
        stream.copy_next();  // over the piece before it
        const auto offset = (lead + static_cast<Address>(piece) * R::kPieceBytes) % 16;
        const Shared<const uint8_t> data = stream.ring + (stage * R::kStageBytes + static_cast<int>(offset));
        if constexpr (F::kIsFloat)
          multiply_floats<F>(args.x, data, piece * kPieceValues, acc);
        else
          multiply_blocks<F>(args.x, data, piece * kPieceValues, acc);
        stage = stage + 1 == R::kStages ? 0 : stage + 1;
      }
      TESSERA_UNROLL
      for (int t = 0; t < kTokens; ++t) acc[t] = warp_sum(acc[t]);
    }
    if (lane() != 0) continue;
    // By one lane: an index that depends on the lane would move the sums to local memory.
    const float bias = job.bias != 0 ? global<const float>(job.bias)[at.row] : 0.0f;
    TESSERA_UNROLL
    for (int t = 0; t < kTokens; ++t) {
      float value = results[kRows - 1][t] + bias;
      if constexpr (kRows == 2) value *= gelu_tanh(results[0][t]);
      if (t < args.x.m) store_float(job.out, job.out_element, int64_t{t} * job.n + at.row, value);
    }
  }
}

// ---- launching ------------------------------------------------------------------------------------------------------

inline int n_units_of(const LinearArgs& args) {
  int n_units = 0;
  for (int i = 0; i < args.n_jobs; ++i) n_units += args.jobs[i].n;
  return n_units;
}

template <typename F, int kTokens, int kRows>
int launch_matvec_exact(Device& device, const LinearArgs& args, Failure* failure) {
  const int n_units = n_units_of(args);
  Launch shape;
  shape.threads = kExactWarps * kWarp;
  shape.shared_bytes = kExactWarps * Ring<F>::kWarpBytes;
  const auto kernel = matvec_exact_kernel<F, kTokens, kRows>;
  shape.blocks.x = min_of_sizes((n_units + kExactWarps - 1) / kExactWarps, resident_blocks(device, kernel, shape));
  return launch(device, shape, kernel, args, failure);
}

template <typename F, int kTokens>
int launch_matvec_exact(Device& device, const LinearArgs& args, Failure* failure) {
  if (args.jobs[0].gate != 0) return launch_matvec_exact<F, kTokens, 2>(device, args, failure);
  return launch_matvec_exact<F, kTokens, 1>(device, args, failure);
}

// Tokens [first, first + n) of exact arguments.
inline LinearArgs some_tokens(const LinearArgs& args, int first, int n) {
  LinearArgs out = args;
  out.x.m = n;
  out.x.values += static_cast<Address>(first) * static_cast<Address>(args.x.k) * sizeof(float);
  for (int i = 0; i < args.n_jobs; ++i)
    out.jobs[i].out += static_cast<Address>(first) * static_cast<Address>(args.jobs[i].n) *
                       (args.jobs[i].out_element == Element::kF32 ? sizeof(float) : sizeof(uint16_t));
  return out;
}

template <typename F>
int matvec_exact(Device& device, const LinearArgs& args, Failure* failure) {
  constexpr int kMany = F::kIsFloat ? 8 : 4;  // values of 32 codes and eight sums would spill
  const int m = args.x.m;
  if (m == 1) return launch_matvec_exact<F, 1>(device, args, failure);
  for (int first = 0; first < m; first += kMany)
    if (launch_matvec_exact<F, kMany>(device, some_tokens(args, first, min_of_sizes(kMany, m - first)), failure))
      return 1;
  return 0;
}

}  // namespace tessera::kernels::cuda
