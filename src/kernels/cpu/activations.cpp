#include "kernels/cpu/activations.h"

#include <cstdlib>
#include <new>

#include "base/check.h"
#include "kernels/cpu/float_kernels.h"
#include "kernels/cpu/linear_kernels.h"
#include "kernels/cpu/plain_block.h"

namespace tessera::kernels::cpu {
namespace {

// Below this many values the caller's thread alone is done before the others have woken.
constexpr int64_t kParallelValues = 32 * 1024;

constexpr int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

// `n` values of a row from column `begin` as f32: the row itself, or a copy in `buffer`.
const float* load_f32(const FloatKernels& floats, const InputRows& x, int64_t token, int64_t begin, int64_t n,
                      float* buffer) {
  const auto* bytes = static_cast<const std::byte*>(x.data);
  const std::byte* at = bytes + (token * x.row_stride + begin) * static_cast<int64_t>(size_of(x.dtype));
  if (x.dtype == DType::kF32) return reinterpret_cast<const float*>(at);
  floats.load(x.dtype, at, buffer, n);
  return buffer;
}

}  // namespace

ActivationForms ActivationForms::of(const quant::Format& format, Arithmetic arithmetic) {
  if (arithmetic == Arithmetic::kExact || !plain_unpack(format)) return {.floats = true};
  return {.blocks256 = format.block_values == 256, .blocks32 = format.block_values == 32};
}

void Activations::Buffer::Free::operator()(void* p) const { std::free(p); }

void* Activations::Buffer::reserve(size_t bytes) {
  if (bytes > capacity_) {
    data_.reset();
    data_.reset(std::aligned_alloc(64, (bytes + 63) / 64 * 64));
    CHECK(data_ != nullptr);
    capacity_ = bytes;
  }
  return data_.get();
}

void Activations::prepare(ThreadPool& pool, Isa isa, const InputRows& x, ActivationForms forms) {
  m_ = x.m;
  k_ = x.k;
  forms_ = forms;
  DCHECK(!forms.blocks256 || k_ % 256 == 0);
  DCHECK(!forms.blocks32 || k_ % 32 == 0);
  const int64_t n_blocks = round_up(k_, 256) / 256;
  const size_t n_cells = static_cast<size_t>(n_blocks * m_);
  auto* to256 = forms.blocks256
                    ? static_cast<ActivationBlock256*>(blocks256_.reserve(n_cells * sizeof(ActivationBlock256)))
                    : nullptr;
  auto* to32 = forms.blocks32
                   ? static_cast<ActivationBlock32x8*>(blocks32_.reserve(n_cells * sizeof(ActivationBlock32x8)))
                   : nullptr;
  float* copy = nullptr;
  if (forms.floats && x.dtype == DType::kF32) {
    floats_ = static_cast<const float*>(x.data);
    float_stride_ = x.row_stride;
  } else if (forms.floats) {
    float_stride_ = round_up(k_, 16);
    floats_ = copy = static_cast<float*>(float_copy_.reserve(static_cast<size_t>(m_ * float_stride_) * sizeof(float)));
  }
  if (!to256 && !to32 && !copy) return;

  const FloatKernels& floats = float_kernels(isa);
  const LinearKernels& kernels = linear_kernels(isa);
  const auto prepare_cells = [&](int64_t begin, int64_t end) {
    for (int64_t cell = begin; cell < end; ++cell) {
      const int64_t token = cell / n_blocks, block = cell % n_blocks;
      const int64_t n = k_ - block * 256 < 256 ? k_ - block * 256 : 256;
      float buffer[256];
      float* to = copy ? copy + token * float_stride_ + block * 256 : buffer;
      const float* values = load_f32(floats, x, token, block * 256, n, to);
      if (to256) kernels.quantize256(values, to256[block * m_ + token]);
      if (to32) kernels.quantize32(values, static_cast<int>(n / 32), to32[block * m_ + token]);
    }
  };
  const int64_t all = m_ * n_blocks;
  if (m_ * k_ < kParallelValues)
    prepare_cells(0, all);
  else
    pool.parallel_for(all, kParallelValues / 256 / 4, prepare_cells);
}

}  // namespace tessera::kernels::cpu
