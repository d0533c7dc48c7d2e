// gguf_linear for up to 16 tokens: out[t, n] = sum_k x[t, k] w[n, k] (+ bias), in one pass over the packed rows.
// Reference: kernels/cpu/linear_reference.h. Bytes moved: the rows once (n row_bytes); activations come from L1 and L2.
//
// A warp takes a row after the other and streams it in pieces of 1024 values through a ring of its own in shared
// memory: 16-byte asynchronous copies keep kStages - 1 pieces in flight, whatever the registers do, also from one row
// to the next. Each lane unpacks one slice of 32 values of a piece and multiplies it with every token. The copies begin
// at the multiple of 16 below a piece, so blocks of 210, 34 or 18 bytes cost no narrow loads from memory.
//
// Where rows are long and few, the warps of a block share a row (kSplit): piece p belongs to warp p mod kWarps.
#pragma once

#include "kernels/cuda/formats.cuh"
#include "kernels/cuda/launch.cuh"

namespace tessera::kernels::cuda {

inline constexpr int kMatvecWarps = 4;
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

template <typename F>
TESSERA_DEVICE int64_t row_bytes(int k) {
  if constexpr (F::kIsFloat) return int64_t{k} * F::kAlignment;
  return int64_t{k / F::kValues} * F::kBytes;
}

// The rows of one warp as one stream of pieces; kRows: 1, or 2 where a gate precedes each row.
template <typename F, int kRows, bool kSplit>
struct PieceStream {
  const LinearArgs& args;
  Shared<uint8_t> ring;
  int n_units, first_unit, unit_step;
  int first_piece, piece_step, n_pieces;
  // What is copied next.
  int unit, which, piece, stage;

  TESSERA_DEVICE PieceStream(const LinearArgs& a, Shared<uint8_t> memory) : args(a), ring(memory) {
    n_units = 0;
    for (int i = 0; i < a.n_jobs; ++i) n_units += a.jobs[i].n;
    const int w = warp();
    first_unit = kSplit ? block_x() : block_x() * kMatvecWarps + w;
    unit_step = kSplit ? n_blocks_x() : n_blocks_x() * kMatvecWarps;
    first_piece = kSplit ? w : 0;
    piece_step = kSplit ? kMatvecWarps : 1;
    n_pieces = (a.x.k + kPieceValues - 1) / kPieceValues;
    unit = first_unit, which = 0, piece = first_piece, stage = 0;
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
      piece += piece_step;
      if (piece >= n_pieces) {
        piece = first_piece;
        if (++which == kRows) which = 0, unit += unit_step;
      }
    }
    commit_copies();
    stage = stage + 1 == Ring<F>::kStages ? 0 : stage + 1;
  }
};

// scale (sum of codes x q) - min (sum of q), of one slice and one token.
template <typename F>
TESSERA_DEVICE float dot_slice(const Slice<F::kScales>& w, const Words4 (&q)[2], uint32_t sums) {
  int32_t dot[2] = {0, 0};
  TESSERA_UNROLL
  for (int i = 0; i < 8; ++i) dot[i / 4] = dot4(w.codes[i], q[i / 4].word[i % 4], dot[i / 4]);
  const int32_t sum[2] = {static_cast<int16_t>(sums), static_cast<int16_t>(sums >> 16)};
  if constexpr (F::kScales == 2) {
    return w.scale[0] * static_cast<float>(dot[0] - F::kBias * sum[0]) +
           w.scale[1] * static_cast<float>(dot[1] - F::kBias * sum[1]);
  } else {
    const int32_t total = sum[0] + sum[1];
    const float codes = w.scale[0] * static_cast<float>(dot[0] + dot[1] - F::kBias * total);
    return F::kHasMin ? codes - w.min * static_cast<float>(total) : codes;
  }
}

