#include "kernels/cpu/attention.h"

#include <algorithm>
#include <atomic>
#include <optional>
#include <vector>

#include "base/check.h"
#include "base/checked_math.h"

namespace tessera::kernels::cpu {
namespace {

// The rows of one KV head are its tokens x the query heads of its group, token-major.
struct Tile {
  int64_t kv_head, first_row, n_rows;
};

// The key at a position of a KV head.
struct KeyPlace {
  int64_t kv_head, position;
};

// Positions, or spans of keys.
struct Range {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
};

// A tile's sums in floats from `at` on.
int64_t floats_of_sums(int64_t n_rows, int64_t head_dim) {
  return 2 * align_up<int64_t>(n_rows, 16) + n_rows * head_dim;
}
AttentionSums sums_at(float* at, int64_t n_rows) {
  const int64_t n = align_up<int64_t>(n_rows, 16);
  return {.values = at + 2 * n, .max = at, .weight = at + n};
}

// Heads for each thread that make it end together with the others without cutting their keys.
constexpr int64_t kHeadsOfThread = 4;
// Rows whose sums of every span may wait in memory: 16 of 512 values take 33 kB where f16 caches take 512.
constexpr int64_t kMostRowsOfSpans = 16;

class TileRunner {
 public:
  TileRunner(const FloatKernels& kernels, const AttentionArgs& args, AttentionScratch::PerThread& scratch)
      : kernels_(kernels), args_(args), s_(scratch), group_(args.n_heads / args.n_kv_heads) {}

  // Spans of keys of which a row of the tile sees some.
  Range spans_of(const Tile& tile) const {
    const Range keys = keys_of(tile);
    return {keys.begin / kKeySpan, ceil_div<int64_t>(keys.end, kKeySpan)};
  }

  // The first key that the tile's rows see of a span.
  KeyPlace first_key(const Tile& tile, int64_t span) const {
    return {tile.kv_head, std::max(keys_of(tile).begin, span * kKeySpan) / kKeyBlock * kKeyBlock};
  }

  // All keys that the tile's rows see. `after`: the key that this thread probably reads next.
  void run(const Tile& tile, std::optional<KeyPlace> after) {
    const int64_t n = floats_of_sums(tile.n_rows, args_.head_dim);
    float* memory = s_.sums.reserve<float>(2 * n);
    const AttentionSums total = sums_at(memory, tile.n_rows), of_span = sums_at(memory + n, tile.n_rows);
    const Range spans = spans_of(tile);
    for (int64_t span = spans.begin; span < spans.end; ++span) {
      const bool first = span == spans.begin, last = span + 1 == spans.end;
      sum_span(tile, span, first ? total : of_span, last ? after : first_key(tile, span + 1));
      if (!first) merge(tile, total, of_span);
    }
    finish(tile, total);
  }

  // The keys of one span alone.
  void sum_span(const Tile& tile, int64_t span, const AttentionSums& sums, std::optional<KeyPlace> after) {
    std::fill_n(sums.values, tile.n_rows * args_.head_dim, 0.0f);
    std::fill_n(sums.max, tile.n_rows, -1e30f);
    std::fill_n(sums.weight, tile.n_rows, 0.0f);
    s_.q_pos.resize(static_cast<size_t>(tile.n_rows));
    for (int64_t i = 0; i < tile.n_rows; ++i) s_.q_pos[static_cast<size_t>(i)] = position_of(tile.first_row + i);
    const AttentionTile rows{.q = args_.q + (tile.kv_head * args_.n_tokens * group_ + tile.first_row) * args_.head_dim,
                             .q_pos = s_.q_pos.data(),
                             .sums = sums,
                             .n_rows = static_cast<int>(tile.n_rows),
                             .head_dim = static_cast<int>(args_.head_dim),
                             .window = args_.window,
                             .scale = args_.scale};
    Range keys = keys_of(tile);
    keys = {std::max(keys.begin, span * kKeySpan), std::min(keys.end, (span + 1) * kKeySpan)};
    for (int64_t first = keys.begin / kKeyBlock * kKeyBlock, n; first < keys.end; first += n * kKeyBlock) {
      n = attend(rows, tile.kv_head, first, keys, after);
    }
  }

