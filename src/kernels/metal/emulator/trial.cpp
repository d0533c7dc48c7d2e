#include "kernels/metal/emulator/trial.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/checked_math.h"
#include "kernels/cpu/activations.h"
#include "kernels/cpu/embedding.h"
#include "kernels/cpu/linear.h"
#include "kernels/emulator/random_operands.h"
#include "ops/elements.h"

namespace tessera::kernels::emulator {
namespace {

using Op = kernels::metal::Op;
using ops::Tensor;

constexpr double kHalfRounding = 0x1p-11;  // largest relative error of rounding to half
constexpr double kTinyHalf = 0x1p-25;      // and of what is below its normal numbers, absolute
// f32 sums of a lane's products, then of 32 lanes: far below what K roundings could add up to, far above what they do.
constexpr double kSumRounding = 0x1p-17;

double rounding_of(DType dtype) {
  return dtype == DType::kF32 ? 0x1p-24 : dtype == DType::kF16 ? kHalfRounding : 0x1p-8;
}

// `count` of the numbers below `n`: the first, the last and others.
std::vector<int64_t> sample_below(int64_t n, int64_t count, std::mt19937_64& rng) {
  std::set<int64_t> chosen = {0, n - 1};
  while (static_cast<int64_t>(chosen.size()) < std::min(n, count)) chosen.insert(static_cast<int64_t>(rng() % n));
  return {chosen.begin(), chosen.end()};
}

Tensor poisoned(DType dtype, const Shape& shape) {
  Tensor out = Tensor::allocate(dtype, shape).value();
  std::memset(out.data, 0xff, out.n_bytes());  // a NaN in every float dtype
  return out;
}
bool is_poison(const Tensor& out, int64_t i) {
  const std::byte* bytes = out.data + i * static_cast<int64_t>(size_of(out.dtype));
  return std::all_of(bytes, bytes + size_of(out.dtype), [](std::byte b) { return b == std::byte{0xff}; });
}

// What the outputs `is_expected` says were written; error if they are not exactly those.
template <typename F>
Status check_written(const Tensor& out, const F& is_expected) {
  const int64_t width = out.shape.back();
  for (int64_t i = 0; i < out.n_elements(); ++i) {
    if (is_poison(out, i) != is_expected(i / width, i % width)) continue;
    return make_error(ErrorCode::kInternal, "output ({}, {}) {}", i / width, i % width,
                      is_poison(out, i) ? "was not written" : "was written by another threadgroup's thread");
  }
  return {};
}

// ---- linear

struct LinearOperands {
  Launch launch;
  std::vector<GroupPosition> groups;
  std::vector<int64_t> rows;  // of the weight, that the groups compute; ascending
};

LinearOperands linear_operands(const Trial& trial, std::mt19937_64& rng) {
  LinearOperands out;
  const quant::Format& format = *quant::find_format(trial.kernel.format);
  Launch& launch = out.launch;
  launch.kernel = trial.kernel;
  launch.grid = grid_of(trial.kernel, trial.rows, trial.n, trial.k);
  const bool is_matvec = trial.kernel.op == Op::kMatvec;
  const int64_t row_groups = launch.grid.groups(is_matvec ? 0 : 1),
                token_groups = launch.grid.groups(is_matvec ? 1 : 0);
  const int64_t rows_per_group = weight_rows_per_group(trial.kernel);
  for (int64_t group : sample_below(row_groups, trial.max_row_groups, rng)) {
    for (int64_t row = group * rows_per_group; row < std::min(trial.n, (group + 1) * rows_per_group); ++row)
      out.rows.push_back(row);
    for (int64_t token_group = 0; token_group < token_groups; ++token_group) {
      const auto along_rows = static_cast<uint32_t>(group), along_tokens = static_cast<uint32_t>(token_group);
      out.groups.push_back(is_matvec ? GroupPosition{along_rows, along_tokens}
                                     : GroupPosition{along_tokens, along_rows});
    }
  }
  const bool has_large_rows = trial.has_large_rows && trial.in != DType::kF16 && trial.out != DType::kF16;
  launch.input = random_activations(trial.in, trial.rows, trial.k, has_large_rows, rng);
  launch.weight = random_weight(format, trial.n, trial.k, out.rows, rng);
  if (trial.kernel.has_bias) launch.bias = random_activations(trial.bias, 1, trial.n, false, rng).reshaped({trial.n});
  launch.out = poisoned(trial.out, {trial.rows, trial.n});
  return out;
}

// The rows of `operands` alone, as the native kernel takes them: (rows.size(), row bytes), and their biases.
struct NativeLinear {
  std::vector<std::byte> weight;
  std::vector<float> bias;
  std::vector<float> out;  // (tokens, rows.size())

