#include "quant/rows.h"

#include <algorithm>

namespace tessera::quant {
namespace {

// Values handed to a thread at a time: enough to amortise the hand-over, few enough to balance; a multiple of every
// block length. Rows are contiguous and hold whole blocks, so a cut inside a row is as good as one between rows.
constexpr int64_t kGrain = 16384;

Status check_row(const Format& format, int64_t row_values) {
  if (row_values % format.block_values == 0) return {};
  return invalid_argument("{} rows hold a multiple of {} values, not {}", format.name, format.block_values, row_values);
}

}  // namespace

Status quantize_rows(const Format& format, const float* values, int64_t n_rows, int64_t row_values, void* out,
                     ThreadPool& pool) {
  if (!format.quantize) {
    return not_implemented("quantizing to {}; supported: {}", format.name,
                           list_formats([](const Format& f) { return f.quantize != nullptr; }));
  }
  TRY(check_row(format, row_values));
  pool.parallel_for(n_rows * row_values, kGrain, [&](int64_t begin, int64_t end) {
    format.quantize(values + begin, end - begin, static_cast<char*>(out) + format.bytes_for(begin));
  });
  return {};
}

Status dequantize_rows(const Format& format, const void* blocks, int64_t n_rows, int64_t row_values, float* out,
                       ThreadPool& pool) {
  if (!format.dequantize) {
    return not_implemented("reading {} as numbers; supported: {}", format.name,
                           list_formats([](const Format& f) { return f.dequantize != nullptr; }));
  }
  TRY(check_row(format, row_values));
  pool.parallel_for(n_rows * row_values, kGrain, [&](int64_t begin, int64_t end) {
    format.dequantize(static_cast<const char*>(blocks) + format.bytes_for(begin), end - begin, out + begin);
  });
  return {};
}

std::optional<int64_t> find_bad_scale(const Format& format, std::span<const std::byte> blocks) {
  if (!format.find_bad_block) return std::nullopt;
  const int64_t bad = format.find_bad_block(blocks.data(), static_cast<int64_t>(blocks.size()) / format.block_bytes);
  return bad < 0 ? std::nullopt : std::optional(bad);
}

}  // namespace tessera::quant
