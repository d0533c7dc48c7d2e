// Sixteen packed rows at a time, as the tensor cores take them, and their way through shared memory in units of 256
// or 64 values: 16-byte asynchronous copies from the multiple of 16 below a row's unit, so that blocks of
// 210, 34 or 18 bytes cost no narrow loads from memory. Rows of a stage lie an odd multiple of 16 bytes apart: the
// words that eight rows and four lanes read at once are in different banks.
//
// Where a job has a gate, a tile is eight rows of the gate and the same eight of the weight: a lane then holds both
// factors of an output.
#pragma once

#include "kernels/cuda/formats.cuh"

namespace tessera::kernels::cuda {

inline constexpr int kTileRows = 16;

constexpr int rows_of_tile(const LinearJob& job) { return job.gate != 0 ? kTileRows / 2 : kTileRows; }
constexpr int tiles_of(const LinearJob& job) { return (job.n + rows_of_tile(job) - 1) / rows_of_tile(job); }
constexpr int tiles_of(const LinearArgs& a) {
  int n = 0;
  for (int i = 0; i < a.n_jobs; ++i) n += tiles_of(a.jobs[i]);
  return n;
}

// A tile of one job: outputs first, first + 1, ...
struct RowTile {
  Address low, high;  // rows 0 .. 7 and 8 .. 15 come from these weights, at `first` and `first_high`
  int job, first, first_high, n;
  uint32_t row_bytes;

  template <typename F>
  TESSERA_DEVICE static RowTile of(const LinearArgs& a, int at, int index) {
    const LinearJob& job = a.jobs[at];
    const bool is_paired = job.gate != 0;
    const int first = index * rows_of_tile(job);
    return {is_paired ? job.gate : job.weight,
            job.weight,
            at,
            first,
            is_paired ? first : first + kTileRows / 2,
            job.n,
            static_cast<uint32_t>(kernels::cuda::row_bytes<F>(a.x.k))};
  }
  // Tile `index` of all jobs' tiles in order.
  template <typename F>
  TESSERA_DEVICE static RowTile among(const LinearArgs& a, int index) {
    int at = 0;
    TESSERA_UNROLL
    for (int i = 0; i + 1 < kMaxJobs; ++i)
      if (at == i && i + 1 < a.n_jobs && index >= tiles_of(a.jobs[i])) index -= tiles_of(a.jobs[i]), at = i + 1;
    return of<F>(a, at, index);
  }
  // Of row r in 0 .. 15; rows past the last repeat it.
  TESSERA_DEVICE Address address(int r) const {
    const bool is_high = r >= kTileRows / 2;
    const int row = min_of((is_high ? first_high - kTileRows / 2 : first) + r, n - 1);
    return (is_high ? high : low) + uint64_t{static_cast<uint32_t>(row)} * row_bytes;
  }
};

// kValues: 256, or 64 where blocks are no larger.
template <typename F, int kValues>
struct Unit {
  static constexpr int kSlices = kValues / kSlice, kBytes = kValues / F::kValues * F::kBytes;
  static constexpr int kLead = F::kAlignment >= 16 ? 0 : 16 - F::kAlignment;  // bytes before it in the first 16
  static constexpr int kChunks = (kBytes + kLead + 15) / 16;
  static constexpr int kStride = (kChunks | 1) * 16, kStageBytes = kTileRows * kStride;

  TESSERA_DEVICE static int count(int k) { return (k + kValues - 1) / kValues; }
  TESSERA_DEVICE static int lead(Address row, int unit) {
    return kLead == 0 ? 0 : static_cast<int>((row + static_cast<Address>(unit * kBytes)) % 16);
  }

  // What a lane copies of every unit of a tile: chunk i % kChunks of row i / kChunks, for i = lane, lane + 32, ...
  static constexpr int kCopies = kTileRows * kChunks, kRounds = (kCopies + kWarp - 1) / kWarp;
  struct Source {
    Address rows[kRounds];
    uint32_t row_bytes = 0;

    TESSERA_DEVICE void set(const RowTile& tile) {
      row_bytes = tile.row_bytes;
      TESSERA_UNROLL
      for (int round = 0; round < kRounds; ++round)
        rows[round] = tile.address(min_of((lane() + round * kWarp) / kChunks, kTileRows - 1));
    }
    // Starts the copies of unit `unit`, by one warp.
    TESSERA_DEVICE void copy(int unit, Shared<uint8_t> stage) const {
      const int left = static_cast<int>(row_bytes) - unit * kBytes, bytes = left < kBytes ? left : kBytes;
      TESSERA_UNROLL
      for (int round = 0; round < kRounds; ++round) {
        const int i = lane() + round * kWarp, chunk = i % kChunks;
        const Address from = rows[round] + static_cast<Address>(unit * kBytes);
        const int before = kLead == 0 ? 0 : static_cast<int>(from % 16);
        if ((kCopies % kWarp == 0 || i < kCopies) && 16 * chunk < before + bytes)
          copy_async16(stage + (i / kChunks * kStride + 16 * chunk),
                       global<const uint8_t>(from - static_cast<Address>(before)) + 16 * chunk);
      }
    }
  };
};

// The lane's quads of one unit: of rows lane / 4 and lane / 4 + 8 of the tile.
template <typename F, int kValues>
struct QuadPair {
  using U = Unit<F, kValues>;
  typename F::template Quad<U::kSlices> row[2];

  TESSERA_DEVICE static QuadPair fetch(Shared<const uint8_t> stage, const Address (&rows)[2], int unit, int k) {
    QuadPair out;
    const int n_slices = k / kSlice - unit * U::kSlices;
    TESSERA_UNROLL
    for (int i = 0; i < 2; ++i) {
      const int at = (lane() / 4 + 8 * i) * U::kStride + U::lead(rows[i], unit);
      out.row[i] = F::template fetch_quad<U::kSlices>(stage + at, lane() % 4, n_slices);
    }
    return out;
  }
};

}  // namespace tessera::kernels::cuda
