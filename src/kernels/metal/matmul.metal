// out[m, n] = sum_k x[m, k] w[n, k] (+ bias[n]) for many rows of x: prefill. A threadgroup of 4 SIMD groups computes a
// tile of 32 rows of x by 64 rows of the weight.
//
//   grid          (ceil(M / 32) 128, ceil(N / 64), 1), threadgroups of 128
//   a step        one chunk of each row of the weight: 32 of its values, which are not neighbours in k but two runs of
//                 16. The sum over k does not mind the order, and so a byte of codes is read by one thread only, once.
//   staging       both operands as half in threadgroup memory, in tiles of 8 x 8 that lie contiguous. A SIMD group done
//                 with its products unpacks the next chunk into registers before it waits for the others
//   arithmetic    x and the unpacked weight are rounded to half, products accumulate in f32. A bf16 or f32 row of x may
//                 leave half's range, so each row is multiplied by the power of two that puts its largest value into
//                 [2^14, 2^15), and the result by its inverse: both exact. What becomes too small for half then is
//                 2^-39 of the largest value. It costs a second reading of x, which is in the cache; staging in f32
//                 would cost twice the threadgroup memory and traffic in every step.
// Rows past M and N are clamped to the last one when read, and not written.
namespace gguf {

constant constexpr int kTileTokens = 32;  // rows of x
constant constexpr int kTileRows = 64;    // rows of the weight
constant constexpr int kTileFloat4s = kTileTokens * kTileRows / 4;

// Half operands need no scaling.
template <typename T>
struct FitsHalf {
  static constexpr constant bool kValue = false;
};
template <>
struct FitsHalf<half> {
  static constexpr constant bool kValue = true;
};

struct RowScale {
  float scale;    // 2^e
  float inverse;  // 2^-e
};

// Four neighbouring lanes share a row of x; each reads every fourth group of 8 values.
template <typename InT>
inline RowScale row_scale(device const InT* row, int quarter, int K) {
  if (FitsHalf<InT>::kValue) return {1, 1};
  float largest = 0;
  for (int k = 8 * quarter; k < K; k += 32)
    for (int i = 0; i < 8; ++i) largest = max(largest, abs(float(row[k + i])));
  largest = max(largest, simd_shuffle_xor(largest, 1));
  largest = max(largest, simd_shuffle_xor(largest, 2));
  // Exponent fields: 141 is that of 2^14. From 15 up the two results are normal numbers; below it the row is as good as 0.
  const uint exponent = max(as_type<uint>(largest) >> 23, 15u);
  return {as_type<float>((268u - exponent) << 23), as_type<float>((exponent - 14u) << 23)};
}

// Eight neighbours of a row of an 8 x 8 tile.
inline void store_half8(threadgroup half* to, thread const float* values) {
  threadgroup half4* to4 = (threadgroup half4*)to;
  to4[0] = half4(half(values[0]), half(values[1]), half(values[2]), half(values[3]));
  to4[1] = half4(half(values[4]), half(values[5]), half(values[6]), half(values[7]));
}

// 16 rows of x by 32 rows of the weight: what one SIMD group accumulates.
struct Accumulators {
  simdgroup_float8x8 sums[2][4];

  void clear() {
    for (int i = 0; i < 2; ++i)
      for (int j = 0; j < 4; ++j) sums[i][j] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
  }
  // Tiles [row / 8][k / 8] of x (row, k) and of the weight (row, k); the latter is loaded transposed.
  void multiply(threadgroup const half* x_tiles, threadgroup const half* w_tiles) {
    for (int k = 0; k < 4; ++k) {
      simdgroup_half8x8 x[2], w[4];
      for (int i = 0; i < 2; ++i) simdgroup_load(x[i], x_tiles + 64 * (4 * i + k), 8);
      for (int j = 0; j < 4; ++j) simdgroup_load(w[j], w_tiles + 64 * (4 * j + k), 8, ulong2(0, 0), true);
      for (int i = 0; i < 2; ++i)
        for (int j = 0; j < 4; ++j) simdgroup_multiply_accumulate(sums[i][j], x[i], w[j], sums[i][j]);
    }
  }
  // To rows of kTileRows floats.
  void store(threadgroup float* to) {
    for (int i = 0; i < 2; ++i)
      for (int j = 0; j < 4; ++j) simdgroup_store(sums[i][j], to + 8 * i * kTileRows + 8 * j, kTileRows);
  }
};

// `shared` is kTileFloat4s long: first the staged operands, then the results.
template <typename F, typename InT, typename Bias, typename OutT>
inline void matmul(device const InT* x, device const uchar* weight, Bias bias, device OutT* out, int M, int N, int K,
                   threadgroup float4* shared, uint3 group, uint thread_index, uint simdgroup) {
  const int id = int(thread_index), n_blocks = K / 256;
  const int first_token = int(group.x) * kTileTokens, first_row = int(group.y) * kTileRows;

  // As a reader of the weight: half a chunk of one row. As a reader of x: 8 values of one row.
  const int row = id / 2, part = id % 2;
  const int token = id / 4, quarter = id % 4;
  device const uchar* w_row = weight + ulong(min(first_row + row, N - 1)) * (ulong(n_blocks) * F::kBytes);
  device const InT* x_row = x + ulong(min(first_token + token, M - 1)) * ulong(K);
  const RowScale scale = row_scale(x_row, quarter, K);

  threadgroup half* w_tiles = (threadgroup half*)shared;
  threadgroup half* x_tiles = w_tiles + kTileRows * 32;
  threadgroup half* w_to = w_tiles + 64 * (4 * (row / 8) + part) + 8 * (row % 8);
  threadgroup half* x_to = x_tiles + 64 * (4 * (token / 8) + quarter) + 8 * (token % 8);
  threadgroup const half* w_mine = w_tiles + 64 * 4 * 4 * (simdgroup % 2);
  threadgroup const half* x_mine = x_tiles + 64 * 4 * 2 * (simdgroup / 2);

  Accumulators accumulators;
  accumulators.clear();
  for (int step = 0; step < 8 * n_blocks; ++step) {
    const int chunk = step % 8;
    float w_values[16], x_values[8];
    unpack<F>(w_row + step / 8 * F::kBytes, chunk, part, w_values);
    device const InT* from = x_row + 256 * (step / 8) + F::first(chunk) + F::kRunStep * (quarter / 2) + 8 * (quarter % 2);
    for (int i = 0; i < 8; ++i) x_values[i] = float(from[i]) * scale.scale;

    threadgroup_barrier(mem_flags::mem_threadgroup);  // the step before has been read
    store_half8(w_to, w_values);
    store_half8(w_to + 64 * 2, w_values + 8);  // the other run is two tiles on
    store_half8(x_to, x_values);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    accumulators.multiply(x_mine, w_mine);
  }

  threadgroup_barrier(mem_flags::mem_threadgroup);
  threadgroup float* results = (threadgroup float*)shared;
  accumulators.store(results + 16 * kTileRows * (simdgroup / 2) + 32 * (simdgroup % 2));
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (first_token + token >= M) return;
  const ulong out_row = ulong(first_token + token) * ulong(N);
  for (int i = quarter; i < kTileRows && first_row + i < N; i += 4) {
    const float sum = results[token * kTileRows + i] * scale.inverse;
    out[out_row + ulong(first_row + i)] = OutT(sum + float(bias[first_row + i]));
  }
}

// Rows of a tensor: the product of all its sizes but the last.
inline int rows_of(constant const int* shape, int n_dims) {
  int rows = 1;
  for (int i = 0; i + 1 < n_dims; ++i) rows *= shape[i];
  return rows;
}

}  // namespace gguf
