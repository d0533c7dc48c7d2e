#include "ops/select.h"

#include "ops/checks.h"
#include "ops/dtype_rules.h"
#include "ops/elements.h"
#include "ops/elementwise_binary.h"
#include "ops/shape_ops.h"

namespace tessera::ops {

Result<Tensor> where(const Tensor& condition, const Tensor& x, const Tensor& y) {
  const Shape values = TRY(broadcast_shapes(x.shape, y.shape));
  const Shape shape = TRY(broadcast_shapes(condition.shape, values));
  const DType dtype = promote(x.dtype, y.dtype);
  const Tensor chosen = TRY(cast_and_broadcast(condition, DType::kBool, shape));
  const Tensor yes = TRY(cast_and_broadcast(x, dtype, shape));
  const Tensor no = TRY(cast_and_broadcast(y, dtype, shape));
  Tensor out = TRY(Tensor::allocate(dtype, shape));
  const bool* take = chosen.as<bool>();
  dispatch(dtype, [&]<typename T>() {
    const T *from_yes = yes.as<T>(), *from_no = no.as<T>();
    T* to = out.as<T>();
    for (int64_t i = 0; i < shape.n_elements(); ++i) to[i] = take[i] ? from_yes[i] : from_no[i];
  });
  return out;
}

Result<Tensor> clip(const Tensor& x, const Tensor* low, const Tensor* high) {
  if (!low && !high) return invalid_argument("Clip without a bound");
  const Tensor raised = low ? TRY(binary(BinaryOp::kMaximum, x, *low)) : x;
  return high ? binary(BinaryOp::kMinimum, raised, *high) : raised;
}

}  // namespace tessera::ops
