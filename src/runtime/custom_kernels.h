// What a MetalKernel instruction means here. Its source text is for Apple GPUs; on every other device the instruction
// is a named kernel with arguments, looked up in a table. A backend puts its own functions under the same names.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "ops/tensor.h"
#include "quant/format.h"

namespace tessera::runtime {

// One template argument of the kernel: an int, a bool or a dtype code, as `kind` 0, 1, 2 says.
struct TemplateArg {
  enum class Kind : int8_t { kInt = 0, kBool = 1, kDType = 2 };
  std::string_view name;
  Kind kind = Kind::kInt;
  int32_t value = 0;
};

// A MetalKernel instruction with its slots read.
struct KernelCall {
  struct Output {
    Shape shape;
    DType dtype = DType::kF32;
  };
  std::string_view name;
  std::span<const ops::Tensor> inputs;
  std::span<const TemplateArg> template_args;
  std::span<const Output> outputs;
  std::optional<float> init_value;  // outputs start with it; absent: uninitialised
  ThreadPool* pool = nullptr;       // may be null

  // Errors: no such argument, or one of another kind.
  Result<int32_t> int_arg(std::string_view arg) const;
  Result<DType> dtype_arg(std::string_view arg) const;
  bool has_arg(std::string_view arg) const;
  // Errors: also another value, which the operands contradict.
  Status check_int_arg(std::string_view arg, int64_t expected) const;
  Status check_dtype_arg(std::string_view arg, DType expected) const;
};

// Returns one tensor per call.outputs; the interpreter checks shapes and dtypes.
using CustomKernel = std::function<Result<std::vector<ops::Tensor>>(const KernelCall& call)>;

class CustomKernels {
 public:
  void add(std::string name, CustomKernel kernel) { kernels_[std::move(name)] = std::move(kernel); }
  const CustomKernel* find(std::string_view name) const;
  std::string names() const;  // "gguf_q4k_embedding, gguf_q4k_matmul, ...", for error messages

 private:
  std::map<std::string, CustomKernel, std::less<>> kernels_;
};

// gguf_<format>_matvec, _matmul and _embedding for every weight format, and those of compressed caches (tq_kernels.h),
// on the scalar references of ops.
const CustomKernels& reference_kernels();

// How the fused GGUF kernels are called (executorch-pte section 6.4), for whoever registers or recognises one:
// "gguf_q4k_matvec" -> {Q4_K, kMatvec}. nullopt for any other name.
struct GgufKernelName {
  enum class Op { kMatvec, kMatmul, kEmbedding };
  const quant::Format* format = nullptr;
  Op op = Op::kMatvec;
};
std::optional<GgufKernelName> parse_gguf_kernel(std::string_view name);
// Template arguments, shapes and dtypes agree with each other: InT, OutT (absent: InT), N, K for the linear kernels,
// OutT, K and maybe V for the embedding. Shapes and dtypes of the operands themselves are the router's to check.
Status check_gguf_call(const GgufKernelName& kernel, const KernelCall& call);

}  // namespace tessera::runtime
