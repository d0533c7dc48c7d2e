#include "compile/metal_kernel.h"

namespace tessera::compile {

program::MetalKernel metal_kernel(ProgramBuilder& builder, const KernelText& text,
                                  const std::vector<KernelInput>& inputs, const KernelOutput& output,
                                  const std::vector<TemplateArgument>& arguments, Launch launch) {
  program::MetalKernel node;
  node.name = builder.string(text.name);
  node.source = builder.string(text.source);
  if (!text.header.empty()) node.header = builder.string(text.header);
  for (const KernelInput& input : inputs) {
    node.inputs.push_back(input.slot);
    node.input_names.push_back(builder.string(input.name));
  }
  node.outputs = {output.slot};
  node.output_names = {builder.string(output.name)};
  node.output_shapes_flat = output.shape;
  node.output_shape_lengths = {static_cast<int32_t>(output.shape.size())};
  node.output_dtypes = {output.dtype};
  for (const TemplateArgument& argument : arguments) {
    node.template_arg_names.push_back(builder.string(argument.name));
    node.template_arg_kinds.push_back(argument.kind);
    node.template_arg_values.push_back(static_cast<int32_t>(argument.value));
  }
  node.grid = std::move(launch.grid);
  node.threadgroup = std::move(launch.threadgroup);
  return node;
}

}  // namespace tessera::compile
