#include "runtime/interpreter.h"

#include "runtime/nodes.h"

namespace tessera::runtime {

Status execute(const program::Node& node, ExecutionContext& context) {
  return std::visit([&](const auto& instruction) { return run(instruction, context); }, node);
}

Status execute_range(uint32_t chain, uint32_t begin, uint32_t end, ExecutionContext& context) {
  const auto& chains = context.program.chains;
  if (chain >= chains.size()) return make_error(ErrorCode::kOutOfRange, "chain {} of {}", chain, chains.size());
  const program::Chain& instructions = chains[chain];
  if (begin > end || end > instructions.size())
    return make_error(ErrorCode::kOutOfRange, "instructions {} to {} of chain {}, which has {}", begin, end, chain,
                      instructions.size());
  for (uint32_t i = begin; i < end; ++i) {
    Status status = execute(instructions[i], context);
    if (!status)
      return status.error().in(fmt::format("chain {}, instruction {} ({})", chain, i, name_of(instructions[i])));
  }
  return {};
}

Status execute_chain(uint32_t chain, ExecutionContext& context) {
  const auto& chains = context.program.chains;
  const size_t size = chain < chains.size() ? chains[chain].size() : 0;
  return execute_range(chain, 0, static_cast<uint32_t>(size), context);
}

}  // namespace tessera::runtime
