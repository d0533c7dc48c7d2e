#include "runtime/step_visitor.h"

namespace tessera::runtime {

Status EmbeddingStep::accept(StepVisitor& visitor) const { return visitor.embedding(*this); }
Status LinearStep::accept(StepVisitor& visitor) const { return visitor.linear(*this); }
Status NormStep::accept(StepVisitor& visitor) const { return visitor.norm(*this); }
Status ResidualStep::accept(StepVisitor& visitor) const { return visitor.residual(*this); }
Status SoftCapStep::accept(StepVisitor& visitor) const { return visitor.soft_cap(*this); }
Status AttentionStep::accept(StepVisitor& visitor) const { return visitor.attention(*this); }

}  // namespace tessera::runtime
