#include "quant/group_quantizer.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/float16.h"

namespace tessera::quant {
namespace {

float bf16(float value) { return to_f32(to_bf16(value)); }

uint8_t to_code(float value, float n_codes) {
  return static_cast<uint8_t>(std::clamp(std::nearbyint(value), 0.0f, n_codes - 1));
}

struct Range {
  float low = 0, high = 0;  // with zero between them, so that zero has a code of its own
  explicit Range(std::span<const float> values) {
    for (const float v : values) {
      low = std::min(low, v);
      high = std::max(high, v);
    }
  }
};

// Symmetric scales divide by half the code range, 7.5 for 4 bits: +max falls between the last code and the next.
GroupParameters min_max(std::span<const float> values, const GroupQuantization& how, uint8_t* codes) {
  const Range range(values);
  const auto n_codes = static_cast<float>(1 << how.bits);
  const float center = n_codes / 2;
  const float width = how.symmetric ? 2 * std::max(-range.low, range.high) : range.high - range.low;
  // Rounded to bf16 first: the codes must fit the scale that will be stored.
  const float exact = std::max(width / (n_codes - 1), std::numeric_limits<float>::epsilon());
  GroupParameters out{.scale = bf16(exact), .zero = center};
  if (!how.symmetric) out.zero = std::clamp(-std::nearbyint(range.low / exact), 0.0f, n_codes - 1);
  const float inverse = 1 / out.scale;
  for (size_t i = 0; i < values.size(); ++i)
    codes[i] = to_code(std::nearbyint(values[i] * inverse) + out.zero, n_codes);
  return out;
}

// The soft threshold of the p-norm: errors below a bound count as none.
float shrink(float error, float beta) {
  constexpr float kP = 0.7f;
  const float size = std::fabs(error);
  if (size == 0) return 0;
  const float left = size - std::pow(size, kP - 1) / beta;
  return left > 0 ? std::copysign(left, error) : 0.0f;
}

// Alternates between the part of the error that is written off as outliers and the zero point that suits the rest. The
// original judges "no longer better" over the whole tensor; here each group stops for itself and keeps its best zero,
// so that a group's result depends on its own values alone.
GroupParameters hqq(std::span<const float> values, const GroupQuantization& how, uint8_t* codes) {
  constexpr int kIterations = 20;
  constexpr float kKappa = 1.01f, kMaxInverse = 2e4f;
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  const auto n_codes = static_cast<float>(1 << how.bits);
  const float inverse =
      std::min((n_codes - 1) / std::max(*high - *low, std::numeric_limits<float>::min()), kMaxInverse);
  const auto code_of = [&](float value, float zero) {
    return std::clamp(std::nearbyint(value * inverse + zero), 0.0f, n_codes - 1);
  };
  float zero = std::nearbyint(-*low * inverse), best_zero = zero, beta = 10;
  double best_error = std::numeric_limits<double>::infinity();
  for (int i = 0; i < kIterations; ++i) {
    double error = 0, sum = 0;
    for (const float value : values) {
      const float code = code_of(value, zero), difference = value - (code - zero) / inverse;
      sum += static_cast<double>(code - (value - shrink(difference, beta)) * inverse);
      error += static_cast<double>(std::fabs(difference));
    }
    if (error >= best_error) break;
    best_error = error;
    best_zero = zero;
    zero = static_cast<float>(sum / static_cast<double>(values.size()));
    beta *= kKappa;
  }
  for (size_t i = 0; i < values.size(); ++i) codes[i] = static_cast<uint8_t>(code_of(values[i], best_zero));
  return {.scale = bf16(1 / inverse), .zero = bf16(best_zero)};
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
  if (group_size < 1 || row_values % group_size != 0)
    return invalid_argument("rows of {} values do not divide into groups of {}", row_values, group_size);
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
