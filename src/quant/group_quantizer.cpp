#include "quant/group_quantizer.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/float16.h"
#include "quant/simd4.h"

namespace tessera::quant {
namespace {

float bf16(float value) { return to_f32(to_bf16(value)); }

// Codes 0 .. most for value * inverse + zero, four at a time. Clamped before rounding: the bounds are whole numbers, so
// the order does not matter, and round4 wants small ones.
struct Coder {
  Float4 inverse, zero, most;
  Coder(float inverse_scale, float zero_point, float n_codes)
      : inverse(splat4(inverse_scale)), zero(splat4(zero_point)), most(splat4(n_codes - 1)) {}
  Float4 operator()(Float4 value) const { return round4(min4(max4(value * inverse + zero, splat4(0)), most)); }
};

void store_codes(Float4 code, uint8_t* out) {
  for (int i = 0; i < 4; ++i) out[i] = static_cast<uint8_t>(code[i]);
}

struct Range {
  float low = std::numeric_limits<float>::infinity(), high = -low;
  explicit Range(std::span<const float> values) {
    Float4 lows = splat4(low), highs = splat4(high);
    for (size_t i = 0; i < values.size(); i += 4) {
      lows = min4(lows, load4(values.data() + i));
      highs = max4(highs, load4(values.data() + i));
    }
    for (int i = 0; i < 4; ++i) {
      low = std::min(low, lows[i]);
      high = std::max(high, highs[i]);
    }
  }
};

// Zero is always part of the range, so that it has a code of its own. Symmetric scales divide by half the code range,
// 7.5 for 4 bits: +max falls between the last code and the next.
GroupParameters min_max(std::span<const float> values, const GroupQuantization& how, uint8_t* codes) {
  const Range range(values);
  const float low = std::min(range.low, 0.0f), high = std::max(range.high, 0.0f);
  const auto n_codes = static_cast<float>(1 << how.bits);
  const float center = n_codes / 2, width = how.symmetric ? 2 * std::max(-low, high) : high - low;
  // Rounded to bf16 first: the codes must fit the scale that will be stored.
  const float exact = std::max(width / (n_codes - 1), std::numeric_limits<float>::epsilon());
  GroupParameters out{.scale = bf16(exact), .zero = center};
  if (!how.symmetric) out.zero = std::clamp(-std::nearbyint(low / exact), 0.0f, n_codes - 1);
  // The value is rounded before the zero is added, which is another thing than Coder does where they tie.
  const Float4 zero = splat4(out.zero), inverse = splat4(1 / out.scale), most = splat4(n_codes - 1) - zero;
  for (size_t i = 0; i < values.size(); i += 4)
    store_codes(round4(min4(max4(load4(values.data() + i) * inverse, -zero), most)) + zero, codes + i);
  return out;
}

// The soft threshold of the p-norm, p = 0.7: |e| - |e|^(p - 1) / beta, or nothing below the size where that is zero.
struct Shrink {
  static constexpr float kP = 0.7f;
  float beta, least;
  explicit Shrink(float b) : beta(b), least(std::pow(b, -1 / (2 - kP))) {}
  Float4 operator()(Float4 error) const {
    Float4 out = splat4(0);
    for (int i = 0; i < 4; ++i) {  // weights are small: hardly an error is above `least`, 0.17 at first
      const float size = std::fabs(error[i]);
      if (size > least) out[i] = std::copysign(size - std::pow(size, kP - 1) / beta, error[i]);
    }
    return out;
  }
};

// Alternates between the part of the error that is written off as outliers and the zero point that suits the rest. The
// original judges "no longer better" over the whole tensor; here each group stops for itself and keeps its best zero,
// so that a group's result depends on its own values alone.
GroupParameters hqq(std::span<const float> values, const GroupQuantization& how, uint8_t* codes) {
  constexpr int kIterations = 20;
  constexpr float kKappa = 1.01f, kMaxInverse = 2e4f;
  const Range range(values);
  const auto n_codes = static_cast<float>(1 << how.bits);
  const float width = std::max(range.high - range.low, std::numeric_limits<float>::min());
  const float inverse = std::min((n_codes - 1) / width, kMaxInverse), scale = 1 / inverse;
  float zero = std::nearbyint(-range.low * inverse), best_zero = zero, beta = 10;
  float best_error = std::numeric_limits<float>::infinity();
  for (int i = 0; i < kIterations; ++i) {
    const Coder code_of(inverse, zero, n_codes);
    const Shrink shrink(beta);
    Float4 error = splat4(0), zeros = splat4(0);
    for (size_t j = 0; j < values.size(); j += 4) {
      const Float4 value = load4(values.data() + j), code = code_of(value);
      const Float4 difference = value - (code - code_of.zero) * scale;
      zeros += code - (value - shrink(difference)) * inverse;
      error += max4(difference, -difference);
    }
    if (sum4(error) >= best_error) break;
    best_error = sum4(error);
    best_zero = zero;
    zero = sum4(zeros) / static_cast<float>(values.size());
    beta *= kKappa;
  }
  const Coder code_of(inverse, best_zero, n_codes);
  for (size_t j = 0; j < values.size(); j += 4) store_codes(code_of(load4(values.data() + j)), codes + j);
  return {.scale = bf16(scale), .zero = bf16(best_zero)};
}

class Quantized final : public AffineMatrix {
 public:
  Quantized(FloatMatrix matrix, const GroupQuantization& how, int64_t group_size)
      : AffineMatrix({matrix.n, matrix.k, how.bits, group_size, how.symmetric}),
        matrix_(std::move(matrix)),
        how_(how),
        row_bytes_(static_cast<size_t>(matrix_.format->bytes_for(matrix_.k))) {}

