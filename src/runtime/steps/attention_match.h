// Recognising attention: a range of instructions the compiler hinted at (program/hints.h).
#pragma once

#include <optional>

#include "runtime/plan_builder.h"

namespace tessera::runtime {

std::optional<Planned> match_attention(PlanBuilder& builder, size_t i);

}  // namespace tessera::runtime