  // All spans, whose sums lie one behind the other from `at` on.
  void join(const Tile& tile, float* at, int64_t n_spans) const {
    const AttentionSums total = sums_at(at, tile.n_rows);
    for (int64_t i = 1; i < n_spans; ++i)
      merge(tile, total, sums_at(at + i * floats_of_sums(tile.n_rows, args_.head_dim), tile.n_rows));
    finish(tile, total);
  }

 private:
  int64_t position_of(int64_t row) const { return args_.start + row / group_; }

  // The keys that a row of the tile sees.
  Range keys_of(const Tile& tile) const {
    const int64_t oldest = position_of(tile.first_row), newest = position_of(tile.first_row + tile.n_rows - 1);
    return {args_.window > 0 ? std::max<int64_t>(0, oldest - args_.window + 1) : 0, newest + 1};
  }

  // Blocks from `first` on, as many as can be taken at once: how many they were.
  int64_t attend(const AttentionTile& rows, int64_t kv_head, int64_t first, Range keys, std::optional<KeyPlace> after) {
    const CompressedKv norms = args_.compressed.value_or(CompressedKv{});
    const int64_t n_in_place = blocks_in_place(first, keys.end), n = std::max<int64_t>(1, n_in_place);
    const int64_t end = first + n * kKeyBlock;
    if (end < keys.end) after = {kv_head, end};
    const auto next = [&](const void* cache) {
      return args_.compressed || !after ? nullptr : rows_of(cache, after->kv_head, after->position);
    };
    AttentionBlocks blocks{.n = static_cast<int>(n),
                           .k = nullptr,
                           .v = nullptr,
                           .dtype = args_.kv_dtype,
                           .next_k = next(args_.k_cache),
                           .next_v = next(args_.v_cache),
                           .first = first,
                           .valid_begin = std::max(first, keys.begin),
                           .valid_end = std::min(end, keys.end)};
    if (n_in_place > 0) {
      blocks.k = rows_of(args_.k_cache, kv_head, first);
      blocks.v = rows_of(args_.v_cache, kv_head, first);
    } else {
      blocks.dtype = DType::kF32;
      blocks.k = copy(args_.k_cache, norms.k_norms, s_.k, kv_head, blocks);
      blocks.v = copy(args_.v_cache, norms.v_norms, s_.v, kv_head, blocks);
    }
    kernels_.attend(rows, blocks);
    return n;
  }

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

