#include "models/model.h"

#include "models/gemma4.h"

namespace tessera::models {
namespace {

struct Architecture {
  std::string_view name;  // general.architecture
  Result<Model> (*build)(const ModelSource& source, const ModelOptions& options);
};

constexpr Architecture kArchitectures[] = {
    {"gemma4", build_gemma4},
};

std::string supported_names() {
  std::string out;
  for (const Architecture& a : kArchitectures) out += (out.empty() ? "" : ", ") + std::string(a.name);
  return out;
}

}  // namespace

Result<Model> build_model(const ModelSource& source, const ModelOptions& options) {
  const std::string_view name = TRY(source.metadata().get_string("general.architecture"));
  for (const Architecture& architecture : kArchitectures) {
    if (architecture.name != name) continue;
    Model model = TRY(architecture.build(source, options));
    model.architecture = name;
    model.name = TRY(source.metadata().get_string("general.name", ""));
    return model;
  }
  return not_implemented("{}: architecture '{}' is not implemented; supported: {}", source.path(), name,
                         supported_names());
}

}  // namespace tessera::models
