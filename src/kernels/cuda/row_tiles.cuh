// Sixteen packed rows at a time, as the tensor cores take them, and their way through shared memory in units of 64
// to 512 values: 16-byte asynchronous copies from the multiple of 16 below a row's unit, so that blocks of
// 210, 34 or 18 bytes cost no narrow loads from memory. Rows of a stage lie an odd multiple of 16 bytes apart: the
// words that eight rows and four lanes read at once are in different banks.
//
// Where a job has a gate, a tile is eight rows of the gate and the same eight of the weight: a lane then holds both
// factors of an output.
#pragma once

#include <type_traits>

#include "kernels/cuda/formats.cuh"
#include "kernels/cuda/work_list.cuh"

namespace tessera::kernels::cuda {

inline constexpr int kTileRows = 16;

constexpr int rows_of_tile(const LinearJob& job) { return job.gate != 0 ? kTileRows / 2 : kTileRows; }

// A launch's tiles, all jobs' in order.
struct TiledLinear {
  LinearArgs args;
  JobList tiles;

  explicit TiledLinear(const LinearArgs& a)
      : args(a), tiles(a, [](const LinearJob& job) { return pieces_of(job.n, rows_of_tile(job)); }) {}
};

// A tile of one job: outputs first, first + 1, ... Row r lies r rows after `low`, or from row 8 on after `high`; rows
// past the last one that exists repeat it.
struct RowTile {
  Address low, high;
  int last_low, last_high;  // rows that exist
  int job, first;
  uint32_t row_bytes;

  template <typename F>
  TESSERA_DEVICE static RowTile of(const TiledLinear& tiled, int index) {
    const JobList::Place at = tiled.tiles.find(index);
    const LinearJob& job = tiled.args.jobs[at.job];
    const bool is_paired = job.gate != 0;
    const int first = at.index * rows_of_tile(job), last = job.n - 1 - first;
    const auto row_bytes = static_cast<uint32_t>(kernels::cuda::row_bytes<F>(tiled.args.x.k));
    const Address begin = uint64_t{static_cast<uint32_t>(first)} * row_bytes,
                  half = uint64_t{kTileRows / 2} * row_bytes;
    return {(is_paired ? job.gate : job.weight) + begin,
            job.weight + begin - (is_paired ? half : 0),
            last,
            is_paired ? last + kTileRows / 2 : last,
            at.job,
            first,
            row_bytes};
  }
  // Of row r in 0 .. 15.
  TESSERA_DEVICE int clamped(int r) const { return min_of(r, r >= kTileRows / 2 ? last_high : last_low); }
  TESSERA_DEVICE Address address(int r) const {
    return (r >= kTileRows / 2 ? high : low) + uint64_t{static_cast<uint32_t>(clamped(r))} * row_bytes;
  }
};

// Where a lane is in a tile as the tensor cores have it: its rows are `row` and `row` + 8.
struct LanePlace {
  int row = once(lane() / 4), quarter = once(lane() % 4);
};

// kValues: a multiple of a block's and of 64.
template <typename F, int kValues>
struct Unit {
  static constexpr int kSlices = kValues / kSlice, kBytes = kValues / F::kValues * F::kBytes;
  // Bytes before it in the first 16. Rows of floats begin at multiples of 16.
  static constexpr int kLead = F::kIsFloat || F::kAlignment >= 16 ? 0 : 16 - F::kAlignment;
  static constexpr int kChunks = (kBytes + kLead + 15) / 16;
  // Four lanes of a row read words of codes, or two or four words each of floats of 16 or 32 bits.
  static constexpr int kSpread = F::kIsFloat ? F::kAlignment : 1;  // rows are so many chunks apart, and an even number
  static constexpr int kStride = (kSpread == 1 ? kChunks | 1 : (kChunks + 7) / 8 * 8 + kSpread) * 16;
  static constexpr int kStageBytes = kTileRows * kStride;

  static constexpr int count(int k) { return (k + kValues - 1) / kValues; }  // of a row
  TESSERA_DEVICE static int lead(Address row, int unit) {
    return kLead == 0 ? 0 : (static_cast<int>(row % 16) + unit * (kBytes % 16)) % 16;
  }

