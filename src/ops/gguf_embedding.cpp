#include "ops/gguf_embedding.h"

#include <vector>

#include "ops/cast.h"
#include "ops/checks.h"
#include "ops/elements.h"
#include "ops/gguf_checks.h"

namespace tessera::ops {

Result<GgufEmbeddingShape> check_gguf_embedding(const Tensor& weight, const quant::Format& format, const Tensor& ids,
                                                DType out_dtype) {
  const GgufRows rows = TRY(check_gguf_weight(weight, format));
  TRY(check_activation_dtype(out_dtype, "the result"));
  if (ids.dtype != DType::kI32 && ids.dtype != DType::kI64)
    return invalid_argument("ids must be i32 or i64, found {}", describe(ids));
  if (ids.shape.rank() == Shape::kMaxRank) return invalid_argument("ids {} have too many axes", describe(ids));
  for (int64_t id : to_int64s(ids))
    if (id < 0 || id >= rows.n_rows)
      return make_error(ErrorCode::kOutOfRange, "id {} is outside a vocabulary of {}", id, rows.n_rows);
  GgufEmbeddingShape shape{ids.n_elements(), rows.n_rows, rows.k, ids.shape};
  shape.out.push_back(rows.k);
  return shape;
}

Result<Tensor> gguf_embedding(const Tensor& weight, const quant::Format& format, const Tensor& ids, DType out_dtype) {
  const GgufEmbeddingShape shape = TRY(check_gguf_embedding(weight, format, ids, out_dtype));
  Tensor out = TRY(Tensor::allocate(out_dtype, shape.out));
  if (shape.n_ids == 0) return out;  // before a buffer for rows that are not there
  std::vector<float> row(static_cast<size_t>(shape.k));
  const std::vector<int64_t> rows = to_int64s(ids);
  for (int64_t i = 0; i < shape.n_ids; ++i) {
    format.dequantize(weight.data + rows[static_cast<size_t>(i)] * weight.shape[1], shape.k, row.data());
    store(row.data(), shape.k, out, i * shape.k);
  }
  return out;
}

}  // namespace tessera::ops
