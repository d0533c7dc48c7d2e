#include "models/recipe.h"

#include <charconv>

namespace tessera::models {
namespace {

using quant::GroupMethod;
using quant::GroupQuantization;

constexpr int64_t kGroup = 32;

// N of "layers.N.rest", or -1.
int64_t layer_of(std::string_view name) {
  constexpr std::string_view kPrefix = "layers.";
  if (!name.starts_with(kPrefix)) return -1;
  name.remove_prefix(kPrefix.size());
  int64_t layer = -1;
  std::from_chars(name.data(), name.data() + name.size(), layer);
  return layer;
}

bool is_at_an_end(int64_t layer, int64_t n_layers) {
  return layer >= 0 && (layer < n_layers / 4 || layer >= n_layers - n_layers / 4);
}

}  // namespace

Result<Recipe> parse_recipe(std::string_view name) {
  if (name == "none") return Recipe::kNone;
  if (name == "default") return Recipe::kDefault;
  if (name == "sensitive") return Recipe::kSensitive;
  return invalid_argument("recipe '{}'; there are default, sensitive and none", name);
}

std::optional<GroupQuantization> rule_for(Recipe recipe, std::string_view name, int64_t n_layers) {
  if (recipe == Recipe::kNone || name.ends_with("norm.weight")) return std::nullopt;
  if (name == "embed_tokens.weight") return GroupQuantization{.bits = 8, .group_size = 0, .symmetric = true};
  if (recipe == Recipe::kDefault) return GroupQuantization{.bits = 4, .group_size = kGroup};
  const bool is_sensitive = name.ends_with("v_proj.weight") || name.ends_with("down_proj.weight");
  if (is_sensitive && is_at_an_end(layer_of(name), n_layers))
    return GroupQuantization{.bits = 8, .group_size = kGroup, .symmetric = true};
  return GroupQuantization{.bits = 4, .group_size = kGroup, .method = GroupMethod::kHqq};
}

}  // namespace tessera::models
