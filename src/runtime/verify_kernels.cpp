#include "runtime/verify_kernels.h"

#include <optional>

#include "base/checked_math.h"
#include "kernels/metal/emulator/tq_kernels.h"
#include "quant/tq4.h"
#include "runtime/custom_kernels.h"
#include "runtime/kernel_claims.h"
#include "runtime/tq_kernels.h"

namespace tessera::runtime {
namespace {

namespace emulator = kernels::emulator;
using kernels::metal::Op;
using kernels::metal::TqOp;
using program::IntOrVid;
using program::KernelInfo;
using program::MetalKernel;
using program::Program;

// Sizes tried where the program leaves the number of rows open: two tiles of a mat-mat, the second ragged.
constexpr int64_t kOpenRows = 33;
constexpr int64_t kOpenIds = 8;
constexpr int64_t kOpenVectors = 9;
// Threadgroups along the rows of the weight: a few hundred million products for the largest of kernels.
constexpr int64_t kMatvecGroups = 32;
constexpr int64_t kMatmulGroups = 3;
// Operands and results are in memory as a whole.
constexpr int64_t kMostWeightBytes = int64_t{1} << 32;
constexpr int64_t kMostValues = int64_t{1} << 29;

Op op_of(GgufKernelName::Op op) {
  switch (op) {
    case GgufKernelName::Op::kMatvec:
      return Op::kMatvec;
    case GgufKernelName::Op::kMatmul:
      return Op::kMatmul;
    case GgufKernelName::Op::kEmbedding:
      return Op::kEmbedding;
  }
  check_failed(__FILE__, __LINE__, "a known operation");
}

int64_t open_rows(Op op) { return op == Op::kMatvec ? 1 : op == Op::kMatmul ? kOpenRows : kOpenIds; }

// The sizes come from the weight; the template arguments must repeat them.
Status take_weight_sizes(const Program& program, const MetalKernel& node, size_t weight_input,
                         const quant::Format& format, emulator::Trial& trial) {
  const program::Tid slot = node.inputs[weight_input];
  if (slot.idx >= program.tensor_meta.size() || program.tensor_meta[slot.idx].shape.size() != 2)
    return invalid_argument("its weight is no matrix");
  const auto& meta = program.tensor_meta[slot.idx];
  const int64_t row_bytes = meta.shape[1].value;
  trial.n = meta.shape[0].value;
  if (meta.dtype != DType::kU8 || trial.n <= 0 || row_bytes <= 0 || row_bytes % format.block_bytes != 0)
    return invalid_argument("its weight is no u8 matrix of whole {} blocks", format.name);
  if (trial.n > kMostWeightBytes / row_bytes)
    return not_implemented("its weight has {} rows of {} bytes: more than {} bytes are not tried", trial.n, row_bytes,
                           kMostWeightBytes);
  trial.k = row_bytes / format.block_bytes * format.block_values;
  const bool is_embedding = trial.kernel.op == Op::kEmbedding, is_matvec = trial.kernel.op == Op::kMatvec;
  TRY(check_argument(node, "N", trial.n, !is_embedding));
  TRY(check_argument(node, "K", trial.k, true));
  TRY(check_argument(node, "V", trial.n, false));
  return check_argument(node, "NSG", emulator::kNSG, is_matvec);
}

Result<emulator::Trial> gguf_trial_of(const Program& program, const MetalKernel& node) {
  const auto name = parse_gguf_kernel(node.name.view());
  if (!name || !kernels::metal::has_kernels(name->format->type))
    return not_implemented(
        "this build has no Metal text of that name: only gguf_{{q4k,q5k,q6k}}_*, tq_norm, tq4_compress and tq_dequant "
        "can be emulated");
  emulator::Trial trial;
  const bool is_embedding = name->op == GgufKernelName::Op::kEmbedding;
  if (node.inputs.size() < 2 || node.inputs.size() > (is_embedding ? 2u : 3u))
    return invalid_argument("it has {} inputs", node.inputs.size());
  trial.kernel = {name->format->type, op_of(name->op), node.inputs.size() == 3};
  TRY(check_texts(node, kernels::metal::header_text(), kernels::metal::body_text(trial.kernel)));
  TRY(take_weight_sizes(program, node, is_embedding ? 0 : 1, *name->format, trial));
  trial.in = is_embedding ? dtype_of(program, node.inputs[1], DType::kI64) : TRY(dtype_argument(node, "InT"));
  trial.out = argument(node, "OutT") ? TRY(dtype_argument(node, "OutT")) : trial.in;
  trial.bias = trial.kernel.has_bias ? dtype_of(program, node.inputs[2], trial.in) : trial.in;
  TRY(check_output_dtype(node, trial.out));
  const auto rows = TRY(static_rows(node));
  trial.rows = rows.value_or(open_rows(trial.kernel.op));
  const int64_t width = is_embedding ? trial.k : trial.n + trial.k;
  if (trial.rows > kMostValues / width)
    return not_implemented("{} rows of {} values: more than {} values are not tried", trial.rows, width, kMostValues);
  trial.max_row_groups = trial.kernel.op == Op::kMatvec ? kMatvecGroups : kMatmulGroups;
  const emulator::Grid grid = emulator::grid_of(trial.kernel, trial.rows, trial.n, trial.k);
  TRY(check_axes("grid", node.grid, grid.threads, !rows.has_value()));
  TRY(check_axes("threadgroup", node.threadgroup, grid.threadgroup, false));
  return trial;
}

// A kernel of the compressed cache: any vectors will do, so the instruction's operands do not matter but for dtypes.
Result<emulator::TqTrial> tq_trial_of(const Program& program, const MetalKernel& node, TqOp op) {
  TRY(check_texts(node, kernels::metal::tq_header_text(), kernels::metal::tq_body_text(op)));
  const size_t n_inputs = op == TqOp::kNorm ? 1 : op == TqOp::kCompress ? 2 : 3;
  if (node.inputs.size() != n_inputs) return invalid_argument("it has {} inputs", node.inputs.size());
  emulator::TqTrial trial{.op = op, .dtype = TRY(dtype_argument(node, "InT"))};
  const IntOrVid last = node.output_shapes_flat.empty() ? IntOrVid(0) : node.output_shapes_flat.back();
  trial.dim = op == TqOp::kNorm       ? TRY(required_argument(node, "D"))
              : op == TqOp::kCompress ? checked_mul<int64_t>(2, last.literal).value_or(0)
                                      : last.literal;
  if (last.is_vid || !quant::tq4_supports(trial.dim))
    return not_implemented("vectors of {} values: only powers of two from {} to {} can be emulated", trial.dim,
                           quant::kTq4MinDim, quant::kTq4MaxDim);
  TRY(op == TqOp::kCompress ? check_argument(node, "B", 15, true) : check_argument(node, "D", trial.dim, true));
  TRY(check_output_dtype(node, op == TqOp::kCompress ? DType::kU8 : trial.dtype));
  if (op == TqOp::kCompress) trial.boundaries = dtype_of(program, node.inputs[1], trial.dtype);
  if (op == TqOp::kDequantize) {
    trial.norms = dtype_of(program, node.inputs[1], DType::kBF16);  // slices of a cache
    trial.centroids = dtype_of(program, node.inputs[2], trial.dtype);
  }
  const auto vectors = TRY(static_rows(node));
  trial.vectors = vectors.value_or(kOpenVectors);
  const emulator::Grid grid = emulator::tq_grid(op, trial.vectors, trial.dim);
  TRY(check_axes("grid", node.grid, grid.threads, !vectors.has_value()));
  TRY(check_axes("threadgroup", node.threadgroup, grid.threadgroup, false));
  return trial;
}

Result<std::vector<emulator::Sample>> run_trial(const Program& program, ThreadPool& pool, std::mt19937_64& rng,
                                                KernelVerdict& verdict) {
  const MetalKernel& node = *verdict.kernel.first;
  if (const auto op = parse_tq_kernel(node.name.view())) {
    const emulator::TqTrial trial = TRY(tq_trial_of(program, node, *op));
    verdict.rows = trial.vectors;
    return emulator::run_trial(trial, rng);
  }
  const emulator::Trial trial = TRY(gguf_trial_of(program, node));
  verdict.rows = trial.rows;
  return emulator::run_trial(trial, pool, rng);
}

Status verify(const Program& program, ThreadPool& pool, std::mt19937_64& rng, KernelVerdict& verdict) {
  const std::vector<emulator::Sample> samples = TRY(run_trial(program, pool, rng, verdict));
  const emulator::TrialErrors errors = emulator::errors_of(samples);
  verdict.n_values = samples.size();
  verdict.largest_error = errors.largest;
  verdict.error_of_bound = errors.of_bound;
  if (errors.of_bound <= 1) return {};
  return make_error(ErrorCode::kInternal, "results differ from the native kernel's by {:.3g}, {:.3g} times the bound",
                    errors.largest, errors.of_bound);
}

}  // namespace

std::vector<KernelVerdict> verify_kernels(const Program& program, ThreadPool& pool, std::mt19937_64& rng) {
  std::vector<KernelVerdict> verdicts;
  for (KernelInfo& kernel : program::distinct_kernels(program)) verdicts.push_back({.kernel = std::move(kernel)});
  for (KernelVerdict& verdict : verdicts) {
    const Status status = verify(program, pool, rng, verdict);
    if (!status) verdict.problem = status.error().message;
  }
  return verdicts;
}

}  // namespace tessera::runtime
