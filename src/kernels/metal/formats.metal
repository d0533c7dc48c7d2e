// Q4_K, Q5_K and Q6_K as Metal sees them: blocks of 256 values, read where they lie in the file.
//
// All three are told by one vocabulary. A block is 8 chunks; chunk c is the 16 bytes of nibbles at kCodes + 16 c, which
// hold two runs of 16 values: the low nibbles are values [F::first(c), + 16), the high nibbles lie F::kRunStep further.
// A format with more than 4 bits keeps the rest in another plane: 16 bytes at F::high(c), run r's bits from bit
// F::high_shift(c, r) of each byte. Then
//
//   value = scale * (code - kZero) - offset        scale and offset (d * scale, dmin * min) of the run: F::affine
//
// Loads ask for an alignment of 2 only, all that 210-byte blocks can promise; packed_ushort4 is still one load.
#include <metal_stdlib>
#include <metal_simdgroup_matrix>

using namespace metal;

namespace gguf {

struct Affine {
  float scale[2];
  float offset[2];
};

// Q4_K and Q5_K: d, dmin, then eight scales and mins of 6 bits in 12 bytes. As six words of two bytes: the low 6 bits of
// words 0, 1 are scales 0-3, of words 2, 3 mins 0-3; words 4, 5 hold the low 4 bits of scales (and, above, mins) 4-7,
// whose top 2 bits are those of words 0, 1 (and 2, 3). Two neighbours, as a chunk needs them, are one word.
inline Affine affine_6bit(device const uchar* block, int chunk) {
  device const half* d = (device const half*)block;
  device const ushort* words = (device const ushort*)(block + 4);
  const int pair = chunk / 2;
  ushort scales, mins;
  if (pair < 2) {
    scales = words[pair] & 0x3f3f;
    mins = words[pair + 2] & 0x3f3f;
  } else {
    const ushort low = words[pair + 2];
    scales = (low & 0x0f0f) | ((words[pair - 2] & 0xc0c0) >> 2);
    mins = ((low >> 4) & 0x0f0f) | ((words[pair] & 0xc0c0) >> 2);
  }
  const float scale = float(d[0]), min = float(d[1]);
  return {{scale * float(scales & 255), scale * float(scales >> 8)}, {min * float(mins & 255), min * float(mins >> 8)}};
}

struct Q4_K {
  static constexpr constant int kBytes = 144;
  static constexpr constant int kCodes = 16;
  static constexpr constant int kRunStep = 32;
  static constexpr constant int kHighBits = 0;
  static constexpr constant float kZero = 0;
  static constexpr constant int kMatvecRows = 2;  // of the weight, per SIMD group

  static int first(int chunk) { return 64 * (chunk / 2) + 16 * (chunk % 2); }
  static int high(int) { return 0; }
  static int high_shift(int, int) { return 0; }
  static Affine affine(device const uchar* block, int chunk) { return affine_6bit(block, chunk); }
};

struct Q5_K {
  static constexpr constant int kBytes = 176;
  static constexpr constant int kCodes = 48;
  static constexpr constant int kRunStep = 32;
  static constexpr constant int kHighBits = 1;
  static constexpr constant float kZero = 0;
  static constexpr constant int kMatvecRows = 1;

  static int first(int chunk) { return Q4_K::first(chunk); }
  static int high(int chunk) { return 16 + 16 * (chunk % 2); }
  static int high_shift(int chunk, int run) { return 2 * (chunk / 2) + run; }
  static Affine affine(device const uchar* block, int chunk) { return affine_6bit(block, chunk); }
};

struct Q6_K {
  static constexpr constant int kBytes = 210;
  static constexpr constant int kCodes = 0;
  static constexpr constant int kRunStep = 64;
  static constexpr constant int kHighBits = 2;
  static constexpr constant float kZero = 32;
  static constexpr constant int kMatvecRows = 2;

  static int first(int chunk) { return 128 * (chunk / 4) + 16 * (chunk % 4); }
  static int high(int chunk) { return 128 + 32 * (chunk / 4) + 16 * (chunk % 2); }
  static int high_shift(int chunk, int run) { return 2 * (chunk % 4 / 2) + 4 * run; }
  static Affine affine(device const uchar* block, int chunk) {
    device const int8_t* scales = (device const int8_t*)(block + 192);
    const float d = float(*(device const half*)(block + 208));
    const int run = first(chunk) / 16;
    return {{d * float(scales[run]), d * float(scales[run + kRunStep / 16])}, {0, 0}};
  }
};

// Half of a chunk: 8 bytes of nibbles and the 8 bytes that hold their upper bits.
struct Codes {
  ushort4 low;
  ushort4 high;
};

template <typename F>
inline Codes load_codes(device const uchar* block, int chunk, int part) {
  const int at = 8 * part;
  Codes codes;
  codes.low = ushort4(*(device const packed_ushort4*)(block + F::kCodes + 16 * chunk + at));
  codes.high = ushort4(0);
  if (F::kHighBits > 0) codes.high = ushort4(*(device const packed_ushort4*)(block + F::high(chunk) + at));
  return codes;
}

// The 8 values of each run that this half of a chunk holds: values[8 r + i] is value
// first(chunk) + r kRunStep + 8 part + i of the block.
template <typename F>
inline void unpack(device const uchar* block, int chunk, int part, thread float* values) {
  const Affine affine = F::affine(block, chunk);
  const Codes codes = load_codes<F>(block, chunk, part);
  for (int run = 0; run < 2; ++run) {
    const int shift = F::high_shift(chunk, run);
    for (int i = 0; i < 8; ++i) {
      const int byte = 8 * (i % 2);
      int code = (codes.low[i / 2] >> (byte + 4 * run)) & 15;
      if (F::kHighBits > 0) code |= ((codes.high[i / 2] >> (byte + shift)) & ((1 << F::kHighBits) - 1)) << 4;
      values[8 * run + i] = affine.scale[run] * (float(code) - F::kZero) - affine.offset[run];
    }
  }
}

// The value of an input no tensor stands for: kernels without bias bind this name instead.
struct NoBias {
  float operator[](int) const { return 0; }
};

}  // namespace gguf
