#include "runtime/plan_builder.h"

#include <algorithm>
#include <bit>

#include "base/float16.h"

namespace tessera::runtime {
namespace {

std::vector<int> tensor_instructions(const Dataflow& flow) {
  std::vector<int> out;
  for (int i = 0; i < flow.size(); ++i)
    if (!flow.at(i).writes.empty()) out.push_back(i);
  return out;
}

}  // namespace

PlanBuilder::PlanBuilder(const program::Program& p, program::Hints h)
    : program(p), hints(std::move(h)), chain(p.chains[p.main_chain]), flow(p), order(tensor_instructions(flow)) {}

const program::TensorMeta* PlanBuilder::meta(program::Tid tid) const {
  const program::TensorKind kind = program.kind_of(tid);
  if (kind != program::TensorKind::kConstant && kind != program::TensorKind::kMutable) return nullptr;
  return tid.idx < program.tensor_meta.size() ? &program.tensor_meta[tid.idx] : nullptr;
}

const program::Data* PlanBuilder::constant_data(program::Tid tid) const {
  if (program.kind_of(tid) != program::TensorKind::kConstant) return nullptr;
  return program.find_data(program.name_of(tid));
}

std::optional<std::vector<float>> PlanBuilder::float_constant(program::Tid tid) const {
  const program::Data* data = constant_data(tid);
  const program::TensorMeta* m = meta(tid);
  if (!data || !m || program.init_chain >= 0) return std::nullopt;  // an init chain may replace constants
  const size_t element = size_of(m->dtype);
  if (!is_float(m->dtype) || m->dtype == DType::kF64) return std::nullopt;
  std::vector<float> out(data->bytes.size() / element);
  for (size_t i = 0; i < out.size(); ++i) {
    const std::byte* p = data->bytes.data() + i * element;
    uint16_t half = 0;
    if (m->dtype == DType::kF32)
      std::memcpy(&out[i], p, sizeof(float));
    else
      std::memcpy(&half, p, sizeof(half));
    if (m->dtype == DType::kF16) out[i] = to_f32(F16{half});
    if (m->dtype == DType::kBF16) out[i] = to_f32(BF16{half});
  }
  return out;
}

}  // namespace tessera::runtime
