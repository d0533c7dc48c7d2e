#include "runtime/verify_kernels.h"

#include <algorithm>
#include <optional>

#include "kernels/metal/emulator/trial.h"
#include "runtime/custom_kernels.h"

namespace tessera::runtime {
namespace {

namespace emulator = kernels::emulator;
using kernels::metal::Op;
using program::IntOrVid;
using program::KernelInfo;
using program::MetalKernel;
using program::Program;

// Sizes tried where the program leaves the number of rows open: two tiles of a mat-mat, the second ragged.
constexpr int64_t kOpenRows = 33;
constexpr int64_t kOpenIds = 8;
// Threadgroups along the rows of the weight: a few hundred million products for the largest of kernels.
constexpr int64_t kMatvecGroups = 32;
constexpr int64_t kMatmulGroups = 3;

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

Status check_text(const char* what, std::string_view found, std::string_view expected) {
  if (found == expected) return {};
  return not_implemented("its {} has hash {:016x}, this build embeds {:016x}: only that can be emulated", what,
                         program::text_hash(found), program::text_hash(expected));
}

std::optional<int32_t> argument(const MetalKernel& node, std::string_view name) {
  for (size_t i = 0; i < node.template_arg_names.size(); ++i)
    if (node.template_arg_names[i] == name) return node.template_arg_values[i];
  return std::nullopt;
}
Result<int32_t> required_argument(const MetalKernel& node, std::string_view name) {
  if (const auto value = argument(node, name)) return *value;
  return invalid_argument("template argument {} is missing", name);
}
Status check_argument(const MetalKernel& node, std::string_view name, int64_t expected, bool is_required) {
  const auto found = argument(node, name);
  if (!found && !is_required) return {};
  if (TRY(required_argument(node, name)) == expected) return {};
  return invalid_argument("template argument {} is {}, the kernel needs {}", name, *found, expected);
}
Result<DType> dtype_argument(const MetalKernel& node, std::string_view name) {
  const auto dtype = static_cast<DType>(TRY(required_argument(node, name)));
  if (dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16) return dtype;
  return invalid_argument("template argument {} has dtype code {}, expected f32, f16 or bf16", name,
                          static_cast<int>(dtype));
}

// Product of the output's sizes but the last; nullopt when a value slot is among them.
std::optional<int64_t> static_rows(const MetalKernel& node) {
  int64_t rows = 1;
  for (size_t i = 0; i + 1 < node.output_shapes_flat.size(); ++i) {
    if (node.output_shapes_flat[i].is_vid) return std::nullopt;
    rows *= node.output_shapes_flat[i].literal;
  }
  return rows;
}

int64_t open_rows(Op op) { return op == Op::kMatvec ? 1 : op == Op::kMatmul ? kOpenRows : kOpenIds; }

// Slots have metadata if they are constants, inputs or buffers; a temporary's dtype is known by its writer only.
DType dtype_of(const Program& program, program::Tid slot, DType otherwise) {
  return slot.idx < program.tensor_meta.size() && program.kind_of(slot) != program::TensorKind::kTemp
             ? program.tensor_meta[slot.idx].dtype
             : otherwise;
}

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
  trial.k = row_bytes / format.block_bytes * format.block_values;
  const bool is_embedding = trial.kernel.op == Op::kEmbedding, is_matvec = trial.kernel.op == Op::kMatvec;
  TRY(check_argument(node, "N", trial.n, !is_embedding));
  TRY(check_argument(node, "K", trial.k, true));
  TRY(check_argument(node, "V", trial.n, false));
  return check_argument(node, "NSG", emulator::kNSG, is_matvec);
}

Status check_axes(const char* what, const std::vector<IntOrVid>& found, const uint32_t (&expected)[3],
                  bool may_be_open) {
  for (size_t axis = 0; axis < 3; ++axis) {
    if (found[axis].is_vid ? may_be_open : found[axis].literal == expected[axis]) continue;
    return invalid_argument("its {} is {} along axis {}, the kernel needs {}", what,
                            found[axis].is_vid ? "open" : std::to_string(found[axis].literal), axis, expected[axis]);
  }
  return {};
}

Result<emulator::Trial> trial_of(const Program& program, const MetalKernel& node) {
  const auto name = parse_gguf_kernel(node.name.view());
  if (!name || !kernels::metal::has_kernels(name->format->type))
    return not_implemented("this build has no Metal text of that name: only gguf_{{q4k,q5k,q6k}}_* can be emulated");
  emulator::Trial trial;
  const bool is_embedding = name->op == GgufKernelName::Op::kEmbedding;
  if (node.inputs.size() < 2 || node.inputs.size() > (is_embedding ? 2u : 3u))
    return invalid_argument("it has {} inputs", node.inputs.size());
  trial.kernel = {name->format->type, op_of(name->op), node.inputs.size() == 3};
  TRY(check_text("header", node.header ? node.header->view() : "", kernels::metal::header_text()));
  TRY(check_text("source", node.source.view(), kernels::metal::body_text(trial.kernel)));

  TRY(take_weight_sizes(program, node, is_embedding ? 0 : 1, *name->format, trial));
  trial.in = is_embedding ? dtype_of(program, node.inputs[1], DType::kI64) : TRY(dtype_argument(node, "InT"));
  trial.out = argument(node, "OutT") ? TRY(dtype_argument(node, "OutT")) : trial.in;
  trial.bias = trial.kernel.has_bias ? dtype_of(program, node.inputs[2], trial.in) : trial.in;
  if (node.output_dtypes.size() != 1 || node.output_dtypes[0] != trial.out)
    return invalid_argument("its output is not of the dtype its template arguments name");
  const auto rows = static_rows(node);
  trial.rows = rows.value_or(open_rows(trial.kernel.op));
  trial.max_row_groups = trial.kernel.op == Op::kMatvec ? kMatvecGroups : kMatmulGroups;
  const emulator::Grid grid = emulator::grid_of(trial.kernel, trial.rows, trial.n, trial.k);
  TRY(check_axes("grid", node.grid, grid.threads, !rows.has_value()));
  TRY(check_axes("threadgroup", node.threadgroup, grid.threadgroup, false));
  return trial;
}

Status verify(const Program& program, ThreadPool& pool, std::mt19937_64& rng, KernelVerdict& verdict) {
  const emulator::Trial trial = TRY(trial_of(program, *verdict.kernel.first));
  verdict.rows = trial.rows;
  const std::vector<emulator::Sample> samples = TRY(emulator::run_trial(trial, pool, rng));
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
