// The sampler inside a program (executorch-pte, "Sampling tail"): from logits to a token, by temperature, top-k, top-p
// and a seed that the host passes with every step. Gumbel noise makes the draw an argmax.
#pragma once

#include "compile/program_builder.h"

namespace tessera::compile {

// 0-d inputs, in the order the host passes them.
struct SamplerInputs {
  program::Tid temperature;  // f32; 0 or less: the likeliest token
  program::Tid top_k;        // i64; INT64_MAX keeps all
  program::Tid top_p;        // f32; 1 keeps all
  program::Tid seed;         // i64; the same seed draws the same token
};
SamplerInputs add_sampler_inputs(ProgramBuilder& builder);

// (1) u32 = a token drawn from logits f32 (1, vocab_size); the method declares it i64, which hosts cast to.
program::Out emit_sampler(ProgramBuilder& builder, const SamplerInputs& inputs, program::Tid logits,
                          int64_t vocab_size);

}  // namespace tessera::compile