  Result<AffineRows> rows(int64_t begin, int64_t end) const override {
    const int64_t n_values = (end - begin) * matrix_.k;
    const auto n_bytes = static_cast<size_t>(end - begin) * row_bytes_;
    const std::byte* first = matrix_.bytes.data() + static_cast<size_t>(begin) * row_bytes_;
    std::vector<float> values(static_cast<size_t>(n_values));
    matrix_.format->dequantize(first, n_values, values.data());
    if (matrix_.mapped) matrix_.mapped->forget(static_cast<size_t>(first - matrix_.mapped->bytes().data()), n_bytes);
    for (float& value : values)
      if (!std::isfinite(value)) return invalid_format("rows {} to {} hold infinities or NaN", begin, end - 1);

    const auto group = static_cast<size_t>(shape().group_size);
    AffineRows out;
    out.codes.resize(values.size());
    for (size_t i = 0; i < values.size(); i += group) {
      const GroupParameters p = quantize_group(std::span(values).subspan(i, group), how_, out.codes.data() + i);
      if (!std::isfinite(p.scale) || !std::isfinite(p.zero))
        return invalid_format("row {}: values too large to quantize", begin + static_cast<int64_t>(i) / matrix_.k);
      out.scales.push_back(p.scale);
      out.zeros.push_back(p.zero);
    }
    return out;
  }

 private:
  FloatMatrix matrix_;
  GroupQuantization how_;
  size_t row_bytes_;
};

}  // namespace

Status check(const GroupQuantization& how, int64_t row_values) {
  if (how.bits != 4 && how.bits != 5 && how.bits != 6 && how.bits != 8)
    return invalid_argument("{} bits; supported: 4, 5, 6, 8", how.bits);
  if (how.symmetric && how.method == GroupMethod::kHqq)
    return not_implemented("symmetric HQQ is not implemented; asymmetric HQQ and min-max are");
  const int64_t group_size = how.group_size == 0 ? row_values : how.group_size;
  if (group_size < 4 || group_size % 4 != 0 || row_values % group_size != 0)
    return invalid_argument("rows of {} values do not divide into groups of {} (a multiple of 4)", row_values,
                            group_size);
  return {};
}

GroupParameters quantize_group(std::span<const float> values, const GroupQuantization& how, uint8_t* codes) {
  return how.method == GroupMethod::kHqq ? hqq(values, how, codes) : min_max(values, how, codes);
}

Result<std::shared_ptr<const AffineMatrix>> quantized(FloatMatrix matrix, const GroupQuantization& how) {
  TRY(check(how, matrix.k));
  const int64_t group_size = how.group_size == 0 ? matrix.k : how.group_size;
  return std::shared_ptr<const AffineMatrix>(std::make_shared<Quantized>(std::move(matrix), how, group_size));
}

}  // namespace tessera::quant
