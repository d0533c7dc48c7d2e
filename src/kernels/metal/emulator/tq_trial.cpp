#include <algorithm>
#include <cmath>

#include "kernels/emulator/random_operands.h"
#include "kernels/metal/emulator/tq_kernels.h"
#include "ops/elements.h"
#include "ops/tq_cache.h"
#include "quant/tq4.h"

namespace tessera::kernels::emulator {
namespace {

using ops::Tensor;

constexpr double kSumRounding = 0x1p-17;  // of a lane's squares, then of 32 lanes

double rounding_of(DType dtype) { return dtype == DType::kF32 ? 0x1p-24 : dtype == DType::kF16 ? 0x1p-11 : 0x1p-8; }
double tiny_of(DType dtype) { return dtype == DType::kF16 ? 0x1p-25 : 0x1p-133; }  // below the normal numbers

Tensor stored(DType dtype, const Shape& shape, const float* values) {
  Tensor out = Tensor::allocate(dtype, shape).value();
  ops::store(values, out.n_elements(), out, 0);
  return out;
}

// Values of unit vectors that have been rotated, and among them some that lie on a boundary.
Tensor random_directions(const TqTrial& trial, const float* boundaries, std::mt19937_64& rng) {
  std::normal_distribution<float> normal(0, 1 / std::sqrt(static_cast<float>(trial.dim)));
  Tensor out = Tensor::allocate(trial.dtype, {trial.vectors, trial.dim}).value();
  for (int64_t i = 0; i < out.n_elements(); ++i) {
    const float value = rng() % 8 == 0 ? boundaries[rng() % 15] : normal(rng);
    ops::store(&value, 1, out, i);
  }
  return out;
}

Tensor random_bytes(const Shape& shape, std::mt19937_64& rng) {
  Tensor out = Tensor::allocate(DType::kU8, shape).value();
  for (int64_t i = 0; i < out.n_elements(); ++i) out.as<uint8_t>()[i] = static_cast<uint8_t>(rng());
  return out;
}

Tensor random_lengths(const TqTrial& trial, std::mt19937_64& rng) {
  std::uniform_real_distribution<float> exponent(-3, 6);
  std::vector<float> lengths(static_cast<size_t>(trial.vectors));
  for (float& length : lengths) length = std::exp2(exponent(rng));
  return stored(trial.norms, {trial.vectors, 1}, lengths.data());
}

// The inputs in `launch`, and what the reference makes of them.
Result<Tensor> set_operands(const TqTrial& trial, std::mt19937_64& rng, TqLaunch& launch) {
  const auto codebook = quant::tq4_codebook(trial.dim);
  if (trial.op == TqOp::kNorm) {
    launch.inputs = {random_activations(trial.dtype, trial.vectors, trial.dim, trial.dtype != DType::kF16, rng)};
    return ops::tq_norm(launch.inputs[0]);
  }
  if (trial.op == TqOp::kCompress) {
    launch.inputs = {random_directions(trial, codebook.boundaries.data(), rng),
                     stored(trial.boundaries, {15}, codebook.boundaries.data())};
    return ops::tq4_compress(launch.inputs[0], launch.inputs[1]);
  }
  launch.inputs = {random_bytes({trial.vectors, trial.dim / 2}, rng), random_lengths(trial, rng),
                   stored(trial.centroids, {16}, codebook.centroids.data())};
  return ops::tq_dequant(launch.inputs[0], launch.inputs[1], launch.inputs[2], trial.dtype);
}

double bound_of(const TqTrial& trial, double expected) {
  if (trial.op == TqOp::kCompress) return 0.5;  // codes are equal or wrong
  const double sum = trial.op == TqOp::kNorm ? kSumRounding : 0x1p-23;
  return (rounding_of(trial.dtype) + sum) * std::fabs(expected) + tiny_of(trial.dtype);
}

}  // namespace

// Run twice over outputs that began with different bytes: what was not written differs, and what a code cannot be is
// not needed as a sign of it.
Result<std::vector<Sample>> run_trial(const TqTrial& trial, std::mt19937_64& rng) {
  TqLaunch launch{.op = trial.op, .grid = tq_grid(trial.op, trial.vectors, trial.dim)};
  const Tensor expected = TRY(set_operands(trial, rng, launch));
  Tensor outputs[2];
  for (int pass = 0; pass < 2; ++pass) {
    launch.out = outputs[pass] = TRY(Tensor::allocate(expected.dtype, expected.shape));
    std::memset(launch.out.data, pass == 0 ? 0xff : 0, launch.out.n_bytes());
    TRY(run(launch, all_groups(launch.grid)));
  }
  if (std::memcmp(outputs[0].data, outputs[1].data, expected.n_bytes()) != 0)
    return make_error(ErrorCode::kInternal, "part of the output was not written");
  std::vector<Sample> samples;
  for (int64_t i = 0; i < expected.n_elements(); ++i) {
    const auto want = ops::element<double>(expected, i);
    samples.push_back({ops::element<double>(launch.out, i), want, bound_of(trial, want)});
  }
  return samples;
}

}  // namespace tessera::kernels::emulator
