// The Metal text of the fused kernels, as instructions carry it: a header that all kernels share and a body for each.
// MLX writes the signature between them (gguf_kernels.metal shows it). The texts are the .metal files of this folder,
// embedded by the build.
#pragma once

#include <string>
#include <string_view>

#include "quant/format.h"

namespace tessera::kernels::metal {

enum class Op { kMatvec, kMatmul, kEmbedding };

struct Kernel {
  quant::GgmlType format = quant::GgmlType::kQ4_K;
  Op op = Op::kMatvec;
  bool has_bias = false;  // of a linear: a third input
};

// Q4_K, Q5_K and Q6_K.
bool has_kernels(quant::GgmlType format);

std::string_view header_text();
std::string body_text(const Kernel& kernel);  // has_kernels(kernel.format)

// The kernels of the compressed key-value cache (tq4.metal), which have a header of their own.
enum class TqOp { kNorm, kCompress, kDequantize };
std::string_view tq_header_text();
std::string_view tq_body_text(TqOp op);

}  // namespace tessera::kernels::metal