template <typename F, int kTokens>
TESSERA_DEVICE void multiply_int8(const Activations& x, Shared<const uint8_t> data, int piece, float (&acc)[kTokens]) {
  const int slice = piece * kPieceSlices + lane();
  if (slice * kSlice >= x.k) return;
  const auto w = F::unpack(fetch_slice<F>(data, lane()), lane() % (F::kValues / kSlice));
  TESSERA_UNROLL
  for (int t = 0; t < kTokens; ++t) {
    const int64_t token = min_of(t, x.m - 1);  // those past m repeat the last one and are not stored
    const auto codes = global<const uint8_t>(x.q) + (token * x.k + slice * kSlice);
    const Words4 q[2] = {load_words4(codes), load_words4(codes + 16)};
    const uint32_t sums = global<const uint32_t>(x.sums)[token * (x.k / kSlice) + slice];
    const float d = global<const float>(x.d)[token * (x.k / F::kGroup) + slice * kSlice / F::kGroup];
    acc[t] += d * dot_slice<F>(w, q, sums);
  }
}

// Exact: values as f32, of blocks a slice a lane, of floats four values a lane, 128 a warp at a time.
template <typename F, int kTokens>
TESSERA_DEVICE void multiply_exact(const Activations& x, Shared<const uint8_t> data, int piece, float (&acc)[kTokens]) {
  const auto values = global<const float>(x.values);
  const int first = piece * kPieceValues;
  if constexpr (F::kIsFloat) {
    for (int at = 4 * lane(); at < kPieceValues && first + at < x.k; at += 4 * kWarp) {
      float w[4];
      float_values4<F>(data, at, x.k - first, w);
      TESSERA_UNROLL
      for (int t = 0; t < kTokens; ++t) {
        const int64_t row = int64_t{min_of(t, x.m - 1)} * x.k + first + at;
        for (int i = 0; i < min_of(4, x.k - first - at); ++i) acc[t] += w[i] * values[row + i];
      }
    }
  } else {
    const int at = lane() * kSlice;
    if (first + at >= x.k) return;
    float w[kSlice];
    dequantize_slice<F>(data, lane(), x.k, w);
    TESSERA_UNROLL
    for (int t = 0; t < kTokens; ++t) {
      const auto row = cast<const uint8_t>(values + (int64_t{min_of(t, x.m - 1)} * x.k + first + at));
      TESSERA_UNROLL
      for (int i = 0; i < kSlice; i += 4) {
        const Words4 four = load_words4(row + 4 * i);
        TESSERA_UNROLL
        for (int j = 0; j < 4; ++j) acc[t] += w[i + j] * float_of_bits(four.word[j]);
      }
    }
  }
}

// Blocks a multiprocessor must hold: as many as leave the registers that so many tokens need without spilling.
constexpr int min_blocks(int n_tokens) { return n_tokens <= 4 ? 4 : n_tokens <= 8 ? 3 : 2; }

// Sums over the warps of a block; scratch is (warps, tokens).
template <int kTokens>
TESSERA_DEVICE void sum_over_warps(float (&acc)[kTokens], Shared<float> scratch) {
  if (lane() == 0)
    for (int t = 0; t < kTokens; ++t) scratch[warp() * kTokens + t] = acc[t];
  sync_block();
  TESSERA_UNROLL
  for (int t = 0; t < kTokens; ++t) {
    acc[t] = 0;
    for (int w = 0; w < kMatvecWarps; ++w) acc[t] += scratch[w * kTokens + t];
  }
  sync_block();
}

