// Names of the files of a split set: PREFIX-00001-of-00003.gguf.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tessera::gguf {

struct SplitName {
  std::string prefix;  // with the folder
  int number = 1;      // counts from 1
  int total = 1;

  std::string path() const;
};

// nullopt: not a name of this form.
std::optional<SplitName> parse_split_name(std::string_view path);

}  // namespace tessera::gguf
