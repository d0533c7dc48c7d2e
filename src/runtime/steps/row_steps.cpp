#include "runtime/steps/row_steps.h"

#include "runtime/steps/each_row.h"

namespace tessera::runtime {
namespace {

using kernels::cpu::FloatKernels;
using ops::Tensor;

constexpr int64_t kRowsOfTask = 8;

std::byte* row(const Tensor& tensor, int64_t i) {
  return tensor.data + static_cast<size_t>(i * tensor.shape.back()) * size_of(tensor.dtype);
}

int64_t n_rows(const Tensor& tensor) {
  return tensor.shape.back() == 0 ? 0 : tensor.n_elements() / tensor.shape.back();
}

const float* weight_or_null(const NormSpec& norm) { return norm.weight.empty() ? nullptr : norm.weight.data(); }

}  // namespace

Status Instructions::run(StepContext& context) const {
  for (int index : indices) {
    const auto i = static_cast<uint32_t>(index);
    TRY(execute_range(chain, i, i + 1, context.execution));
  }
  return {};
}

bool NormSpec::fits(const Tensor& input) const {
  if (!is_activation_dtype(input.dtype) || input.shape.rank() == 0) return false;
  return weight.empty() || (input.dtype == weight_dtype && static_cast<int64_t>(weight.size()) == input.shape.back());
}

Status NormStep::run(StepContext& context) const {
  const Tensor x = TRY(context.slots().get(norm_.x));
  if (!norm_.fits(x)) return instructions_.run(context);
  Tensor y = TRY(Tensor::allocate(x.dtype, x.shape));
  const int64_t n = x.shape.back();
  for_each_row(context, n_rows(x), kRowsOfTask, n, [&](int64_t i, float* scratch) {
    context.floats.load(x.dtype, row(x, i), scratch, n);
    context.floats.rms_norm(scratch, weight_or_null(norm_), norm_.eps, scratch, n);
    context.floats.store(y.dtype, scratch, row(y, i), n);
  });
  return context.slots().set(out_, std::move(y));
}

Status ResidualStep::run(StepContext& context) const {
  const Tensor x = TRY(context.slots().get(spec_.branch.x));
  const Tensor residual = TRY(context.slots().get(spec_.residual));
  const bool fits = spec_.branch.fits(x) && (!spec_.next || spec_.next->fits(x)) && x.shape == residual.shape &&
                    x.dtype == residual.dtype;
  if (!fits) return spec_.instructions.run(context);
  Tensor sum = TRY(Tensor::allocate(x.dtype, x.shape));
  Tensor next;
  if (spec_.next) next = TRY(Tensor::allocate(x.dtype, x.shape));
  const int64_t n = x.shape.back();
  const FloatKernels& f = context.floats;
  for_each_row(context, n_rows(x), kRowsOfTask, 2 * n, [&](int64_t i, float* scratch) {
    float* other = scratch + n;
    f.load(x.dtype, row(x, i), scratch, n);
    f.load(x.dtype, row(residual, i), other, n);
    f.rms_norm(scratch, weight_or_null(spec_.branch), spec_.branch.eps, scratch, n);
    f.add(other, scratch, scratch, n);
    if (spec_.scale) f.scale(scratch, *spec_.scale, scratch, n);
    f.store(sum.dtype, scratch, row(sum, i), n);
    if (!spec_.next) return;
    f.rms_norm(scratch, weight_or_null(*spec_.next), spec_.next->eps, scratch, n);
    f.store(next.dtype, scratch, row(next, i), n);
  });
  TRY(context.slots().set(spec_.sum, std::move(sum)));
  if (spec_.next) TRY(context.slots().set(spec_.next_out, std::move(next)));
  return {};
}

Status SoftCapStep::run(StepContext& context) const {
  const Tensor x = TRY(context.slots().get(x_));
  const bool half = x.dtype == DType::kF16 || x.dtype == DType::kBF16;
  if (x.dtype != DType::kF32 && !(half && casts_)) return instructions_.run(context);
  Tensor y = TRY(Tensor::allocate(DType::kF32, x.shape));
  constexpr int64_t kPiece = 4096;  // one row may be a whole vocabulary: cut by elements, not rows
  const int64_t total = x.n_elements();
  context.pool.parallel_for(total, kPiece, [&](int64_t begin, int64_t end) {
    float* out = y.as<float>() + begin;
    context.floats.load(x.dtype, x.data + static_cast<size_t>(begin) * size_of(x.dtype), out, end - begin);
    context.floats.soft_cap(out, cap_, out, end - begin);
  });
  return context.slots().set(out_, std::move(y));
}

Status EmbeddingStep::run(StepContext& context) const {
  const Tensor weight = TRY(context.slots().get(spec_.weight));
  const Tensor ids = TRY(context.slots().get(spec_.ids));
  if ((ids.dtype != DType::kI32 && ids.dtype != DType::kI64) || ids.shape.rank() == Shape::kMaxRank)
    return invalid_argument("embedding: ids are {} {}, expected i32 or i64 with less than {} axes", name_of(ids.dtype),
                            to_string(ids.shape), Shape::kMaxRank);
  Shape shape = ids.shape;
  shape.push_back(spec_.k);
  Tensor out = TRY(Tensor::allocate(spec_.dtype, shape));
  const int64_t row_bytes = spec_.format->bytes_for(spec_.k);
  const int64_t n = ids.n_elements();
  for (int64_t i = 0; i < n; ++i) {
    const int64_t id = ids.dtype == DType::kI64 ? ids.as<int64_t>()[i] : ids.as<int32_t>()[i];
    if (id < 0 || id >= spec_.n_rows) {
      return make_error(ErrorCode::kOutOfRange, "embedding: token id {} at index {}, the table has rows 0..{}", id, i,
                        spec_.n_rows - 1);
    }
  }
  for_each_row(context, n, kRowsOfTask, spec_.k, [&](int64_t i, float* scratch) {
    const int64_t id = ids.dtype == DType::kI64 ? ids.as<int64_t>()[i] : ids.as<int32_t>()[i];
    spec_.format->dequantize(weight.data + id * row_bytes, spec_.k, scratch);
    if (spec_.factor != 1) context.floats.scale(scratch, spec_.factor, scratch, spec_.k);
    context.floats.store(spec_.dtype, scratch, row(out, i), spec_.k);
  });
  return context.slots().set(spec_.out, std::move(out));
}

}  // namespace tessera::runtime
