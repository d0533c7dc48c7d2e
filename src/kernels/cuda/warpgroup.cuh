// The product of a warpgroup - four warps, each with 16 rows of its own in registers - with a tile of tokens in shared
// memory: wgmma on compute capability 9.0a, the 16 x 8 x 16 product of single warps elsewhere.
//
// A tile holds rows (tokens) of 64 f16 = eight chunks of 16 bytes; chunk c of row r lies at c ^ (r % 8), so that the
// eight rows a matrix load touches fall into different banks: PTX's 128-byte swizzle. It begins at a multiple of 1024.
#pragma once

#include "kernels/cuda/words.cuh"

namespace tessera::kernels::cuda {

inline constexpr int kTileDepth = 64, kTileRowBytes = kTileDepth * 2;

TESSERA_DEVICE int swizzled(int row, int chunk) { return row * kTileRowBytes + ((chunk ^ (row % 8)) * 16); }

// acc (16 rows of this warp, kTokens) += a (16, 16) x tile (kTokens, 16 depth .. + 15)^T, by single warps: acc[4 j ..]
// is of tokens 8 j ... as mma_f16 has them. Without `adds` acc is set.
template <int kTokens>
TESSERA_DEVICE void multiply_tile_by_warp(float (&acc)[kTokens / 2], const uint32_t (&a)[4], Shared<const uint8_t> tile,
                                          int depth, bool adds) {
  const int matrix = lane() / 8, in_matrix = lane() % 8;
  if (!adds) {
    TESSERA_UNROLL
    for (int i = 0; i < kTokens / 2; ++i) acc[i] = 0;
  }
  TESSERA_UNROLL
  for (int j = 0; j < kTokens / 16; ++j) {
    uint32_t b[4];
    load_matrices(b, tile + swizzled(16 * j + matrix / 2 * 8 + in_matrix, 2 * depth + matrix % 2));
    mma_f16(&acc[8 * j], a, b[0], b[1]);
    mma_f16(&acc[8 * j + 4], a, b[2], b[3]);
  }
}

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
// What generic stores and asynchronous copies of this thread wrote to shared memory is seen by wgmma.
TESSERA_DEVICE void fence_async_proxy() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
// Registers written before are seen by the products issued after.
TESSERA_DEVICE void warpgroup_arrive() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
TESSERA_DEVICE void warpgroup_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int kGroupsLeft>
TESSERA_DEVICE void warpgroup_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kGroupsLeft) : "memory");
}
// Until all products have been made. Sums may not be taken from their registers before: nvcc, which does not know who
// writes them, else copies them to others as soon as the last product has been asked for.
template <int n>
TESSERA_DEVICE void wait_for_sums(float (&sums)[n]) {
  warpgroup_wait<0>();
  TESSERA_UNROLL
  for (int i = 0; i < n; ++i) asm volatile("" : "+f"(sums[i])::"memory");
}

// PTX ISA, matrix descriptor: rows of 128 bytes, eight of them 1024 apart, 128-byte swizzle.
TESSERA_DEVICE uint64_t tile_descriptor(Shared<const uint8_t> tile, int depth) {
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(tile));
  const uint64_t first = uint64_t{1} << 62 | uint64_t{1024 >> 4} << 32 | uint64_t{1} << 16 | (address & 0x3ffff) >> 4;
  return first + static_cast<uint32_t>(32 * depth >> 4);
}

// A sum that a product defines must not be touched by anything else while products are under way, not even set to zero:
// hence `adds`.
#define TESSERA_SUMS8(i)                                                                                      \
  "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), "+f"(d[i + 6]), \
      "+f"(d[i + 7])
TESSERA_DEVICE void wgmma_f16(float (&d)[16], const uint32_t (&a)[4], uint64_t b, bool adds) {
  asm volatile(
      "{ .reg .pred p; setp.ne.b32 p, %21, 0; wgmma.mma_async.sync.aligned.m64n32k16.f32.f16.f16 "
      "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15}, "
      "{%16, %17, %18, %19}, %20, p, 1, 1, 0; }"
      : TESSERA_SUMS8(0), TESSERA_SUMS8(8)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(static_cast<int>(adds)));
}
TESSERA_DEVICE void wgmma_f16(float (&d)[32], const uint32_t (&a)[4], uint64_t b, bool adds) {
  asm volatile(
      "{ .reg .pred p; setp.ne.b32 p, %37, 0; wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 "
      "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "
      "{%32, %33, %34, %35}, %36, p, 1, 1, 0; }"
      : TESSERA_SUMS8(0), TESSERA_SUMS8(8), TESSERA_SUMS8(16), TESSERA_SUMS8(24)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(static_cast<int>(adds)));
}
TESSERA_DEVICE void wgmma_f16(float (&d)[64], const uint32_t (&a)[4], uint64_t b, bool adds) {
  asm volatile(
      "{ .reg .pred p; setp.ne.b32 p, %69, 0; wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 "
      "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
      "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
      "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
      "{%64, %65, %66, %67}, %68, p, 1, 1, 0; }"
      : TESSERA_SUMS8(0), TESSERA_SUMS8(8), TESSERA_SUMS8(16), TESSERA_SUMS8(24), TESSERA_SUMS8(32), TESSERA_SUMS8(40),
        TESSERA_SUMS8(48), TESSERA_SUMS8(56)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(static_cast<int>(adds)));
}
TESSERA_DEVICE void wgmma_f16(float (&d)[128], const uint32_t (&a)[4], uint64_t b, bool adds) {
  asm volatile(
      "{ .reg .pred p; setp.ne.b32 p, %133, 0; wgmma.mma_async.sync.aligned.m64n256k16.f32.f16.f16 "
      "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
      "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
      "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, "
      "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, "
      "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, "
      "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, "
      "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127}, "
      "{%128, %129, %130, %131}, %132, p, 1, 1, 0; }"
      : TESSERA_SUMS8(0), TESSERA_SUMS8(8), TESSERA_SUMS8(16), TESSERA_SUMS8(24), TESSERA_SUMS8(32), TESSERA_SUMS8(40),
        TESSERA_SUMS8(48), TESSERA_SUMS8(56), TESSERA_SUMS8(64), TESSERA_SUMS8(72), TESSERA_SUMS8(80),
        TESSERA_SUMS8(88), TESSERA_SUMS8(96), TESSERA_SUMS8(104), TESSERA_SUMS8(112), TESSERA_SUMS8(120)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(static_cast<int>(adds)));
}
#undef TESSERA_SUMS8

template <int kTokens>
TESSERA_DEVICE void multiply_tile(float (&acc)[kTokens / 2], const uint32_t (&a)[4], Shared<const uint8_t> tile,
                                  int depth, bool adds) {
  wgmma_f16(acc, a, tile_descriptor(tile, depth), adds);
}
#else
// The tensor cores work when they are told to; fences and waits have nothing to order.
TESSERA_DEVICE void fence_async_proxy() {}
TESSERA_DEVICE void warpgroup_arrive() {}
TESSERA_DEVICE void warpgroup_commit() {}
template <int kGroupsLeft>
TESSERA_DEVICE void warpgroup_wait() {}
template <int n>
TESSERA_DEVICE void wait_for_sums(float (&)[n]) {}
template <int kTokens>
TESSERA_DEVICE void multiply_tile(float (&acc)[kTokens / 2], const uint32_t (&a)[4], Shared<const uint8_t> tile,
                                  int depth, bool adds) {
  multiply_tile_by_warp<kTokens>(acc, a, tile, depth, adds);
}
#endif

}  // namespace tessera::kernels::cuda
