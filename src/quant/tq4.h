// TQ4: a vector of a key-value cache as 4-bit codes and one norm; d / 2 + 2 bytes instead of bf16's 2 d.
//
//   codes   u8 (d / 2)   byte j: high nibble -> level of value 2 j, low nibble -> level of value 2 j + 1
//   norm    bf16         ||x||
//
//   x[i] = norm * centroids[level[i]] * R      R: an orthogonal d x d matrix, the same for every vector
//
// The rotation makes any vector's direction look like d draws of N(0, 1/d), for which one table of 16 levels is nearly
// the best there is; nothing about the data is stored but its length. Attention needs no vector turned back: q and k
// are turned alike, which keeps their products, and the weighted sum of the values is turned back once. So what is
// compressed and decompressed here is a vector already rotated.
//
// Method: TurboQuant (Zandieh, Daliri, Hadian, Mirrokni 2025), in the form of ExecuTorch's 4-bit cache. Codebook and
// layout are ExecuTorch's to the bit, the rotation is our own: theirs comes out of one library's random numbers.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/float16.h"

namespace tessera::quant {

inline constexpr int kTq4Levels = 16;

// The levels of one vector length, ascending, and where one ends and the next begins.
struct Tq4Codebook {
  std::array<float, kTq4Levels> centroids;
  std::array<float, kTq4Levels - 1> boundaries;  // values of bf16; the middle one is 0
};

// Lengths there is a rotation for: powers of two from 64 to 1024.
inline constexpr int64_t kTq4MinDim = 64, kTq4MaxDim = 1024;
constexpr bool tq4_supports(int64_t dim) { return dim >= kTq4MinDim && dim <= kTq4MaxDim && (dim & (dim - 1)) == 0; }
constexpr int64_t tq4_bytes(int64_t dim) { return dim / 2 + int64_t{sizeof(BF16)}; }  // of one vector

// Lloyd-Max for N(0, 1/dim) cut at three standard deviations.
Tq4Codebook tq4_codebook(int64_t dim);

// R: a symmetric orthogonal matrix, so its own inverse: turning back is turning again. Entries are integers over dim,
// at most 256 of them, which bf16 and f16 hold exactly.
class Tq4Rotation {
 public:
  explicit Tq4Rotation(int64_t dim);  // tq4_supports(dim)
  std::vector<float> matrix() const;  // (dim, dim)
  // x * R in place, by the structure of R: 2 dim log2(dim) additions instead of dim^2 products.
  void apply(float* x) const;

 private:
  std::vector<int32_t> inner_, outer_;  // signs
};

// The number of boundaries below y: a value on a boundary takes the lower level.
int tq4_level(float y, const float* boundaries);
// The byte of two values, as drawn above.
uint8_t tq4_pair(float even, float odd, const float* boundaries);

// x (dim) rotated -> codes (dim / 2), returns the norm. A direction is x / (||x|| + kTq4Epsilon), so zeros stay finite.
inline constexpr float kTq4Epsilon = 1e-10f;
BF16 tq4_compress(const float* x, int64_t dim, const float* boundaries, uint8_t* codes);
void tq4_decompress(const uint8_t* codes, float norm, int64_t dim, const float* centroids, float* x);

}  // namespace tessera::quant
