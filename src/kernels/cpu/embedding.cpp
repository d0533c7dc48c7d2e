#include "kernels/cpu/embedding.h"

#include "base/check.h"
#include "kernels/cpu/float_kernels.h"

namespace tessera::kernels::cpu {
namespace {

// Values dequantized at a time: a multiple of every format's block, small enough for the stack and the first cache.
constexpr int64_t kPiece = 2048;

template <typename Id>
void gather(ThreadPool& pool, Isa isa, const LinearWeight& weight, const Id* ids, int64_t n_ids, float scale,
            const OutputRows& out) {
  const quant::Format& format = *weight.format;
  const FloatKernels& floats = float_kernels(isa);
  const int64_t row_bytes = format.bytes_for(weight.k);
  const auto element = static_cast<int64_t>(size_of(out.dtype));
  const auto rows = [&](int64_t begin, int64_t end) {
    alignas(64) float values[kPiece];
    for (int64_t i = begin; i < end; ++i) {
      DCHECK(ids[i] >= 0 && ids[i] < weight.n);
      const std::byte* row = static_cast<const std::byte*>(weight.data) + ids[i] * row_bytes;
      std::byte* to = static_cast<std::byte*>(out.data) + i * out.row_stride * element;
      for (int64_t at = 0; at < weight.k; at += kPiece) {
        const int64_t n = weight.k - at < kPiece ? weight.k - at : kPiece;
        format.dequantize(row + format.bytes_for(at), n, values);
        if (scale != 1.0f) floats.scale(values, scale, values, n);
        floats.store(out.dtype, values, to + at * element, n);
      }
    }
  };
  if (n_ids * weight.k <= 16 * kPiece)
    rows(0, n_ids);  // shorter than waking the other threads
  else
    pool.parallel_for(n_ids, 1, rows);
}

}  // namespace

void embedding(ThreadPool& pool, Isa isa, const LinearWeight& weight, const int64_t* ids, int64_t n_ids, float scale,
               const OutputRows& out) {
  gather(pool, isa, weight, ids, n_ids, scale, out);
}

void embedding(ThreadPool& pool, Isa isa, const LinearWeight& weight, const int32_t* ids, int64_t n_ids, float scale,
               const OutputRows& out) {
  gather(pool, isa, weight, ids, n_ids, scale, out);
}

}  // namespace tessera::kernels::cpu
