// Which format each tensor of a model gets: a mix names a base format and where more bits are worth their bytes. The
// rules are llama.cpp's (src/llama-quant.cpp, its Q4_K_M and Q5_K_M), so that files agree tensor by tensor.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gguf/writer.h"
#include "quant/format.h"

namespace tessera::compile {

struct QuantMix {
  std::string_view name;              // "q4_k_m"
  quant::GgmlType base;               // of every matrix
  quant::GgmlType more_bits;          // of attn_v and ffn_down where they matter most (has_more_bits)
  quant::GgmlType head;               // of the output matrix: token_embd where the model has no output.weight
  std::optional<uint32_t> file_type;  // value of `general.file_type`, where it has one
};

// By name, case-insensitive. Errors: kNotImplemented, listing the names there are.
Result<QuantMix> find_quant_mix(std::string_view name);
// "q4_k_m, q5_k_m, ..."
std::string list_quant_mixes();

// True for the first and last eighth of `n` and every third in between: where llama.cpp's mixes spend more bits.
bool has_more_bits(int64_t index, int64_t n);

// The format of each tensor, in order. `tensors` carry the names, dims and formats of the source. Norms, scales and
// other vectors become f32, and are never quantized; a row that is not whole blocks falls back to a format of smaller
// blocks.
std::vector<const quant::Format*> assign_formats(const QuantMix& mix, int64_t n_layers,
                                                 std::span<const gguf::TensorDeclaration> tensors);

}  // namespace tessera::compile
