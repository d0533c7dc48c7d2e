#include "kernels/metal/emulator/tq_kernels.h"

#include <cmath>

#include "kernels/metal/emulator/operands.h"
#include "ops/checks.h"

namespace tessera::kernels::emulator {
namespace {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"  // Metal narrows integers silently, and the text lets it
#include "tq4_header_generated.h"
#pragma GCC diagnostic pop

constexpr int64_t kSimdGroupValues = 64;  // two values in a byte, a byte in each lane

// Regions of a launch, alive while it runs.
struct Operands {
  Region inputs[3], out;
  DType dtypes[3] = {};
  int dim = 0;

  template <typename T>
  Pointer<Space::kDevice, const T> input(int i) const {
    return {&inputs[i], 0};
  }
  template <typename T>
  Pointer<Space::kDevice, T> output() const {
    return {&out, 0};
  }
};

// The bodies, and around them the names that MLX's signatures give.
template <typename InT>
void norm_thread(const Operands& operands) {
  const auto x = operands.input<InT>(0);
  const auto norms = operands.output<InT>();
  const int D = operands.dim;
  const uint3 thread_position_in_grid = this_thread().thread_position_in_grid;
  const uint thread_index_in_simdgroup = this_thread().thread_index_in_simdgroup;
#include "tq_norm_body_generated.h"
}

template <typename InT, typename BoundaryT>
void compress_thread(const Operands& operands) {
  const auto values = operands.input<InT>(0);
  const auto boundaries = operands.input<BoundaryT>(1);
  const auto out = operands.output<uchar>();
  constexpr int B = 15;
  const uint3 thread_position_in_grid = this_thread().thread_position_in_grid;
#include "tq4_compress_body_generated.h"
}

template <typename InT, typename CentroidT>
void dequantize_thread(const Operands& operands) {
  const auto packed = operands.input<uchar>(0);
  const AnyFloats norms{&operands.inputs[1], operands.dtypes[1]};
  const auto centroids = operands.input<CentroidT>(2);
  const auto out = operands.output<InT>();
  const int D = operands.dim;
  const uint3 thread_position_in_grid = this_thread().thread_position_in_grid;
  const uint thread_index_in_simdgroup = this_thread().thread_index_in_simdgroup;
#include "tq_dequant_body_generated.h"
}

ThreadBody thread_body(const TqLaunch& launch, const Operands& operands) {
  switch (launch.op) {
    case TqOp::kNorm:
      return with_float(operands.dtypes[0],
                        [&]<typename InT>() -> ThreadBody { return [&operands] { norm_thread<InT>(operands); }; });
    case TqOp::kCompress:
      return with_float(operands.dtypes[0], [&]<typename InT>() {
        return with_float(operands.dtypes[1], [&]<typename BoundaryT>() -> ThreadBody {
          return [&operands] { compress_thread<InT, BoundaryT>(operands); };
        });
      });
    case TqOp::kDequantize:
      return with_float(launch.out.dtype, [&]<typename InT>() {
        return with_float(operands.dtypes[2], [&]<typename CentroidT>() -> ThreadBody {
          return [&operands] { dequantize_thread<InT, CentroidT>(operands); };
        });
      });
  }
  return {};
}

int64_t n_inputs(TqOp op) { return op == TqOp::kNorm ? 1 : op == TqOp::kCompress ? 2 : 3; }

// Operands a kernel trusts to fit together.
Status check(const TqLaunch& launch) {
  if (static_cast<int64_t>(launch.inputs.size()) != n_inputs(launch.op))
    return invalid_argument("{} inputs of a kernel that takes {}", launch.inputs.size(), n_inputs(launch.op));
  const ops::Tensor& x = launch.inputs[0];
  if (x.shape.rank() < 1 || launch.out.shape.rank() != x.shape.rank())
    return invalid_argument("{} of {}", ops::describe(launch.out), ops::describe(x));
  const bool is_packed = launch.op == TqOp::kDequantize;
  const int64_t dim = is_packed ? 2 * x.shape.back() : x.shape.back();
  if (dim % kSimdGroupValues != 0)
    return invalid_argument("vectors of {} values; the kernels take multiples of {}", dim, kSimdGroupValues);
  Shape out = x.shape;
  out[x.shape.rank() - 1] = is_packed ? dim : launch.op == TqOp::kCompress ? dim / 2 : 1;
  TRY(ops::check_shape(launch.out, out, "out"));
  if (launch.op == TqOp::kCompress) return ops::check_shape(launch.inputs[1], {15}, "boundaries");
  if (launch.op == TqOp::kNorm) return {};
  out[x.shape.rank() - 1] = 1;
  TRY(ops::check_shape(launch.inputs[1], out, "norms"));
  return ops::check_shape(launch.inputs[2], {16}, "centroids");
}

constexpr std::string_view kInputNames[][3] = {{"x"}, {"values", "boundaries"}, {"packed", "norms", "centroids"}};

}  // namespace

Grid tq_grid(TqOp op, int64_t vectors, int64_t dim) {
  if (op == TqOp::kCompress) return {{static_cast<uint32_t>(vectors * dim / 2), 1, 1}, {32, 1, 1}};
  return {{32, 1, static_cast<uint32_t>(vectors)}, {32, 1, 1}};
}

Status run(const TqLaunch& launch, const std::vector<GroupPosition>& groups) {
  TRY(check(launch));
  Operands operands;
  for (size_t i = 0; i < launch.inputs.size(); ++i) {
    const ops::Tensor& input = launch.inputs[i];
    operands.inputs[i] = Region(kInputNames[static_cast<size_t>(launch.op)][i], input.data, input.n_bytes());
    operands.dtypes[i] = input.dtype;
  }
  operands.out = Region("out", launch.out.data, launch.out.n_bytes(), Recording::kOutput);
  const int64_t last = launch.inputs[0].shape.back();
  operands.dim = static_cast<int>(launch.op == TqOp::kDequantize ? 2 * last : last);
  const ThreadBody body = thread_body(launch, operands);
  if (!body) return not_implemented("the emulator has no such kernel for {}", ops::describe(launch.inputs[0]));
  return dispatch(launch.grid, groups, body);
}

}  // namespace tessera::kernels::emulator
