// A MetalKernel instruction put together from what differs between kernels.
#pragma once

#include <string_view>
#include <vector>

#include "compile/program_builder.h"

namespace tessera::compile {

struct TemplateArgument {
  enum Kind : int8_t { kInt = 0, kDType = 2 };
  std::string_view name;
  Kind kind;
  int64_t value;
};
inline TemplateArgument dtype_argument(std::string_view name, DType dtype) {
  return {name, TemplateArgument::kDType, static_cast<int64_t>(dtype)};
}
inline TemplateArgument int_argument(std::string_view name, int64_t value) {
  return {name, TemplateArgument::kInt, value};
}

struct KernelText {
  std::string_view name, header, source;  // no header where it is empty
};

struct KernelInput {
  std::string_view name;
  program::Tid slot;
};

struct KernelOutput {
  program::Out slot;
  program::RequiredVector<program::IntOrVid> shape;
  DType dtype;
  std::string_view name = "out";
};

struct Launch {
  program::RequiredVector<program::IntOrVid> grid, threadgroup;  // in threads
};

program::MetalKernel metal_kernel(ProgramBuilder& builder, const KernelText& text,
                                  const std::vector<KernelInput>& inputs, const KernelOutput& output,
                                  const std::vector<TemplateArgument>& arguments, Launch launch);

}  // namespace tessera::compile