  void merge(const Tile& tile, const AttentionSums& into, const AttentionSums& later) const {
    kernels_.merge(into, later, static_cast<int>(tile.n_rows), static_cast<int>(args_.head_dim));
  }
  void finish(const Tile& tile, const AttentionSums& sums) const {
    for (int64_t i = 0; i < tile.n_rows; ++i)
      kernels_.scale(sums.values + i * args_.head_dim, 1.0f / sums.weight[i], args_.out + row_offset(tile, i),
                     args_.head_dim);
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
};

// Calls run(runner, i, after) for every item, dealt out to the threads one by one, and tells each the key that its
// thread probably reads next: the first one of item i + n_threads, first_key(runner, i + n_threads).
template <typename FirstKey, typename Run>
void deal_out(ThreadPool& pool, const FloatKernels& kernels, const AttentionArgs& args, AttentionScratch& scratch,
              int64_t n_items, FirstKey first_key, Run run) {
  pool.parallel_for_by_thread(n_items, 1, [&](int thread, int64_t i, int64_t) {
    TileRunner runner(kernels, args, scratch.of(thread));
    std::optional<KeyPlace> after;
    if (const int64_t next = i + pool.size(); next < n_items) after = first_key(runner, next);
    run(runner, i, after);
  });
}

// Many rows: a tile of them after the other.
void run_tiles(ThreadPool& pool, const FloatKernels& kernels, const AttentionArgs& args, AttentionScratch& scratch,
               int64_t rows) {
  // Enough tiles that every thread has work; a row alone takes as long as two.
  const int64_t wanted = ceil_div<int64_t>(pool.size(), args.n_kv_heads);
  const int64_t tile_rows = std::min<int64_t>(kAttentionRows, align_up<int64_t>(ceil_div(rows, wanted), 2));
  const int64_t tiles_per_head = ceil_div(rows, tile_rows);
  const auto tile = [&](int64_t i) -> Tile {
    // Latest tokens first: they see the most keys, so the threads finish together.
    const int64_t first_row = (tiles_per_head - 1 - i / args.n_kv_heads) * tile_rows;
    return {i % args.n_kv_heads, first_row, std::min(tile_rows, rows - first_row)};
  };
  deal_out(
      pool, kernels, args, scratch, args.n_kv_heads * tiles_per_head,
      [&](const TileRunner& runner, int64_t i) { return runner.first_key(tile(i), runner.spans_of(tile(i)).begin); },
      [&](TileRunner& runner, int64_t i, std::optional<KeyPlace> after) { runner.run(tile(i), after); });
}

// Few rows: a span of keys after the other. Whoever comes to the end of a head's last one joins them.
void run_spans(ThreadPool& pool, const FloatKernels& kernels, const AttentionArgs& args, AttentionScratch& scratch,
               int64_t rows, Range spans) {
  const int64_t n = floats_of_sums(rows, args.head_dim);
  float* sums = scratch.spans.reserve<float>(args.n_kv_heads * spans.size() * n);
  std::vector<std::atomic<int64_t>> n_done(static_cast<size_t>(args.n_kv_heads));
  const auto tile = [&](int64_t i) { return Tile{i / spans.size(), 0, rows}; };
  const auto span = [&](int64_t i) { return spans.begin + i % spans.size(); };
  deal_out(
      pool, kernels, args, scratch, args.n_kv_heads * spans.size(),
      [&](const TileRunner& runner, int64_t i) { return runner.first_key(tile(i), span(i)); },
      [&](TileRunner& runner, int64_t i, std::optional<KeyPlace> after) {
        runner.sum_span(tile(i), span(i), sums_at(sums + i * n, rows), after);
        const int64_t head = tile(i).kv_head;
        if (n_done[static_cast<size_t>(head)].fetch_add(1, std::memory_order_acq_rel) + 1 == spans.size())
          runner.join(tile(i), sums + head * spans.size() * n, spans.size());
      });
}

}  // namespace

void attention(ThreadPool& pool, const FloatKernels& kernels, const AttentionArgs& args, AttentionScratch& scratch) {
  if (args.n_tokens == 0) return;
  DCHECK(args.head_dim % 16 == 0 && args.n_heads % args.n_kv_heads == 0);
  DCHECK(args.n_slots >= args.start + args.n_tokens ||
         (args.window > 0 && args.n_slots >= args.window + args.n_tokens - 1));
  scratch.resize(pool.size());
  const int64_t rows = args.n_tokens * (args.n_heads / args.n_kv_heads);
  const Range spans = TileRunner(kernels, args, scratch.of(0)).spans_of({0, 0, rows});
  const bool heads_are_enough = pool.size() == 1 || args.n_kv_heads >= kHeadsOfThread * pool.size();
  if (rows <= kMostRowsOfSpans && spans.size() > 1 && !heads_are_enough)
    run_spans(pool, kernels, args, scratch, rows, spans);
  else
    run_tiles(pool, kernels, args, scratch, rows);
}

}  // namespace tessera::kernels::cpu