  NativeLinear(const Trial& trial, const LinearOperands& operands, ThreadPool& pool) {
    const quant::Format& format = *quant::find_format(trial.kernel.format);
    const int64_t row_bytes = format.bytes_for(trial.k), n = static_cast<int64_t>(operands.rows.size());
    for (int64_t row : operands.rows) {
      const std::byte* begin = operands.launch.weight.data + row * row_bytes;
      weight.insert(weight.end(), begin, begin + row_bytes);
      bias.push_back(operands.launch.bias ? ops::element<float>(*operands.launch.bias, row) : 0.0f);
    }
    out.resize(static_cast<size_t>(trial.rows * n));
    cpu::Activations activations;
    const cpu::InputRows x{trial.in, operands.launch.input.data, trial.rows, trial.k, trial.k};
    activations.prepare(pool, cpu::best_isa(), x, {.floats = true});
    const cpu::LinearJob job{.weight = {&format, weight.data(), n, trial.k, bias.data()},
                             .out = {DType::kF32, out.data(), n}};
    cpu::linear(pool, cpu::best_isa(), std::span(&job, 1), activations);
  }
};

// What one output may be wrong by: sum |x| |w|, and sum |x| for weights that half holds badly.
double linear_bound(const Trial& trial, const float* x, const float* w, double expected) {
  double products = 0, inputs = 0;
  for (int64_t i = 0; i < trial.k; ++i) {
    products += std::fabs(double{x[i]} * w[i]);
    inputs += std::fabs(x[i]);
  }
  double bound = kSumRounding * products + rounding_of(trial.out) * std::fabs(expected) + kTinyHalf;
  if (trial.kernel.op == Op::kMatmul) bound += 2 * kHalfRounding * products + kTinyHalf * inputs;
  return bound;
}

Result<std::vector<Sample>> run_linear(const Trial& trial, ThreadPool& pool, std::mt19937_64& rng) {
  const LinearOperands operands = linear_operands(trial, rng);
  const Launch& launch = operands.launch;
  TRY(run(launch, operands.groups));
  TRY(check_written(launch.out, [&](int64_t, int64_t row) {
    return std::binary_search(operands.rows.begin(), operands.rows.end(), row);
  }));
  const NativeLinear native(trial, operands, pool);
  std::vector<Sample> samples;
  const auto k = static_cast<size_t>(trial.k), n_rows = operands.rows.size();
  std::vector<float> x(k * static_cast<size_t>(trial.rows)), w(k);
  ops::load(launch.input, 0, trial.rows * trial.k, x.data());
  const quant::Format& format = *quant::find_format(trial.kernel.format);
  for (size_t i = 0; i < n_rows; ++i) {
    format.dequantize(native.weight.data() + i * static_cast<size_t>(format.bytes_for(trial.k)), trial.k, w.data());
    for (int64_t token = 0; token < trial.rows; ++token) {
      const double expected = native.out[static_cast<size_t>(token) * n_rows + i];
      samples.push_back({ops::element<double>(launch.out, token * trial.n + operands.rows[i]), expected,
                         linear_bound(trial, x.data() + static_cast<size_t>(token) * k, w.data(), expected)});
    }
  }
  return samples;
}

// ---- embedding

// The first, the last, some between, and some that name no row.
std::vector<int64_t> random_ids(const Trial& trial, std::mt19937_64& rng) {
  std::vector<int64_t> ids;
  const int64_t none[] = {-1, trial.n, INT32_MAX, INT32_MIN, trial.n + 1000};
  for (int64_t i = 0; i < trial.rows; ++i) {
    const bool is_outside = trial.rows > 1 && i % 4 == 3;
    ids.push_back(is_outside ? none[rng() % std::size(none)] : static_cast<int64_t>(rng() % trial.n));
  }
  ids[0] = trial.n - 1;
  if (trial.rows > 1) ids[1] = 0;
  return ids;
}

bool is_row(const Trial& trial, int64_t id) { return id >= 0 && id < trial.n; }

Result<std::vector<Sample>> run_embedding(const Trial& trial, ThreadPool& pool, std::mt19937_64& rng) {
  const quant::Format& format = *quant::find_format(trial.kernel.format);
  const std::vector<int64_t> ids = random_ids(trial, rng);
  std::set<int64_t> rows;
  for (int64_t id : ids)
    if (is_row(trial, id)) rows.insert(id);
  Launch launch;
  launch.kernel = trial.kernel;
  launch.grid = grid_of(trial.kernel, trial.rows, trial.n, trial.k);
  launch.input = Tensor::allocate(trial.in, {trial.rows}).value();
  ops::store(ids.data(), trial.rows, launch.input, 0);
  launch.weight = random_weight(format, trial.n, trial.k, {rows.begin(), rows.end()}, rng);
  launch.out = poisoned(trial.out, {trial.rows, trial.k});
  TRY(run(launch, all_groups(launch.grid)));
  TRY(check_written(launch.out, [](int64_t, int64_t) { return true; }));

  std::vector<Sample> samples;
  std::vector<float> row(static_cast<size_t>(trial.k));
  for (int64_t i = 0; i < trial.rows; ++i) {
    const int64_t id = ids[static_cast<size_t>(i)];
    std::fill(row.begin(), row.end(), 0.0f);
    if (is_row(trial, id))
      cpu::embedding(pool, cpu::best_isa(), {&format, launch.weight.data, trial.n, trial.k}, &id, 1, 1.0f,
                     {DType::kF32, row.data(), trial.k});
    for (int64_t j = 0; j < trial.k; ++j) {
      const double expected = row[static_cast<size_t>(j)];
      samples.push_back({ops::element<double>(launch.out, i * trial.k + j), expected,
                         (rounding_of(trial.out) + 0x1p-20) * std::fabs(expected) + kTinyHalf});
    }
  }
  return samples;
}

}  // namespace

Result<std::vector<Sample>> run_trial(const Trial& trial, ThreadPool& pool, std::mt19937_64& rng) {
  return trial.kernel.op == Op::kEmbedding ? run_embedding(trial, pool, rng) : run_linear(trial, pool, rng);
}

TrialErrors errors_of(const std::vector<Sample>& samples) {
  TrialErrors errors;
  for (const Sample& sample : samples) {
    const double error = std::fabs(sample.got - sample.expected);
    if (!(error <= errors.largest)) errors.largest = error;  // also NaN
    if (!(error / sample.bound <= errors.of_bound)) errors.of_bound = error / sample.bound;
  }
  return errors;
}

}  // namespace tessera::kernels::emulator
