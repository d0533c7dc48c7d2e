#include "kernels/cpu/attention.h"

#include <algorithm>

#include "base/check.h"
#include "base/checked_math.h"

namespace tessera::kernels::cpu {
namespace {

// The rows of one KV head are its tokens x the query heads of its group, token-major.
struct Tile {
  int64_t kv_head, first_row, n_rows;
};

class TileRunner {
 public:
  TileRunner(const FloatKernels& kernels, const AttentionArgs& args, AttentionScratch::PerThread& scratch)
      : kernels_(kernels), args_(args), s_(scratch), group_(args.n_heads / args.n_kv_heads) {}

  void run(const Tile& tile) {
    start(tile);
    const int64_t first_row = tile.kv_head * args_.n_tokens * group_ + tile.first_row;
    AttentionTile rows{.q = args_.q + first_row * args_.head_dim,
                       .q_pos = s_.q_pos.data(),
                       .out = out_,
                       .row_max = s_.row_max.data(),
                       .row_sum = s_.row_sum.data(),
                       .n_rows = static_cast<int>(tile.n_rows),
                       .head_dim = static_cast<int>(args_.head_dim),
                       .window = args_.window,
                       .scale = args_.scale};
    const int64_t oldest_pos = s_.q_pos.front(), newest_pos = s_.q_pos[static_cast<size_t>(tile.n_rows - 1)];
    const int64_t begin = args_.window > 0 ? std::max<int64_t>(0, oldest_pos - args_.window + 1) : 0;
    const int64_t end = newest_pos + 1;
    const CompressedKv norms = args_.compressed.value_or(CompressedKv{});
    for (int64_t first = begin / kKeyBlock * kKeyBlock, n; first < end; first += n * kKeyBlock) {
      const int64_t n_in_place = blocks_in_place(first, end);
      n = std::max<int64_t>(1, n_in_place);
      const auto next = [&](const void* cache) {
        return args_.compressed ? nullptr : rows_of(cache, tile.kv_head, first + n * kKeyBlock);
      };
      AttentionBlocks blocks{.n = static_cast<int>(n),
                             .k = nullptr,
                             .v = nullptr,
                             .dtype = args_.kv_dtype,
                             .next_k = next(args_.k_cache),
                             .next_v = next(args_.v_cache),
                             .first = first,
                             .valid_begin = std::max(first, begin),
                             .valid_end = std::min(first + n * kKeyBlock, end)};
      if (n_in_place > 0) {
        blocks.k = rows_of(args_.k_cache, tile.kv_head, first);
        blocks.v = rows_of(args_.v_cache, tile.kv_head, first);
      } else {
        blocks.dtype = DType::kF32;
        blocks.k = copy(args_.k_cache, norms.k_norms, s_.k, tile.kv_head, blocks);
        blocks.v = copy(args_.v_cache, norms.v_norms, s_.v, tile.kv_head, blocks);
      }
      kernels_.attend(rows, blocks);
    }
    scatter(tile);
  }

 private:
  // Blocks from position `first` on, before `end`, that can be read where they lie, one behind the other.
  int64_t blocks_in_place(int64_t first, int64_t end) const {
    if (args_.compressed) return 0;
    const int64_t whole = (args_.n_slots - first % args_.n_slots) / kKeyBlock;
    return std::min<int64_t>({kMaxKeyBlocks, whole, ceil_div<int64_t>(end - first, kKeyBlock)});
  }

  // Where row `i` of a KV head lies in out.
  int64_t row_offset(const Tile& tile, int64_t i) const {
    const int64_t row = tile.first_row + i;
    return ((row / group_) * args_.n_heads + tile.kv_head * group_ + row % group_) * args_.head_dim;
  }

