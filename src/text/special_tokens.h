// Cuts special tokens, written out, from a text. The longest token wins wherever it stands, even over a shorter one
// that begins further left; among equal lengths the lower id.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tessera::text {

struct Vocabulary;

class SpecialTokens {
 public:
  explicit SpecialTokens(const Vocabulary& vocabulary);

  // A stretch of the text: a special token (id >= 0), or what lies between two (id -1).
  struct Fragment {
    std::string_view text;
    int32_t id = -1;
  };
  // User-defined tokens are always cut, control and unknown ones only with `parse_control`. The fragments follow each
  // other without gaps; none is empty.
  std::vector<Fragment> cut(std::string_view text, bool parse_control) const;

  // `text` with a zero-width space after the first character of each token in it, so that cut() finds none.
  std::string defuse(std::string_view text) const;

 private:
  // A trie over the tokens' bytes, children of a node as a linked list: they are few.
  struct Node {
    char byte = 0;
    int32_t first_child = -1, next_sibling = -1;
    int32_t token = -1;
    bool is_control = false;
  };
  struct Match {
    size_t begin = 0, end = 0;
    int32_t id = -1;
  };
  int32_t child(int32_t node, char byte) const;
  void insert(std::string_view text, int32_t id, bool is_control);
  std::vector<Match> all_matches(std::string_view text, bool parse_control) const;

  std::vector<Node> nodes_{Node{}};
  bool starts_[256] = {};  // bytes some token begins with: the scan skips the others
};

}  // namespace tessera::text
