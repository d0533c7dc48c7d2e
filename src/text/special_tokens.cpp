#include "text/special_tokens.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include "text/utf8.h"
#include "text/vocabulary.h"

namespace tessera::text {

SpecialTokens::SpecialTokens(const Vocabulary& vocabulary) {
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    const TokenType type = vocabulary.types[static_cast<size_t>(id)];
    const bool is_control = type == TokenType::kControl || type == TokenType::kUnknown;
    if (is_control || type == TokenType::kUserDefined)
      insert(vocabulary.tokens[static_cast<size_t>(id)], id, is_control);
  }
}

int32_t SpecialTokens::child(int32_t node, char byte) const {
  int32_t i = nodes_[static_cast<size_t>(node)].first_child;
  while (i >= 0 && nodes_[static_cast<size_t>(i)].byte != byte) i = nodes_[static_cast<size_t>(i)].next_sibling;
  return i;
}

void SpecialTokens::insert(std::string_view text, int32_t id, bool is_control) {
  if (text.empty()) return;
  starts_[static_cast<uint8_t>(text.front())] = true;
  int32_t node = 0;
  for (char byte : text) {
    int32_t next = child(node, byte);
    if (next < 0) {
      next = static_cast<int32_t>(nodes_.size());
      Node fresh;
      fresh.byte = byte;
      fresh.next_sibling = std::exchange(nodes_[static_cast<size_t>(node)].first_child, next);
      nodes_.push_back(fresh);
    }
    node = next;
  }
  Node& end = nodes_[static_cast<size_t>(node)];
  if (end.token >= 0) return;  // the same text twice: the lower id stays
  end.token = id;
  end.is_control = is_control;
}

std::vector<SpecialTokens::Match> SpecialTokens::all_matches(std::string_view text, bool parse_control) const {
  std::vector<Match> matches;
  for (size_t begin = 0; begin < text.size(); ++begin) {
    if (!starts_[static_cast<uint8_t>(text[begin])]) continue;
    int32_t node = 0;
    for (size_t end = begin; end < text.size();) {
      node = child(node, text[end++]);
      if (node < 0) break;
      const Node& here = nodes_[static_cast<size_t>(node)];
      if (here.token >= 0 && (parse_control || !here.is_control)) matches.push_back({begin, end, here.token});
    }
  }
  return matches;
}

std::string SpecialTokens::defuse(std::string_view text) const {
  constexpr std::string_view kZeroWidthSpace = "\xe2\x80\x8b";
  std::string out;
  size_t done = 0;
  for (const Match& match : all_matches(text, true)) {  // by where they begin
    const size_t inside = match.begin + next_char(text.substr(match.begin)).size;
    if (inside == done) continue;  // several tokens that begin alike
    out.append(text.substr(done, inside - done)).append(kZeroWidthSpace);
    done = inside;
  }
  return out.append(text.substr(done));
}

std::vector<SpecialTokens::Fragment> SpecialTokens::cut(std::string_view text, bool parse_control) const {
  std::vector<Match> matches = all_matches(text, parse_control);
  std::sort(matches.begin(), matches.end(), [](const Match& a, const Match& b) {
    const size_t a_size = a.end - a.begin, b_size = b.end - b.begin;
    if (a_size != b_size) return a_size > b_size;
    return a.id != b.id ? a.id < b.id : a.begin < b.begin;
  });
  std::map<size_t, Match> kept;  // by where they begin
  for (const Match& match : matches) {
    const auto after = kept.lower_bound(match.begin);
    if (after != kept.end() && after->second.begin < match.end) continue;
    if (after != kept.begin() && std::prev(after)->second.end > match.begin) continue;
    kept.emplace_hint(after, match.begin, match);
  }
  std::vector<Fragment> fragments;
  size_t done = 0;
  for (const auto& [begin, match] : kept) {
    if (begin > done) fragments.push_back({text.substr(done, begin - done), -1});
    fragments.push_back({text.substr(begin, match.end - begin), match.id});
    done = match.end;
  }
  if (done < text.size()) fragments.push_back({text.substr(done), -1});
  return fragments;
}

}  // namespace tessera::text
