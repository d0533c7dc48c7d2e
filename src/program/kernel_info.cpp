#include "program/kernel_info.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <map>
#include <tuple>

namespace tessera::program {
namespace {

std::string list_of(const std::vector<IntOrVid>& operands) {
  std::string text;
  for (const IntOrVid& operand : operands) {
    text += text.empty() ? "[" : ", ";
    text += operand.is_vid ? fmt::format("${}", operand.vid.idx) : fmt::format("{}", operand.literal);
  }
  return text + "]";
}

// The lists have equal lengths: the program is verified.
std::string arguments_of(const MetalKernel& kernel) {
  std::string text;
  for (size_t i = 0; i < kernel.template_arg_names.size(); ++i) {
    const int32_t value = kernel.template_arg_values[i];
    const auto dtype = static_cast<DType>(value);
    const bool is_dtype = kernel.template_arg_kinds[i] >= 2 && value >= 0 && value <= INT8_MAX && is_known(dtype);
    text += fmt::format("{}{}={}", text.empty() ? "" : ", ", kernel.template_arg_names[i].view(),
                        is_dtype ? std::string(name_of(dtype)) : std::to_string(value));
  }
  return text;
}

// Texts are shared by hundreds of instructions: each stored one is hashed once.
class HashedTexts {
 public:
  uint64_t hash(const String& text) {
    const auto [found, is_new] = hashes_.emplace(text.identity(), 0);
    if (is_new) found->second = text_hash(text.view());
    return found->second;
  }

 private:
  std::map<const void*, uint64_t> hashes_;
};

KernelInfo describe(const MetalKernel& kernel, HashedTexts& texts) {
  const String header = kernel.header.value_or(String());
  return {.name = kernel.name.str(),
          .arguments = arguments_of(kernel),
          .grid = list_of(kernel.grid),
          .threadgroup = list_of(kernel.threadgroup),
          .source_bytes = kernel.source.view().size(),
          .header_bytes = header.view().size(),
          .source_hash = texts.hash(kernel.source),
          .header_hash = texts.hash(header),
          .uses = 0,
          .first = &kernel};
}

}  // namespace

uint64_t text_hash(std::string_view text) { return XXH3_64bits(text.data(), text.size()); }

std::vector<KernelInfo> distinct_kernels(const Program& program) {
  using Key = std::tuple<std::string, std::string, std::string, std::string, uint64_t, uint64_t>;
  std::map<Key, size_t> known;  // index in `kernels`
  std::vector<KernelInfo> kernels;
  HashedTexts texts;
  for (const Chain& chain : program.chains) {
    for (const Node& node : chain) {
      const auto* kernel = std::get_if<MetalKernel>(&node);
      if (kernel == nullptr) continue;
      KernelInfo k = describe(*kernel, texts);
      const Key key{k.name, k.arguments, k.grid, k.threadgroup, k.source_hash, k.header_hash};
      const auto [it, is_new] = known.emplace(key, kernels.size());
      if (is_new) kernels.push_back(std::move(k));
      ++kernels[it->second].uses;
    }
  }
  return kernels;
}

}  // namespace tessera::program
