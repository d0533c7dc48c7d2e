// What the loader takes from execution plans: which one to run, how the host calls it, and what constant methods return
// (executorch-pte sections 1.3 to 1.7; checks of 10.1, rows 12 to 28).
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "program/container.h"
#include "program/program.h"

namespace tessera::program {

// The plan called `method`; when empty "forward", or else the only one with an MLX delegate.
Result<const pte::ExecutionPlan*> choose_plan(const PteFile& file, const std::string& method);

// Every value of the plan, named by something or not, as the real loader checks them all: shapes, planned memory,
// constant data, what lists refer to. And the delegates' compile specs.
Status check_plan(const PteFile& file, const pte::ExecutionPlan& plan);

// The delegate's bytes, from a segment or inline. The plan must be one call of one MLX delegate.
Result<Segments::Segment> delegate_payload(const PteFile& file, std::span<const std::byte> bytes,
                                           const pte::ExecutionPlan& plan);
// How the host sees the call's arguments: the first `n_inputs` (the length of the graph's input_map) are inputs.
Status read_arguments(const pte::ExecutionPlan& plan, size_t n_inputs, std::vector<IoTensor>& inputs,
                      std::vector<IoTensor>& outputs);

// Plans without inputs, delegates and instructions, by name.
using ConstantMethods = std::map<std::string, std::vector<ConstantValue>, std::less<>>;
Result<ConstantMethods> read_constant_methods(const PteFile& file);

}  // namespace tessera::program