  void start(const Tile& tile) {
    const auto n = static_cast<size_t>(tile.n_rows), d = static_cast<size_t>(args_.head_dim);
    s_.q_pos.resize(n);
    out_ = s_.out.reserve<float>(tile.n_rows * args_.head_dim);
    std::fill_n(out_, n * d, 0.0f);
    s_.row_max.assign(n, -1e30f);
    s_.row_sum.assign(n, 0);
    for (size_t i = 0; i < n; ++i) s_.q_pos[i] = args_.start + (tile.first_row + static_cast<int64_t>(i)) / group_;
  }

  void scatter(const Tile& tile) {
    for (int64_t i = 0; i < tile.n_rows; ++i) {
      const float* row = out_ + i * args_.head_dim;
      kernels_.scale(row, 1.0f / s_.row_sum[static_cast<size_t>(i)], args_.out + row_offset(tile, i), args_.head_dim);
    }
  }

  // Where the key (or value) of a position lies.
  const std::byte* rows_of(const void* cache, int64_t head, int64_t position) const {
    const int64_t row = head * args_.n_slots + position % args_.n_slots;
    return static_cast<const std::byte*>(cache) + row * args_.head_dim * static_cast<int64_t>(size_of(args_.kv_dtype));
  }

  // The existing keys (or values) of a block as f32 rows. `norms`: of a compressed cache.
  const std::byte* copy(const void* cache, const BF16* norms, ScratchBuffer& to, int64_t head,
                        const AttentionBlocks& blocks) const {
    const int64_t d = args_.head_dim;
    auto* rows = to.reserve<float>(kKeyBlock * d);
    for (int64_t p = blocks.valid_begin; p < blocks.valid_end; ++p) {
      float* row = rows + (p - blocks.first) * d;
      if (norms)
        decompress(static_cast<const uint8_t*>(cache), norms, head * args_.n_slots + p % args_.n_slots, row);
      else
        kernels_.load(args_.kv_dtype, rows_of(cache, head, p), row, d);
    }
    return reinterpret_cast<const std::byte*>(rows);
  }

  void decompress(const uint8_t* codes, const BF16* norms, int64_t vector, float* to) const {
    kernels_.tq4_decompress(codes + vector * args_.head_dim / 2, to_f32(norms[vector]), args_.compressed->centroids, to,
                            args_.head_dim);
  }

  const FloatKernels& kernels_;
  const AttentionArgs& args_;
  AttentionScratch::PerThread& s_;
  const int64_t group_;
  float* out_ = nullptr;  // of the tile
};

}  // namespace

void attention(ThreadPool& pool, const FloatKernels& kernels, const AttentionArgs& args, AttentionScratch& scratch) {
  if (args.n_tokens == 0) return;
  DCHECK(args.head_dim % 16 == 0 && args.n_heads % args.n_kv_heads == 0);
  DCHECK(args.n_slots >= args.start + args.n_tokens ||
         (args.window > 0 && args.n_slots >= args.window + args.n_tokens - 1));
  scratch.resize(pool.size());
  const int64_t rows = args.n_tokens * (args.n_heads / args.n_kv_heads);
  // Enough tiles that every thread has work; a row alone takes as long as two.
  const int64_t wanted = ceil_div<int64_t>(pool.size(), args.n_kv_heads);
  const int64_t tile_rows = std::min<int64_t>(kAttentionRows, align_up<int64_t>(ceil_div(rows, wanted), 2));
  const int64_t tiles_per_head = ceil_div(rows, tile_rows);
  const int64_t n_tiles = args.n_kv_heads * tiles_per_head;
  std::atomic<int64_t> next{0};
  const auto work = [&](int thread) {
    TileRunner runner(kernels, args, scratch.of(thread));
    for (int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < n_tiles;) {
      // Latest tokens first: they see the most keys, so the threads finish together.
      const int64_t first_row = (tiles_per_head - 1 - i / args.n_kv_heads) * tile_rows;
      runner.run({i % args.n_kv_heads, first_row, std::min(tile_rows, rows - first_row)});
    }
  };
  if (n_tiles == 1)
    work(0);
  else
    pool.run(work);
}

}  // namespace tessera::kernels::cpu
