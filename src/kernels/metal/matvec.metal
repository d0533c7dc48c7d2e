// out[m, n] = sum_k x[m, k] w[n, k] (+ bias[n]) for one row of x at a time: the decode step. All a threadgroup does is
// read its rows of the weight once, N K bits_per_value / 8 bytes in total; x comes from the cache.
//
//   grid          (ceil(N / (NSG R)) 32 NSG, M, 1), threadgroups of NSG SIMD groups; R = F::kMatvecRows
//   SIMD group    R rows of the weight; 8 neighbouring lanes read one block (128 contiguous bytes of nibbles), so the
//                 group walks 4 blocks at a time
//   arithmetic    f32. Codes are multiplied where they stand: a mask leaves one bit field of a 16-bit word, and the
//                 power of two by which it is too large divides the sum, which is exact. That saves a shift per value.
namespace gguf {

// sum_i x[i] * (bits `mask` << shift of byte i) / 2^shift, over the 8 bytes of `words`.
inline float dot_field(ushort4 words, ushort mask, int shift, thread const float* x) {
  const ushort even_mask = mask << shift, odd_mask = even_mask << 8;
  float even = 0, odd = 0;
  for (int i = 0; i < 4; ++i) {
    even += x[2 * i] * float(words[i] & even_mask);
    odd += x[2 * i + 1] * float(words[i] & odd_mask);
  }
  return (even + odd * (1.0f / 256)) * (1.0f / float(1 << shift));
}

// One chunk of a row times its 32 values of x: x[16 r + i] belongs to value i of run r, x_sums[r] is their sum.
template <typename F>
inline float dot_chunk(device const uchar* block, int chunk, thread const float* x, thread const float* x_sums) {
  const Affine affine = F::affine(block, chunk);
  float dots[2] = {0, 0};
  for (int part = 0; part < 2; ++part) {
    const Codes codes = load_codes<F>(block, chunk, part);
    for (int run = 0; run < 2; ++run) {
      thread const float* values = x + 16 * run + 8 * part;
      dots[run] += dot_field(codes.low, 15, 4 * run, values);
      if (F::kHighBits > 0)
        dots[run] += 16 * dot_field(codes.high, (1 << F::kHighBits) - 1, F::high_shift(chunk, run), values);
    }
  }
  float sum = 0;
  for (int run = 0; run < 2; ++run)
    sum += affine.scale[run] * (dots[run] - F::kZero * x_sums[run]) - affine.offset[run] * x_sums[run];
  return sum;
}

template <typename F, int NSG, typename InT, typename Bias, typename OutT>
inline void matvec(device const InT* x, device const uchar* weight, Bias bias, device OutT* out, int N, int K,
                   uint3 group, uint simdgroup, uint lane) {
  const int n_blocks = K / 256;
  const ulong row_bytes = ulong(n_blocks) * F::kBytes;
  const int first_row = (int(group.x) * NSG + int(simdgroup)) * F::kMatvecRows;
  const int chunk = int(lane) % 8;
  x += ulong(group.y) * ulong(K);

  float sums[F::kMatvecRows] = {};
  for (int b = int(lane) / 8; b < n_blocks; b += 4) {
    float values[32], value_sums[2];
    for (int run = 0; run < 2; ++run) {
      device const InT* from = x + 256 * b + F::first(chunk) + F::kRunStep * run;
      value_sums[run] = 0;
      for (int i = 0; i < 16; ++i) {
        values[16 * run + i] = float(from[i]);
        value_sums[run] += values[16 * run + i];
      }
    }
    for (int r = 0; r < F::kMatvecRows; ++r)
      if (first_row + r < N) {
        device const uchar* block = weight + ulong(first_row + r) * row_bytes + b * F::kBytes;
        sums[r] += dot_chunk<F>(block, chunk, values, value_sums);
      }
  }
  for (int r = 0; r < F::kMatvecRows; ++r) {
    const float sum = simd_sum(sums[r]);
    const int row = first_row + r;
    if (lane == 0 && row < N) out[ulong(group.y) * ulong(N) + ulong(row)] = OutT(sum + float(bias[row]));
  }
}

}  // namespace gguf
