// Operands of an emulated kernel whose element type is chosen by the caller, and the thread that works on them.
#pragma once

#include <functional>

#include "base/dtype.h"
#include "kernels/metal/emulator/simdgroup.h"

namespace tessera::kernels::emulator {

using namespace metal;  // as the text does

// Tensors whose element type is only known at run time. MLX declares the bias as `const device T*`, ids as
// `const device T*` or, of fewer than 8, `const constant T*`: bodies may do nothing but index them.
struct AnyFloats {
  const Region* region;
  DType dtype;

  float operator[](int64_t i) const {
    if (dtype == DType::kF32) return at<float>(i);
    return dtype == DType::kF16 ? float(at<half>(i)) : float(at<bfloat>(i));
  }
  template <typename T>
  T at(int64_t i) const {
    return Pointer<Space::kDevice, const T>(region, 0)[i];
  }
};
struct AnyInts {
  const Region* region;
  DType dtype;

  int64_t operator[](int64_t i) const {
    if (dtype == DType::kI32) return Pointer<Space::kConstant, const int32_t>(region, 0)[i];
    return Pointer<Space::kConstant, const int64_t>(region, 0)[i];
  }
};

// A thread's whole work; empty if no such kernel was compiled.
using ThreadBody = std::function<void()>;

// f.operator()<T>() with the type of `dtype`; an empty body for any other.
template <typename F>
ThreadBody with_float(DType dtype, const F& f) {
  if (dtype == DType::kF32) return f.template operator()<float>();
  if (dtype == DType::kF16) return f.template operator()<half>();
  return dtype == DType::kBF16 ? f.template operator()<bfloat>() : ThreadBody();
}

}  // namespace tessera::kernels::emulator
