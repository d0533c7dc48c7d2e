#include "kernels/cpu/activations.h"

#include <new>

#include "base/check.h"
#include "base/checked_math.h"
#include "kernels/cpu/float_kernels.h"
#include "kernels/cpu/linear_kernels.h"
#include "kernels/cpu/plain_block.h"

namespace tessera::kernels::cpu {
namespace {

// Below this many values the caller's thread alone is done before the others have woken.
constexpr int64_t kParallelValues = 32 * 1024;

// `n` values of a row from column `begin` as f32: the row itself, or a copy in `buffer`.
const float* load_f32(const FloatKernels& floats, const InputRows& x, int64_t token, int64_t begin, int64_t n,
                      float* buffer) {
  const auto* bytes = static_cast<const std::byte*>(x.data);
  const std::byte* at = bytes + (token * x.row_stride + begin) * static_cast<int64_t>(size_of(x.dtype));
  if (x.dtype == DType::kF32) return reinterpret_cast<const float*>(at);
  floats.load(x.dtype, at, buffer, n);
  return buffer;
}

// The next block of a row: each is too short a stretch for the processor to see a stream.
void prefetch(const InputRows& x, int64_t token, int64_t begin) {
  const auto element = static_cast<int64_t>(size_of(x.dtype));
  const auto* at = static_cast<const std::byte*>(x.data) + (token * x.row_stride + begin) * element;
  for (int64_t i = 0; i < 256 * element; i += 64) __builtin_prefetch(at + i);
}

}  // namespace

ActivationForms ActivationForms::of(const quant::Format& format, Arithmetic arithmetic) {
  if (arithmetic == Arithmetic::kExact || !plain_unpack(format)) return {.floats = true};
  return {.blocks256 = format.block_values == 256, .blocks32 = format.block_values < 256};
}

void Activations::prepare(ThreadPool& pool, Isa isa, const InputRows& x, ActivationForms forms) {
  DCHECK(!forms.blocks256 || x.k % 256 == 0);
  DCHECK(!forms.blocks32 || x.k % 32 == 0);
  const int64_t n_blocks = align_up<int64_t>(x.k, 256) / 256, n_cells = n_blocks * x.m;
  auto* blocks256 = forms.blocks256 ? blocks256_.reserve<ActivationBlock256>(n_cells + kBlocksBehind) : nullptr;
  auto* blocks32 = forms.blocks32 ? blocks32_.reserve<ActivationBlock32x8>(n_cells + kBlocksBehind) : nullptr;
  const bool in_place = forms.floats && x.dtype == DType::kF32;
  const int64_t stride = in_place ? x.row_stride : align_up<int64_t>(x.k, 16);
  float* copy = forms.floats && !in_place ? float_copy_.reserve<float>(x.m * stride) : nullptr;
  view_ = {.m = x.m,
           .k = x.k,
           .floats = in_place ? static_cast<const float*>(x.data) : copy,
           .float_stride = stride,
           .blocks256 = blocks256,
           .blocks32 = blocks32};
  if (!blocks256 && !blocks32 && !copy) return;

  const FloatKernels& floats = float_kernels(isa);
  const LinearKernels& kernels = linear_kernels(isa);
  const auto prepare_cells = [&](int64_t begin, int64_t end) {
    for (int64_t cell = begin; cell < end; ++cell) {
      const int64_t token = cell / n_blocks, block = cell % n_blocks;
      const int64_t n = x.k - block * 256 < 256 ? x.k - block * 256 : 256;
      float buffer[256];
      float* to = copy ? copy + token * stride + block * 256 : buffer;
      prefetch(x, token, block * 256 + 256);
      const float* values = load_f32(floats, x, token, block * 256, n, to);
      if (blocks256) kernels.quantize256(values, blocks256[block * x.m + token]);
      if (blocks32) kernels.quantize32(values, static_cast<int>(n / 32), blocks32[block * x.m + token]);
    }
  };
  if (x.m * x.k < kParallelValues)
    prepare_cells(0, n_cells);
  else
    pool.parallel_for(n_cells, kParallelValues / 256 / 4, prepare_cells);
}

}  // namespace tessera::kernels::cpu
