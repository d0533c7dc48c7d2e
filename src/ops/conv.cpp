// Both directions are one correlation. For the transpose the input is spread out with stride - 1 zeros between its
// entries and the kernel is read backwards.
#include "ops/conv.h"

#include <vector>

#include "ops/cast.h"
#include "ops/checks.h"
#include "ops/dtype_rules.h"
#include "ops/elements.h"

namespace tessera::ops {
namespace {

// One spatial axis of the general correlation: out[p] = sum_t w[t] * spread[p * stride + t * dilation - low].
struct Axis {
  int64_t in, kernel, out;
  int64_t stride, dilation, low;
  int64_t spread = 1;  // input entry i lies at i * spread
  bool flip = false;

  // The input entry under tap t of output p, or -1 for padding and the zeros in between.
  int64_t source(int64_t p, int64_t t) const {
    const int64_t at = p * stride + t * dilation - low;
    if (at < 0 || at % spread != 0 || at / spread >= in) return -1;
    return at / spread;
  }
  int64_t tap(int64_t t) const { return flip ? kernel - 1 - t : t; }
};

struct Geometry {
  int64_t batch, channels, outputs, groups;
  std::vector<Axis> axes;
};

// Sums one output position over all taps for every output channel. `position` is per spatial axis.
void accumulate(const Geometry& g, const std::vector<double>& x, const std::vector<double>& w, int64_t batch,
                const std::vector<int64_t>& position, double* sums) {
  int64_t n_taps = 1;
  for (const Axis& axis : g.axes) n_taps *= axis.kernel;
  const int64_t per_group = g.channels / g.groups, outputs_per_group = g.outputs / g.groups;
  for (int64_t tap = 0; tap < n_taps; ++tap) {
    int64_t rest = tap, source = 0, weight = 0, source_step = 1, weight_step = 1;
    bool inside = true;
    for (size_t i = g.axes.size(); i-- > 0;) {
      const Axis& axis = g.axes[i];
      const int64_t t = rest % axis.kernel, from = axis.source(position[i], t);
      rest /= axis.kernel;
      inside = inside && from >= 0;
      source += from * source_step;
      weight += axis.tap(t) * weight_step;
      source_step *= axis.in;
      weight_step *= axis.kernel;
    }
    if (!inside) continue;
    const double* pixel = x.data() + (batch * source_step + source) * g.channels;
    for (int64_t o = 0; o < g.outputs; ++o) {
      const double* filter = w.data() + (o * n_taps + weight) * per_group;
      const double* group = pixel + o / outputs_per_group * per_group;
      for (int64_t c = 0; c < per_group; ++c) sums[o] += filter[c] * group[c];
    }
  }
}

Result<Tensor> correlate(const Tensor& x, const Tensor& w, const Geometry& g) {
  std::vector<int64_t> dims{g.batch};
  for (const Axis& axis : g.axes) dims.push_back(axis.out);
  dims.push_back(g.outputs);
  const Shape shape = TRY(make_shape(dims));
  Tensor out = TRY(Tensor::allocate(promote(x.dtype, w.dtype), shape));
  if (out.n_elements() == 0) return out;  // before a buffer for pixels that are not there
  const std::vector<double> input = to_doubles(x), weights = to_doubles(w);
  std::vector<double> sums(static_cast<size_t>(g.outputs));
  std::vector<int64_t> position(g.axes.size());
  const int64_t n_pixels = shape.n_elements() / g.outputs;
  for (int64_t pixel = 0; pixel < n_pixels; ++pixel) {
    int64_t rest = pixel;
    for (size_t i = g.axes.size(); i-- > 0; rest /= g.axes[i].out) position[i] = rest % g.axes[i].out;
    std::fill(sums.begin(), sums.end(), 0.0);
    accumulate(g, input, weights, rest, position, sums.data());
    store(sums.data(), g.outputs, out, pixel * g.outputs);
  }
  return out;
}

Result<Geometry> geometry(const Tensor& x, const Tensor& w, std::span<const ConvAxis> axes, int64_t groups) {
  const int rank = static_cast<int>(axes.size()) + 2;
  TRY(check_float(x, "x"));
  TRY(check_float(w, "w"));
  TRY(check_rank(x, rank, "x"));
  TRY(check_rank(w, rank, "w"));
  Geometry g{x.shape[0], x.shape.back(), w.shape[0], groups, {}};
  if (groups < 1 || g.channels % groups != 0 || g.outputs % groups != 0)
    return invalid_argument("{} groups do not divide {} input and {} output channels", groups, g.channels, g.outputs);
  if (w.shape.back() != g.channels / groups)
    return invalid_argument("w {} must end in {} channels per group for x {}", describe(w), g.channels / groups,
                            describe(x));
  for (size_t i = 0; i < axes.size(); ++i) {
    const ConvAxis& axis = axes[i];
    const int at = static_cast<int>(i) + 1;
    if (axis.stride < 1 || axis.dilation < 1 || axis.padding < 0 || axis.output_padding < 0)
      return invalid_argument("spatial axis {}: stride {}, dilation {}, padding {}, output padding {}", i, axis.stride,
                              axis.dilation, axis.padding, axis.output_padding);
    if (w.shape[at] < 1) return invalid_argument("w {} has an empty kernel", describe(w));
    g.axes.push_back({x.shape[at], w.shape[at], 0, axis.stride, axis.dilation, axis.padding});
  }
  return g;
}

Status check_size(const Axis& axis, size_t i) {
  if (axis.out < 1) return invalid_argument("spatial axis {}: the kernel does not fit the padded input", i);
  return {};
}

}  // namespace

Result<Tensor> conv(const Tensor& x, const Tensor& w, std::span<const ConvAxis> axes, int64_t groups) {
  Geometry g = TRY(geometry(x, w, axes, groups));
  for (size_t i = 0; i < axes.size(); ++i) {
    Axis& axis = g.axes[i];
    const int64_t room = axis.in + 2 * axis.low - axis.dilation * (axis.kernel - 1) - 1;
    axis.out = room < 0 ? 0 : room / axis.stride + 1;
    TRY(check_size(axis, i));
  }
  return correlate(x, w, g);
}

Result<Tensor> conv_transpose(const Tensor& x, const Tensor& w, std::span<const ConvAxis> axes, int64_t groups) {
  Geometry g = TRY(geometry(x, w, axes, groups));
  for (size_t i = 0; i < axes.size(); ++i) {
    Axis& axis = g.axes[i];
    const int64_t reach = axis.dilation * (axis.kernel - 1);
    axis.out = (axis.in - 1) * axis.stride - 2 * axis.low + reach + 1 + axes[i].output_padding;
    TRY(check_size(axis, i));
    axis.spread = axis.stride;
    axis.stride = 1;
    axis.low = reach - axis.low;
    axis.flip = true;
  }
  return correlate(x, w, g);
}

}  // namespace tessera::ops
