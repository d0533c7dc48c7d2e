#include "quant/tq4.h"

#include <cmath>
#include <span>

#include "base/check.h"

namespace tessera::quant {
namespace {

// The positive half of the codebook for N(0, 1): 200 rounds of Lloyd's iteration from the centres of 16 equal cells
// over [-3, 3], which is where ExecuTorch stops; it has not quite converged there. tq4_test.cpp repeats it.
constexpr int kHalf = kTq4Levels / 2;
constexpr double kUnitCentroids[kHalf] = {0.12275533075863569, 0.3707590747961954, 0.6266130098397356,
                                          0.8969404864035156,  1.191121311513975,  1.5244483306705743,
                                          1.9265404896470786,  2.472438240928406};

// t[i] = sum over m of (-1)^(ones in i & m) t[m], in place; t.size() is a power of two.
template <typename T>
void walsh_hadamard(std::span<T> t) {
  for (size_t step = 1; step < t.size(); step *= 2)
    for (size_t block = 0; block < t.size(); block += 2 * step)
      for (size_t i = block; i < block + step; ++i) {
        const T a = t[i], b = t[i + step];
        t[i] = a + b;
        t[i + step] = a - b;
      }
}

// Signs of a fixed sequence: the top bits of splitmix64 (Steele, Lea, Flood 2014).
class Signs {
 public:
  int32_t next() {
    state_ += 0x9e3779b97f4a7c15u;
    uint64_t z = state_;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (z ^ z >> 31) >> 63 ? -1 : 1;
  }

 private:
  uint64_t state_ = 42;
};

}  // namespace

Tq4Codebook tq4_codebook(int64_t dim) {
  const double sigma = 1 / std::sqrt(static_cast<double>(dim));
  Tq4Codebook out;
  for (int i = 0; i < kHalf; ++i) {
    out.centroids[kHalf + i] = static_cast<float>(kUnitCentroids[i] * sigma);
    out.centroids[kHalf - 1 - i] = -out.centroids[kHalf + i];
  }
  out.boundaries[kHalf - 1] = 0;
  for (int i = 1; i < kHalf; ++i) {
    const auto middle = static_cast<float>((kUnitCentroids[i - 1] + kUnitCentroids[i]) / 2 * sigma);
    out.boundaries[kHalf - 1 + i] = to_f32(to_bf16(middle));
    out.boundaries[kHalf - 1 - i] = -out.boundaries[kHalf - 1 + i];
  }
  return out;
}

// R = S (H D H / dim) S: H the Hadamard matrix, D and S random signs, inner and outer. Why this matrix: its entries are
// sums of dim random signs, as good as normal draws; and where those need a generator and a factorisation that every
// platform rounds in its own way, these are integers.
Tq4Rotation::Tq4Rotation(int64_t dim) : inner_(static_cast<size_t>(dim)), outer_(static_cast<size_t>(dim)) {
  CHECK(tq4_supports(dim));
  Signs random;
  for (int32_t& sign : inner_) sign = random.next();
  for (int32_t& sign : outer_) sign = random.next();
}

// H D H depends on i xor j alone, and is the transform of D's signs.
std::vector<float> Tq4Rotation::matrix() const {
  const size_t d = inner_.size();
  std::vector<int32_t> core = inner_;
  walsh_hadamard(std::span(core));
  std::vector<float> out(d * d);
  for (size_t i = 0; i < d; ++i)
    for (size_t j = 0; j < d; ++j)
      out[i * d + j] = static_cast<float>(outer_[i] * outer_[j] * core[i ^ j]) / static_cast<float>(d);
  return out;
}

void Tq4Rotation::apply(float* x) const {
  const std::span<float> values(x, inner_.size());
  const float scale = 1 / static_cast<float>(inner_.size());  // a power of two
  for (size_t i = 0; i < values.size(); ++i) values[i] *= static_cast<float>(outer_[i]);
  walsh_hadamard(values);
  for (size_t i = 0; i < values.size(); ++i) values[i] *= static_cast<float>(inner_[i]) * scale;
  walsh_hadamard(values);
  for (size_t i = 0; i < values.size(); ++i) values[i] *= static_cast<float>(outer_[i]);
}

int tq4_level(float y, const float* boundaries) {
  int level = 0;
  for (int i = 0; i < kTq4Levels - 1; ++i) level += boundaries[i] < y;
  return level;
}

uint8_t tq4_pair(float even, float odd, const float* boundaries) {
  return static_cast<uint8_t>(tq4_level(even, boundaries) << 4 | tq4_level(odd, boundaries));
}

BF16 tq4_compress(const float* x, int64_t dim, const float* boundaries, uint8_t* codes) {
  double sum = 0;
  for (int64_t i = 0; i < dim; ++i) sum += double{x[i]} * double{x[i]};
  const auto norm = static_cast<float>(std::sqrt(sum));
  const float length = norm + kTq4Epsilon;
  for (int64_t i = 0; i < dim; i += 2) codes[i / 2] = tq4_pair(x[i] / length, x[i + 1] / length, boundaries);
  return to_bf16(norm);
}

void tq4_decompress(const uint8_t* codes, float norm, int64_t dim, const float* centroids, float* x) {
  for (int64_t i = 0; i < dim; i += 2) {
    x[i] = centroids[codes[i / 2] >> 4] * norm;
    x[i + 1] = centroids[codes[i / 2] & 15] * norm;
  }
}

}  // namespace tessera::quant
