// What the bodies of the fused kernels find around them: the names and types MLX gives a generated signature, for
// formats and dtypes chosen by the caller. One source file per operation includes this and its body.
#pragma once

#include "kernels/metal/emulator/gguf_kernels.h"
#include "kernels/metal/emulator/operands.h"
#include "quant/format.h"

namespace tessera::kernels::emulator {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"  // Metal narrows integers silently, and the text lets it
#include "metal_header_generated.h"
#pragma GCC diagnostic pop

// Regions of a launch, alive while it runs.
struct Arguments {
  Region input, input_shape, weight, weight_shape, bias, out;
  int input_rank = 0;
  DType input_dtype = DType::kF32, bias_dtype = DType::kF32, out_dtype = DType::kF32;
  bool has_bias = false;
  int n = 0, k = 0;

  template <typename T>
  Pointer<Space::kDevice, const T> input_as() const {
    return {&input, 0};
  }
  template <typename T>
  Pointer<Space::kDevice, T> out_as() const {
    return {&out, 0};
  }
};

ThreadBody matvec_thread(quant::GgmlType format, const Arguments& arguments);
ThreadBody matmul_thread(quant::GgmlType format, const Arguments& arguments);
ThreadBody embedding_thread(quant::GgmlType format, const Arguments& arguments);

template <typename F>
ThreadBody with_format(quant::GgmlType format, const F& f) {
  if (format == quant::GgmlType::kQ4_K) return f.template operator()<gguf::Q4_K>();
  if (format == quant::GgmlType::kQ5_K) return f.template operator()<gguf::Q5_K>();
  return format == quant::GgmlType::kQ6_K ? f.template operator()<gguf::Q6_K>() : ThreadBody();
}

// f.operator()<Format, InT, OutT, Bias>() for a linear kernel. Those of Q6_K have no OutT: it is InT.
template <typename F>
ThreadBody with_linear_types(quant::GgmlType format, const Arguments& a, const F& f) {
  return with_format(format, [&]<typename Format>() {
    return with_float(a.input_dtype, [&]<typename InT>() {
      return with_float(a.out_dtype, [&]<typename OutT>() -> ThreadBody {
        if constexpr (std::is_same_v<Format, gguf::Q6_K> && !std::is_same_v<InT, OutT>) {
          return {};
        } else {
          return a.has_bias ? f.template operator()<Format, InT, OutT, AnyFloats>()
                            : f.template operator()<Format, InT, OutT, gguf::NoBias>();
        }
      });
    });
  });
}

template <typename Bias>
Bias bias_of(const Arguments& a) {
  if constexpr (std::is_same_v<Bias, AnyFloats>) {
    return {&a.bias, a.bias_dtype};
  } else {
    return {};
  }
}

}  // namespace tessera::kernels::emulator
