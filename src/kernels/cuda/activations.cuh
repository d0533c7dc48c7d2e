// The input of a linear in the form its kernels read: codes of 8 bits in groups of 256 or 32 with the sums of each 16
// (kernels/cpu/arithmetic.md, which the codes follow to the bit), or plain f32 or bf16. Bytes moved: x once.
#pragma once

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/words.cuh"

namespace tessera::kernels::cuda {

inline constexpr int kConvertThreads = 256;

// A warp per group of 256: eight values a lane. Groups of 32 are four lanes each, in the same warp's 256 values.
TESSERA_KERNEL(kWarp, 1) quantize_kernel(ActivationsArgs a) {
  wait_for_previous();
  let_next_start();
  const Activations& out = a.out;
  const int64_t row = block_y();
  const int first = block_x() * 256 + lane() * 8;  // k is a multiple of the group
  const bool is_inside = first < out.k;
  float x[8], largest = 0;
  TESSERA_UNROLL
  for (int i = 0; i < 8; ++i) {
    x[i] = is_inside ? load_float(a.x, a.element, row * out.k + first + i) : 0.0f;
    largest = max_of(largest, abs_of(x[i]));
  }
  for (int step = 1; step < out.group / 8; step *= 2) largest = max_of(largest, shuffle_xor(largest, step));
  const float inverse = largest > 0 ? 127.0f / largest : 0.0f;
  uint32_t words[2] = {0, 0};
  int32_t sum = 0;
  TESSERA_UNROLL
  for (int i = 0; i < 8; ++i) {
    const int code = max_of(-127, min_of(127, round_to_int(x[i] * inverse)));
    words[i / 4] |= (static_cast<uint32_t>(code) & 0xffu) << 8 * (i % 4);
    sum += code;
  }
  const int32_t sum16 = sum + shuffle_xor(sum, 1);  // of lanes 2 j, 2 j + 1
  const int32_t other16 = shuffle_xor(sum16, 2);    // of the other half of 32
  if (!is_inside) return;
  *cast<Words2>(global<uint8_t>(out.q) + (row * out.k + first)) = Words2{{words[0], words[1]}};
  if (first % 32 == 0)
    global<uint32_t>(out.sums)[(row * out.k + first) / 32] =
        (static_cast<uint32_t>(sum16) & 0xffffu) | static_cast<uint32_t>(other16) << 16;
  if (first % out.group == 0) global<float>(out.d)[(row * out.k + first) / out.group] = largest / 127.0f;
}

TESSERA_KERNEL(kConvertThreads, 1) convert_kernel(ActivationsArgs a) {
  wait_for_previous();
  let_next_start();
  const int64_t n = int64_t{a.out.m} * a.out.k;
  const int64_t i = int64_t{block_x()} * kConvertThreads + thread();
  if (i >= n) return;
  store_float(a.out.values, a.out.form == Form::kF32 ? Element::kF32 : Element::kBF16, i,
              load_float(a.x, a.element, i));
}

inline int make_activations(Device& device, const ActivationsArgs& args, Failure* failure) {
  Launch shape;
  if (args.out.form == Form::kInt8) {
    if ((args.out.group != 32 && args.out.group != 256) || args.out.k % args.out.group != 0)
      return fail(failure, "activations: rows are not a multiple of the group");
    shape.threads = kWarp;
    shape.blocks = {pieces_of(args.out.k, 256), args.out.m, 1};
    return launch(device, shape, quantize_kernel, args, failure);
  }
  shape.threads = kConvertThreads;
  shape.blocks.x = pieces_of(int64_t{args.out.m} * args.out.k, kConvertThreads);
  return launch(device, shape, convert_kernel, args, failure);
}

}  // namespace tessera::kernels::cuda
