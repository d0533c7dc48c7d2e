// The products of flash_prefill.cuh, of a warpgroup - four warps, each with 16 rows - with keys and with values in
// shared memory: wgmma on compute capability 9.0a, the 16 x 8 x 16 product of single warps elsewhere.
//
// Queries, keys and values lie in panels of 64 columns; the rows of a panel are those of warpgroup.cuh's tiles. Sums
// are as mma has them: sum[4 j ..] of columns 8 j .. of the product.
#pragma once

#include "kernels/cuda/flash_tile.cuh"
#include "kernels/cuda/warpgroup.cuh"

namespace tessera::kernels::cuda {

inline constexpr int kWarpgroup = 4, kPanelColumns = 64;  // warps, columns

// scores (16 rows of this warp, kKeys) += queries (64, 16 depth .. + 15) x keys (kKeys, the same)^T, by single warps.
// kRows: of a panel of queries.
template <bool kIsBf16, int kKeys, int kRows>
TESSERA_DEVICE void multiply_keys_by_warp(float (&scores)[kKeys / 2], Shared<const uint8_t> queries,
                                          Shared<const uint8_t> keys, int depth, bool adds) {
  const int matrix = lane() / 8, in_matrix = lane() % 8;
  if (!adds) {
    TESSERA_UNROLL
    for (int i = 0; i < kKeys / 2; ++i) scores[i] = 0;
  }
  uint32_t q[4];
  load_matrices(
      q, queries + (depth / 4 * kRows * kTileRowBytes +
                    swizzled(warp() % kWarpgroup * 16 + matrix % 2 * 8 + in_matrix, depth % 4 * 2 + matrix / 2)));
  TESSERA_UNROLL
  for (int j = 0; j < kKeys / 16; ++j) {
    uint32_t k[4];
    load_matrices(k, keys + (depth / 4 * kKeys * kTileRowBytes +
                             swizzled(16 * j + matrix / 2 * 8 + in_matrix, depth % 4 * 2 + matrix % 2)));
    SixteenBits<kIsBf16>::multiply(&scores[8 * j], q, k[0], k[1]);
    SixteenBits<kIsBf16>::multiply(&scores[8 * j + 4], q, k[2], k[3]);
  }
}
// out (16 rows of this warp, kColumns) += weights (16, 16) x values (16 step .. + 15, kColumns), by single warps.
// Panels are of kKeys rows.
template <bool kIsBf16, int kColumns, int kKeys>
TESSERA_DEVICE void multiply_values_by_warp(float (&out)[kColumns / 2], const uint32_t (&weights)[4],
                                            Shared<const uint8_t> values, int step) {
  const int matrix = lane() / 8, in_matrix = lane() % 8;
  TESSERA_UNROLL
  for (int c = 0; c < kColumns / 16; ++c) {
    uint32_t v[4];
    load_matrices_transposed(v, values + (c / 4 * kKeys * kTileRowBytes +
                                          swizzled(16 * step + matrix % 2 * 8 + in_matrix, c % 4 * 2 + matrix / 2)));
    SixteenBits<kIsBf16>::multiply(&out[8 * c], weights, v[0], v[1]);
    SixteenBits<kIsBf16>::multiply(&out[8 * c + 4], weights, v[2], v[3]);
  }
}

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
// Where panels lie, as a product is told (PTX ISA, matrix descriptor): groups of eight rows 1024 bytes apart, 128-byte
// swizzle; panel_bytes counts only where the factor lies by columns (values), and is how far panels are apart.
struct Panels {
  uint32_t place;
  TESSERA_DEVICE explicit Panels(Shared<const uint8_t> first, int panel_bytes = 16)
      : place((static_cast<uint32_t>(__cvta_generic_to_shared(first)) & 0x3ffff) >> 4 | (panel_bytes >> 4) << 16) {}
  TESSERA_DEVICE uint64_t at(int bytes) const {
    return uint64_t{1} << 62 | uint64_t{1024 >> 4} << 32 | (place + static_cast<uint32_t>(bytes >> 4));
  }
};

// Names of operands 0 .. 15 and so on, and the sums they stand for.
#define TESSERA_NAMES16 "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15"
#define TESSERA_NAMES32 \
  TESSERA_NAMES16 ", %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define TESSERA_NAMES64                                                                                         \
  TESSERA_NAMES32                                                                                               \
  ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, " \
  "%53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define TESSERA_NAMES128                                                                                             \
  TESSERA_NAMES64                                                                                                    \
  ", %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, %80, %81, %82, %83, %84, %85, " \
  "%86, %87, %88, %89, %90, %91, %92, %93, %94, %95, %96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, " \
  "%107, %108, %109, %110, %111, %112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, "     \
  "%125, %126, %127"
#define TESSERA_SUMS4(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define TESSERA_SUMS16(i) TESSERA_SUMS4(i), TESSERA_SUMS4(i + 4), TESSERA_SUMS4(i + 8), TESSERA_SUMS4(i + 12)
#define TESSERA_SUMS32(i) TESSERA_SUMS16(i), TESSERA_SUMS16(i + 16)
#define TESSERA_SUMS64(i) TESSERA_SUMS32(i), TESSERA_SUMS32(i + 32)
#define TESSERA_SUMS128(i) TESSERA_SUMS64(i), TESSERA_SUMS64(i + 64)

// Both factors in shared memory, by rows. `a`, `b` and `p` are the names of the operands after the sums.
#define TESSERA_KEYS(type, n, n_sums, a, b, p)                                                                         \
  asm volatile("{ .reg .pred p; setp.ne.b32 p, " p ", 0; wgmma.mma_async.sync.aligned.m64n" n "k16.f32." type "." type \
               " {" TESSERA_NAMES##n_sums "}, " a ", " b ", p, 1, 1, 0, 0; }"                                          \
               : TESSERA_SUMS##n_sums(0)                                                                               \
               : "l"(queries), "l"(keys), "r"(static_cast<int>(adds)))
// The first in registers, the second by columns.
#define TESSERA_VALUES(type, n, n_sums, a0, a1, a2, a3, b, p)                                                          \
  asm volatile("{ .reg .pred p; setp.ne.b32 p, " p ", 0; wgmma.mma_async.sync.aligned.m64n" n "k16.f32." type "." type \
               " {" TESSERA_NAMES##n_sums "}, {" a0 ", " a1 ", " a2 ", " a3 "}, " b ", p, 1, 1, 1; }"                  \
               : TESSERA_SUMS##n_sums(0)                                                                               \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(values), "r"(1))

template <bool kIsBf16, int kKeys>
TESSERA_DEVICE void wgmma_keys(float (&d)[kKeys / 2], uint64_t queries, uint64_t keys, bool adds) {
  static_assert(kKeys == 32 || kKeys == 64);
  if constexpr (kKeys == 32 && kIsBf16) TESSERA_KEYS("bf16", "32", 16, "%16", "%17", "%18");
  if constexpr (kKeys == 32 && !kIsBf16) TESSERA_KEYS("f16", "32", 16, "%16", "%17", "%18");
  if constexpr (kKeys == 64 && kIsBf16) TESSERA_KEYS("bf16", "64", 32, "%32", "%33", "%34");
  if constexpr (kKeys == 64 && !kIsBf16) TESSERA_KEYS("f16", "64", 32, "%32", "%33", "%34");
}
template <bool kIsBf16, int kColumns>
TESSERA_DEVICE void wgmma_values(float (&d)[kColumns / 2], const uint32_t (&a)[4], uint64_t values) {
  static_assert(kColumns == 64 || kColumns == 128 || kColumns == 256);
#define TESSERA_VALUES32(type) TESSERA_VALUES(type, "64", 32, "%32", "%33", "%34", "%35", "%36", "%37")
#define TESSERA_VALUES64(type) TESSERA_VALUES(type, "128", 64, "%64", "%65", "%66", "%67", "%68", "%69")
#define TESSERA_VALUES128(type) TESSERA_VALUES(type, "256", 128, "%128", "%129", "%130", "%131", "%132", "%133")
  if constexpr (kColumns == 64 && kIsBf16) TESSERA_VALUES32("bf16");
  if constexpr (kColumns == 64 && !kIsBf16) TESSERA_VALUES32("f16");
  if constexpr (kColumns == 128 && kIsBf16) TESSERA_VALUES64("bf16");
  if constexpr (kColumns == 128 && !kIsBf16) TESSERA_VALUES64("f16");
  if constexpr (kColumns == 256 && kIsBf16) TESSERA_VALUES128("bf16");
  if constexpr (kColumns == 256 && !kIsBf16) TESSERA_VALUES128("f16");
#undef TESSERA_VALUES32
#undef TESSERA_VALUES64
#undef TESSERA_VALUES128
}
#undef TESSERA_KEYS
#undef TESSERA_VALUES
#undef TESSERA_NAMES16
#undef TESSERA_NAMES32
#undef TESSERA_NAMES64
#undef TESSERA_NAMES128
#undef TESSERA_SUMS4
#undef TESSERA_SUMS16
#undef TESSERA_SUMS32
#undef TESSERA_SUMS64
#undef TESSERA_SUMS128

template <bool kIsBf16, int kKeys, int kRows>
TESSERA_DEVICE void multiply_keys(float (&scores)[kKeys / 2], const Panels& queries, const Panels& keys, int depth,
                                  bool adds) {
  const int panel = depth / 4 * kTileRowBytes, within = depth % 4 * 32;
  wgmma_keys<kIsBf16, kKeys>(scores, queries.at(panel * kRows + within), keys.at(panel * kKeys + within), adds);
}
template <bool kIsBf16, int kColumns, int kKeys>
TESSERA_DEVICE void multiply_values(float (&out)[kColumns / 2], const uint32_t (&weights)[4], const Panels& values,
                                    int step) {
  wgmma_values<kIsBf16, kColumns>(out, weights, values.at(16 * step * kTileRowBytes));
}
// Sums of products that have been waited for may be used from here on, and not before: to the compiler they are there
// as soon as a product has been issued.
template <int kSums>
TESSERA_DEVICE void settle(float (&sums)[kSums]) {
  TESSERA_UNROLL
  for (int i = 0; i < kSums; ++i) asm volatile("" : "+f"(sums[i])::"memory");
}
#else
struct Panels {
  Shared<const uint8_t> first;
  TESSERA_DEVICE explicit Panels(Shared<const uint8_t> panels, int = 0) : first(panels) {}
};
template <bool kIsBf16, int kKeys, int kRows>
TESSERA_DEVICE void multiply_keys(float (&scores)[kKeys / 2], const Panels& queries, const Panels& keys, int depth,
                                  bool adds) {
  multiply_keys_by_warp<kIsBf16, kKeys, kRows>(scores, queries.first, keys.first, depth, adds);
}
template <bool kIsBf16, int kColumns, int kKeys>
TESSERA_DEVICE void multiply_values(float (&out)[kColumns / 2], const uint32_t (&weights)[4], const Panels& values,
                                    int step) {
  multiply_values_by_warp<kIsBf16, kColumns, kKeys>(out, weights, values.first, step);
}
template <int kSums>
TESSERA_DEVICE void settle(float (&)[kSums]) {}
#endif

}  // namespace tessera::kernels::cuda