template <typename F, bool kInt8, int kTokens, int kRows, bool kSplit>
TESSERA_KERNEL(kMatvecWarps* kWarp, min_blocks(kTokens))
matvec_kernel(LinearArgs args) {
  using R = Ring<F>;
  const auto memory = shared_memory();
  const auto scratch = cast<float>(memory + kMatvecWarps * R::kWarpBytes);  // (warps, tokens), with kSplit
  PieceStream<F, kRows, kSplit> stream(args, memory + warp() * R::kWarpBytes);
  for (int i = 0; i < R::kStages - 1; ++i) stream.copy_next();  // weights do not depend on the launch before
  wait_for_previous();
  let_next_start();
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
      for (int piece = stream.first_piece; piece < stream.n_pieces; piece += stream.piece_step) {
        wait_copies<R::kStages - 2>();
        sync_warp();         // every lane's part of this piece is there, and the piece before it has been read
        stream.copy_next();  // over the piece before it
        const auto offset = (lead + static_cast<Address>(piece) * R::kPieceBytes) % 16;
        const Shared<const uint8_t> data = stream.ring + (stage * R::kStageBytes + static_cast<int>(offset));
        if constexpr (kInt8)
          multiply_int8<F>(args.x, data, piece, acc);
        else
          multiply_exact<F>(args.x, data, piece, acc);
        stage = stage + 1 == R::kStages ? 0 : stage + 1;
      }
      TESSERA_UNROLL
      for (int t = 0; t < kTokens; ++t) acc[t] = warp_sum(acc[t]);
      if constexpr (kSplit) sum_over_warps(acc, scratch);
    }
    if (lane() != 0 || (kSplit && warp() != 0)) continue;
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

// ---- launching
// -------------------------------------------------------------------------------------------------------

template <typename F, bool kInt8, int kTokens, int kRows, bool kSplit>
int launch_matvec(Device& device, const LinearArgs& args, Failure* failure) {
  int n_units = 0;
  for (int i = 0; i < args.n_jobs; ++i) n_units += args.jobs[i].n;
  Launch shape;
  shape.threads = kMatvecWarps * kWarp;
  shape.shared_bytes =
      kMatvecWarps * Ring<F>::kWarpBytes + (kSplit ? kMatvecWarps * kTokens * static_cast<int>(sizeof(float)) : 0);
  const auto kernel = matvec_kernel<F, kInt8, kTokens, kRows, kSplit>;
  constexpr int kUnitsPerBlock = kSplit ? 1 : kMatvecWarps;
  shape.blocks.x =
      min_of_sizes((n_units + kUnitsPerBlock - 1) / kUnitsPerBlock, resident_blocks(device, kernel, shape));
  return launch(device, shape, kernel, args, failure);
}

template <typename F, bool kInt8, int kTokens>
int launch_matvec(Device& device, const LinearArgs& args, Failure* failure) {
  // A block's warps share a row when each still has four pieces of it.
  const bool is_long = args.x.k >= 4 * kMatvecWarps * kPieceValues;
  if (args.jobs[0].gate != 0) return launch_matvec<F, kInt8, kTokens, 2, false>(device, args, failure);
  if constexpr (kInt8)
    if (is_long) return launch_matvec<F, kInt8, kTokens, 1, true>(device, args, failure);
  return launch_matvec<F, kInt8, kTokens, 1, false>(device, args, failure);
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
int matvec(Device& device, const LinearArgs& args, Failure* failure) {
  const int m = args.x.m;
  if (args.x.form == Form::kF32) {
    constexpr int kMany = F::kIsFloat ? 8 : 4;  // values of 32 codes and eight sums would spill
    if (m == 1) return launch_matvec<F, false, 1>(device, args, failure);
    for (int first = 0; first < m; first += kMany)
      if (launch_matvec<F, false, kMany>(device, some_tokens(args, first, min_of_sizes(kMany, m - first)), failure))
        return 1;
    return 0;
  }
  if constexpr (F::kIsFloat) {
    return fail(failure, "matvec of floats needs the activations as f32");
  } else {
    if (args.x.group != F::kGroup) return fail(failure, "matvec: activations quantized in groups of another size");
    if (m == 1) return launch_matvec<F, true, 1>(device, args, failure);
    if (m == 2) return launch_matvec<F, true, 2>(device, args, failure);
    if (m <= 4) return launch_matvec<F, true, 4>(device, args, failure);
    if (m <= 8) return launch_matvec<F, true, 8>(device, args, failure);
    return launch_matvec<F, true, kMaxVecTokens>(device, args, failure);
  }
}

}  // namespace tessera::kernels::cuda