  // What a lane copies of every unit of a tile: of rows lane / kLanes, + kWarp / kLanes, ... the chunks lane % kLanes,
  // + kLanes, ... Eight neighbours of a row are in different banks.
  static constexpr int kLanes = 8, kRowStep = kWarp / kLanes, kRows = kTileRows / kRowStep;
  static constexpr bool kIsWhole = F::kValues == kValues && 16 * (kChunks - 1) < kBytes;  // all chunks hold bytes of it
  struct Source {
    Address rows[kRows];  // the lane's first chunk, as many bytes too far as the unit is from a multiple of 16
    int row_bytes = 0;

    TESSERA_DEVICE void set(const RowTile& tile) {
      row_bytes = static_cast<int>(tile.row_bytes);
      TESSERA_UNROLL
      for (int j = 0; j < kRows; ++j)
        rows[j] = tile.address(lane() / kLanes + j * kRowStep) + static_cast<Address>(lane() % kLanes * 16);
    }
    // In registers from here on: else each copy works its addresses out again.
    TESSERA_DEVICE void keep() {
      TESSERA_UNROLL
      for (int j = 0; j < kRows; ++j) rows[j] = once(rows[j]);
    }
    // Starts the copies of unit `unit`, by one warp. Chunks without a byte of the row are zeros; those of all units but
    // a row's last hold bytes of it, which is less to look at.
    TESSERA_DEVICE void copy(int unit, Shared<uint8_t> stage) const {
      const int left = row_bytes - unit * kBytes;
      if (kIsWhole || left > kBytes + kLead)
        copy_chunks<true>(unit, stage, kBytes);
      else
        copy_chunks<false>(unit, stage, min_of(left, kBytes));
    }
    template <bool kAllThere>
    TESSERA_DEVICE void copy_chunks(int unit, Shared<uint8_t> stage, int bytes) const {
      const int column = lane() % kLanes;
      TESSERA_UNROLL
      for (int j = 0; j < kRows; ++j) {
        const Address at = rows[j] + uint64_t{static_cast<uint32_t>(unit)} * kBytes;
        const Address from = at & ~Address{15};
        const auto to = stage + (lane() / kLanes * kStride + column * 16 + j * kRowStep * kStride);
        const int left = bytes + static_cast<int>(at % 16) - column * 16;
        TESSERA_UNROLL
        for (int chunk = 0; chunk < kChunks; chunk += kLanes) {
          if (chunk + kLanes > kChunks && column >= kChunks - chunk) continue;
          if constexpr (kAllThere)
            copy_async16(to + 16 * chunk, global<const uint8_t>(from) + 16 * chunk);
          else
            copy_async16_or_zeros(to + 16 * chunk, from + 16 * chunk, 16 * chunk < left);
        }
      }
    }
  };
};

// Of formats of 32 values: all units of all rows have all their slices, and begin at multiples of 4. Kernels that are
// told (is_whole) load a block's words at places that are known modulo 4.
inline bool has_whole_units(const LinearArgs& args) {
  Address rest = static_cast<Address>(args.x.k % kUnitValues);
  for (int i = 0; i < args.n_jobs; ++i) rest |= (args.jobs[i].weight | args.jobs[i].gate) % 4;
  return rest == 0;
}
// run(is_whole), which launches: std::true_type or std::false_type.
template <typename F, typename Run>
int for_units(const LinearArgs& args, const Run& run) {
  if constexpr (F::kValues < kUnitValues) {
    if (has_whole_units(args)) return run(std::true_type());
  }
  return run(std::false_type());
}
template <bool is_whole>
TESSERA_DEVICE int lead_of(int lead) {
  return is_whole ? lead & ~3 : lead;
}

// The lane's quads of one unit: of rows lane / 4 and lane / 4 + 8 of the tile.
template <typename F, int kValues>
struct QuadPair {
  using Format = F;
  using U = Unit<F, kValues>;
  typename F::template Quad<U::kSlices> row[2];

  TESSERA_DEVICE static QuadPair fetch(Shared<const uint8_t> stage, const Address (&rows)[2], int unit, int k,
                                       LanePlace at = LanePlace()) {
    QuadPair out;
    TESSERA_UNROLL
    for (int i = 0; i < 2; ++i)
      out.row[i] = F::template fetch_quad<U::kSlices>(stage + (at.row + 8 * i) * U::kStride, U::lead(rows[i], unit),
                                                      at.quarter, k / kSlice - unit * U::kSlices);
    return out;
  }
};

}  // namespace tessera::kernels::cuda
