// Which weights of a checkpoint are quantized how: rules matched by the name the model gives a tensor
// ("layers.3.mlp.down_proj.weight"), the first that fits decides. The recipes are ExecuTorch's for Gemma 4
// (neighbour-systems 3.3); their layer numbers are those of 60 layers, taken here as the first and last quarter.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "quant/group_quantizer.h"

namespace tessera::models {

enum class Recipe {
  kNone,       // weights stay as they are
  kDefault,    // 4 bits, min-max, in groups of 32; the embedding 8 bits a row
  kSensitive,  // 4 bits, HQQ; v_proj and down_proj of the first and last quarter of the layers 8 bits
};

Result<Recipe> parse_recipe(std::string_view name);

// What becomes of a matrix; nothing: it stays as it is.
std::optional<quant::GroupQuantization> rule_for(Recipe recipe, std::string_view name, int64_t n_layers);

}  // namespace tessera::models
