#include "ops/rope.h"

#include <cmath>

#include "ops/cast.h"
#include "ops/checks.h"
#include "ops/elements.h"

namespace tessera::ops {
namespace {

Status check_rope(const Tensor& x, std::span<const int64_t> offsets, const RopeArgs& args) {
  TRY(check_float(x, "x"));
  if (x.shape.rank() < 3) return invalid_argument("x must have rank 3 or more, found {}", describe(x));
  if (args.dims <= 0 || args.dims % 2 != 0 || args.dims > x.shape.back())
    return invalid_argument("dims must be even and in (0, {}], found {}", x.shape.back(), args.dims);
  if (offsets.size() != 1 && static_cast<int64_t>(offsets.size()) != x.shape[0])
    return invalid_argument("{} offsets for a batch of {}", offsets.size(), x.shape[0]);
  if (!args.periods) return {};
  if (args.periods->dtype != DType::kF32)
    return invalid_argument("freqs must be f32, found {}", describe(*args.periods));
  return check_shape(*args.periods, {args.dims / 2}, "freqs");
}

}  // namespace

std::vector<float> rope_frequencies(int32_t dims, float base) {
  const int32_t half = dims / 2;
  std::vector<float> out(static_cast<size_t>(half));
  for (int32_t i = 0; i < half; ++i)
    out[static_cast<size_t>(i)] =
        static_cast<float>(std::pow(static_cast<double>(base), -static_cast<double>(i) / half));
  return out;
}

void rope_angles(int64_t position, float scale, std::span<const float> frequencies, bool are_periods, float* cos,
                 float* sin) {
  const float p = static_cast<float>(position) * scale;
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const auto angle = static_cast<double>(are_periods ? p / frequencies[i] : p * frequencies[i]);
    cos[i] = static_cast<float>(std::cos(angle));
    sin[i] = static_cast<float>(std::sin(angle));
  }
}

Result<Tensor> rope(const Tensor& x, std::span<const int64_t> offsets, const RopeArgs& args) {
  TRY(check_rope(x, offsets, args));
  Tensor out = TRY(clone(x));
  if (out.n_elements() == 0) return out;  // before angles for rows that are not there
  const auto half = static_cast<size_t>(args.dims / 2);
  const std::vector<float> computed = args.periods ? std::vector<float>() : rope_frequencies(args.dims, args.base);
  const std::span<const float> frequencies =
      args.periods ? std::span(args.periods->as<float>(), half) : std::span<const float>(computed);
  const int64_t n_tokens = x.shape[x.shape.rank() - 2], width = x.shape.back();
  const int64_t batch = x.shape[0], n_rows = product(x.shape, 1, x.shape.rank() - 2);  // heads, usually
  std::vector<float> cos(half), sin(half);
  dispatch(x.dtype, [&]<typename T>() {
    const auto round = [](float value) { return number<double>(stored<T>(static_cast<double>(value))); };
    for (int64_t b = 0; b < batch; ++b)
      for (int64_t t = 0; t < n_tokens; ++t) {
        const int64_t offset = offsets[offsets.size() == 1 ? 0 : static_cast<size_t>(b)];
        rope_angles(offset + t, args.scale, frequencies, args.periods != nullptr, cos.data(), sin.data());
        for (int64_t r = 0; r < n_rows; ++r) {
          T* row = out.as<T>() + ((b * n_rows + r) * n_tokens + t) * width;
          for (size_t i = 0; i < half; ++i) {
            T& first = row[args.traditional ? 2 * i : i];
            T& second = row[args.traditional ? 2 * i + 1 : i + half];
            const double u = number<double>(first), v = number<double>(second), c = round(cos[i]), s = round(sin[i]);
            first = stored<T>(u * c - v * s);
            second = stored<T>(u * s + v * c);
          }
        }
      }
  });
  return out;
}

}  // namespace tessera::ops
