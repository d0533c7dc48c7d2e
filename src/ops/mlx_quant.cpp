#include "ops/mlx_quant.h"

#include <fmt/ranges.h>

#include <array>
#include <cmath>
#include <limits>

#include "ops/cast.h"
#include "ops/checks.h"
#include "ops/dtype_rules.h"
#include "ops/elements.h"
#include "ops/matmul.h"

namespace tessera::ops {
namespace {

// One row per mode with fixed geometry; affine is the mode that has none.
struct FloatMode {
  std::string_view name;
  int group_size, bits;
  double (*code)(uint32_t);
  double (*scale)(uint32_t);
};
constexpr FloatMode kFloatModes[] = {
    {"mxfp4", 32, 4, from_e2m1, from_e8m0},
    {"mxfp8", 32, 8, from_e4m3, from_e8m0},
    {"nvfp4", 16, 4, from_e2m1, from_e4m3},
};
constexpr std::string_view kAffine = "affine";

const FloatMode* find_mode(std::string_view name) {
  for (const FloatMode& mode : kFloatModes)
    if (mode.name == name) return &mode;
  return nullptr;
}

template <size_t N>
bool one_of(int value, const std::array<int, N>& allowed) {
  return std::find(allowed.begin(), allowed.end(), value) != allowed.end();
}

Status check_affine(const QuantizedWeight& w) {
  constexpr std::array kBits{2, 3, 4, 5, 6, 8};
  constexpr std::array kGroups{16, 32, 64, 128};
  if (!one_of(w.bits, kBits)) return not_implemented("affine codes of {} bits; supported: {}", w.bits, kBits);
  if (!one_of(w.group_size, kGroups))
    return not_implemented("affine groups of {}; supported: {}", w.group_size, kGroups);
  if (!w.biases) return invalid_argument("mode affine needs biases");
  TRY(check_float(w.scales, "scales"));
  TRY(check_float(*w.biases, "biases"));
  return check_shape(*w.biases, w.scales.shape, "biases");
}

Status check_float_mode(const QuantizedWeight& w, const FloatMode& mode) {
  if (w.biases) return invalid_argument("mode {} takes no biases", mode.name);
  if (w.bits != mode.bits || w.group_size != mode.group_size)
    return invalid_argument("mode {} means {} bits in groups of {}, found {} in {}", mode.name, mode.bits,
                            mode.group_size, w.bits, w.group_size);
  if (w.scales.dtype != DType::kU8) return invalid_argument("scales must be u8, found {}", describe(w.scales));
  return {};
}

Status check_global_scale(const QuantizedWeight& w) {
  if (!w.global_scale) return {};
  if (w.mode != "nvfp4") return invalid_argument("mode {} takes no global scale", w.mode);
  if (w.global_scale->dtype != DType::kF32 || w.global_scale->n_elements() != 1)
    return invalid_argument("global_scale must be one f32, found {}", describe(*w.global_scale));
  return {};
}

// The shape of the dequantized tensor.
Result<Shape> check_weight(const QuantizedWeight& w) {
  const FloatMode* mode = find_mode(w.mode);
  if (!mode && w.mode != kAffine)
    return not_implemented("quantization mode \"{}\"; supported: affine, mxfp4, mxfp8, nvfp4", w.mode);
  TRY(mode ? check_float_mode(w, *mode) : check_affine(w));
  TRY(check_global_scale(w));
  const int rank = w.codes.shape.rank();
  if (w.codes.dtype != DType::kU32 || rank < 2)
    return invalid_argument("codes must be u32 of rank 2 or more, found {}", describe(w.codes));
  TRY(check_rank(w.scales, rank, "scales"));
  Shape shape = w.codes.shape;
  shape[rank - 1] = w.scales.shape.back() * w.group_size;
  if (w.codes.shape.back() * 32 != shape.back() * w.bits)
    return invalid_argument("codes {} hold {} values of {} bits a row, scales {} cover {}", describe(w.codes),
                            w.codes.shape.back() * 32 / w.bits, w.bits, describe(w.scales), shape.back());
  Shape scales = shape;
  scales[rank - 1] = w.scales.shape.back();
  TRY(check_shape(w.scales, scales, "scales"));
  return shape;
}

// Reads dequantized rows. With `inner` the arithmetic of affine weights rounds to that dtype.
class RowReader {
 public:
  RowReader(const QuantizedWeight& w, const Shape& shape) : w_(w), mode_(find_mode(w.mode)), width_(shape.back()) {
    if (w.global_scale) global_ = static_cast<double>(*w.global_scale->as<float>()) / (448.0 * 6.0);
  }

