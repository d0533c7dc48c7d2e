#include "gguf/split_name.h"

#include <fmt/core.h>

#include <charconv>

namespace tessera::gguf {
namespace {

constexpr std::string_view kOf = "-of-", kExtension = ".gguf";
constexpr size_t kDigits = 5;
constexpr size_t kSuffixBytes = 1 + kDigits + kOf.size() + kDigits + kExtension.size();

std::optional<int> parse_number(std::string_view digits) {
  int number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size() || number < 1) return std::nullopt;
  return number;
}

}  // namespace

std::string SplitName::path() const {
  return fmt::format("{}-{:0{}}{}{:0{}}{}", prefix, number, kDigits, kOf, total, kDigits, kExtension);
}

std::optional<SplitName> parse_split_name(std::string_view path) {
  if (path.size() <= kSuffixBytes) return std::nullopt;
  const std::string_view prefix = path.substr(0, path.size() - kSuffixBytes);
  const std::string_view suffix = path.substr(prefix.size());
  const auto number = parse_number(suffix.substr(1, kDigits));
  const auto total = parse_number(suffix.substr(1 + kDigits + kOf.size(), kDigits));
  if (!number || !total) return std::nullopt;
  SplitName name{std::string(prefix), *number, *total};
  if (name.path() != path) return std::nullopt;  // the dash, "-of-" and the extension
  return name;
}

}  // namespace tessera::gguf
