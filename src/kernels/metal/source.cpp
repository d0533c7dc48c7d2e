#include "kernels/metal/source.h"

#include <fmt/format.h>

#include "base/check.h"
#include "metal_text_generated.h"

namespace tessera::kernels::metal {
namespace {

std::string_view body_of(Op op) {
  switch (op) {
    case Op::kMatvec:
      return text::kMatvecBody;
    case Op::kMatmul:
      return text::kMatmulBody;
    case Op::kEmbedding:
      return text::kEmbeddingBody;
  }
  check_failed(__FILE__, __LINE__, "a known operation");
}

}  // namespace

bool has_kernels(quant::GgmlType format) {
  using quant::GgmlType;
  return format == GgmlType::kQ4_K || format == GgmlType::kQ5_K || format == GgmlType::kQ6_K;
}

std::string_view header_text() { return text::kHeader; }

std::string body_text(const Kernel& kernel) {
  CHECK(has_kernels(kernel.format));
  const bool needs_bias = kernel.op != Op::kEmbedding && !kernel.has_bias;
  return fmt::format("using Format = gguf::{};\n{}{}", quant::find_format(kernel.format)->name,
                     needs_bias ? "const gguf::NoBias bias{};\n" : "", body_of(kernel.op));
}

std::string_view tq_header_text() { return text::kTq4Header; }

std::string_view tq_body_text(TqOp op) {
  switch (op) {
    case TqOp::kNorm:
      return text::kTqNormBody;
    case TqOp::kCompress:
      return text::kTq4CompressBody;
    case TqOp::kDequantize:
      return text::kTqDequantBody;
  }
  check_failed(__FILE__, __LINE__, "a known operation");
}

}  // namespace tessera::kernels::metal