  // Row r of all rows, `width` values.
  void read(int64_t r, const DType* inner, double* out) const {
    const uint32_t* words = w_.codes.as<uint32_t>() + r * w_.codes.shape.back();
    const int64_t groups = w_.scales.shape.back(), group_size = w_.group_size;
    for (int64_t g = 0; g < groups; ++g) {
      const int64_t at = r * groups + g;
      const double scale = mode_ ? mode_->scale(w_.scales.as<uint8_t>()[at]) * global_ : element<double>(w_.scales, at);
      const double bias = mode_ ? 0.0 : element<double>(*w_.biases, at);
      for (int64_t j = g * group_size; j < (g + 1) * group_size; ++j) {
        const uint32_t code = unpack_code(words, j, w_.bits);
        const double product = (mode_ ? mode_->code(code) : static_cast<double>(code)) * scale;
        out[j] = inner ? round_to(*inner, round_to(*inner, product) + bias) : product + bias;
      }
    }
  }
  int64_t width() const { return width_; }

 private:
  const QuantizedWeight& w_;
  const FloatMode* mode_;
  int64_t width_;
  double global_ = 1.0;
};

// What a product needs to know of its operands.
struct Product {
  Shape weight;  // dequantized: (..., N, K) when transposed, else (..., K, N)
  int64_t m, k, n;
  DType dtype;
  Shape x_batch, w_batch;
};

Result<Product> check_product(const Tensor& x, const QuantizedWeight& w, bool transpose) {
  TRY(check_float(x, "x"));
  Product p;
  p.weight = TRY(check_weight(w));
  if (w.global_scale) return invalid_argument("a global scale is only for Dequantize");
  const int rank = p.weight.rank();
  const int64_t rows = p.weight[rank - 2], columns = p.weight[rank - 1];
  p.n = transpose ? rows : columns;
  p.k = transpose ? columns : rows;
  if (x.shape.rank() < 1 || x.shape.back() != p.k)
    return invalid_argument("x {} must end in {} for a weight {}{}", describe(x), p.k, to_string(p.weight),
                            transpose ? " (transposed)" : "");
  p.m = x.shape.rank() < 2 ? 1 : x.shape[x.shape.rank() - 2];
  p.dtype = x.dtype;
  if (w.mode == kAffine) p.dtype = promote(promote(p.dtype, w.scales.dtype), w.biases->dtype);
  for (int i = 0; i < x.shape.rank() - 2; ++i) p.x_batch.push_back(x.shape[i]);
  for (int i = 0; i < rank - 2; ++i) p.w_batch.push_back(p.weight[i]);
  return p;
}

// out (m, n) = x entry (m, k) times weight entry, one dequantized row of the weight at a time.
void multiply_entry(const Product& p, const std::vector<double>& x, int64_t x_entry, const RowReader& rows,
                    int64_t w_entry, bool transpose, std::vector<double>& sums) {
  std::fill(sums.begin(), sums.end(), 0.0);
  std::vector<double> row(static_cast<size_t>(rows.width()));
  const double* left = x.data() + x_entry * p.m * p.k;
  const int64_t n_rows = transpose ? p.n : p.k;
  for (int64_t r = 0; r < n_rows; ++r) {
    rows.read(w_entry * n_rows + r, nullptr, row.data());
    for (int64_t m = 0; m < p.m; ++m) {
      if (transpose) {
        double sum = 0;
        for (int64_t k = 0; k < p.k; ++k) sum += left[m * p.k + k] * row[static_cast<size_t>(k)];
        sums[static_cast<size_t>(m * p.n + r)] = sum;
      } else {
        for (int64_t n = 0; n < p.n; ++n)
          sums[static_cast<size_t>(m * p.n + n)] += left[m * p.k + r] * row[static_cast<size_t>(n)];
      }
    }
  }
}

Result<Tensor> multiply_pairs(const Product& p, const Tensor& x, const QuantizedWeight& w, const BatchPairs& pairs,
                              bool transpose) {
  Shape shape = pairs.shape;
  if (x.shape.rank() >= 2) shape.push_back(p.m);
  shape.push_back(p.n);
  Tensor out = TRY(Tensor::allocate(p.dtype, shape));
  if (out.n_elements() == 0) return out;  // before buffers for entries that are not there
  const RowReader rows(w, p.weight);
  const std::vector<double> left = to_doubles(x);
  std::vector<double> sums(static_cast<size_t>(p.m * p.n));
  for (size_t i = 0; i < pairs.lhs.size(); ++i) {
    multiply_entry(p, left, pairs.lhs[i], rows, pairs.rhs[i], transpose, sums);
    store(sums.data(), p.m * p.n, out, static_cast<int64_t>(i) * p.m * p.n);
  }
  return out;
}

}  // namespace

uint32_t unpack_code(const uint32_t* words, int64_t j, int bits) {
  const int64_t at = j * bits, word = at / 32;
  const int shift = static_cast<int>(at % 32);
  uint64_t window = words[word];
  if (shift + bits > 32) window |= uint64_t{words[word + 1]} << 32;
  return static_cast<uint32_t>(window >> shift) & ((1u << bits) - 1);
}

double from_e2m1(uint32_t code) {
  constexpr double kMagnitudes[] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
  const double magnitude = kMagnitudes[code & 7];
  return code & 8 ? -magnitude : magnitude;
}

double from_e4m3(uint32_t code) {
  const uint32_t exponent = (code >> 3) & 15, mantissa = code & 7;
  if (exponent == 15 && mantissa == 7) return std::numeric_limits<double>::quiet_NaN();
  const double magnitude =
      exponent == 0 ? std::ldexp(mantissa, -9) : std::ldexp(8 + mantissa, static_cast<int>(exponent) - 10);
  return code & 128 ? -magnitude : magnitude;
}

double from_e8m0(uint32_t code) {
  return code == 255 ? std::numeric_limits<double>::quiet_NaN() : std::ldexp(1.0, static_cast<int>(code) - 127);
}

Result<Tensor> dequantize(const QuantizedWeight& w, const DType* dtype) {
  const Shape shape = TRY(check_weight(w));
  const bool affine = w.mode == kAffine;
  const DType own = affine ? promote(w.scales.dtype, w.biases->dtype) : DType::kBF16;
  Tensor out = TRY(Tensor::allocate(dtype ? *dtype : own, shape));
  const RowReader rows(w, shape);
  if (out.n_elements() == 0) return out;  // before a buffer for rows that are not there
  std::vector<double> row(static_cast<size_t>(shape.back()));
  const int64_t n_rows = product(shape, 0, shape.rank() - 1);
  for (int64_t r = 0; r < n_rows; ++r) {
    rows.read(r, affine ? &own : nullptr, row.data());
    store(row.data(), shape.back(), out, r * shape.back());
  }
  return out;
}

Result<Tensor> quantized_matmul(const Tensor& x, const QuantizedWeight& w, bool transpose) {
  return gather_qmm(x, w, nullptr, nullptr, transpose);
}

Result<Tensor> gather_qmm(const Tensor& x, const QuantizedWeight& w, const Tensor* lhs_indices,
                          const Tensor* rhs_indices, bool transpose) {
  const Product p = TRY(check_product(x, w, transpose));
  const BatchPairs pairs = TRY(resolve_batch_pairs(p.x_batch, lhs_indices, p.w_batch, rhs_indices));
  return multiply_pairs(p, x, w, pairs, transpose);
}

}  // namespace tessera::ops
