#include "text/vocabulary.h"

#include <cmath>

namespace tessera::text {
namespace {

// Far beyond any published vocabulary; keeps every offset inside 32 bits.
constexpr size_t kMaxTokens = size_t{1} << 24;
constexpr size_t kMaxTextBytes = size_t{1} << 30;

Status check_id(const Vocabulary& vocabulary, int32_t id, std::string_view what) {
  if (id >= -1 && id < vocabulary.size()) return {};
  return invalid_format("vocabulary: {} is {}, outside the {} tokens", what, id, vocabulary.size());
}

Status check_ids(const Vocabulary& vocabulary) {
  TRY(check_id(vocabulary, vocabulary.bos, "bos"));
  TRY(check_id(vocabulary, vocabulary.eos, "eos"));
  TRY(check_id(vocabulary, vocabulary.eot, "eot"));
  TRY(check_id(vocabulary, vocabulary.unknown, "the unknown token"));
  TRY(check_id(vocabulary, vocabulary.padding, "the padding token"));
  for (int32_t id : vocabulary.stop_ids) TRY(check_id(vocabulary, id, "a stop token"));
  for (int32_t id : vocabulary.suppressed) TRY(check_id(vocabulary, id, "a suppressed token"));
  return {};
}

Status check_merges(const Vocabulary& vocabulary) {
  const int32_t n = vocabulary.size();
  const auto in_range = [n](int32_t id) { return id >= 0 && id < n; };
  for (size_t rank = 0; rank < vocabulary.merges.size(); ++rank) {
    const Merge& merge = vocabulary.merges[rank];
    if (merge == Merge{} || (in_range(merge.left) && in_range(merge.right) && in_range(merge.result))) continue;
    return invalid_format("vocabulary: merge {} is ({}, {}) -> {}, outside the {} tokens", rank, merge.left,
                          merge.right, merge.result, n);
  }
  return {};
}

Status check_tables(const Vocabulary& vocabulary) {
  const size_t n = vocabulary.tokens.size();
  if (n == 0 || n > kMaxTokens) return invalid_format("vocabulary: {} tokens; expected 1 to {}", n, kMaxTokens);
  if (vocabulary.types.size() != n) {
    return invalid_format("vocabulary: {} tokens but {} token types", n, vocabulary.types.size());
  }
  if (!vocabulary.scores.empty() && vocabulary.scores.size() != n) {
    return invalid_format("vocabulary: {} tokens but {} scores", n, vocabulary.scores.size());
  }
  size_t text_bytes = 0;
  for (size_t id = 0; id < n; ++id) {
    text_bytes += vocabulary.tokens[id].size();
    if (text_bytes > kMaxTextBytes) return invalid_format("vocabulary: token texts exceed {} bytes", kMaxTextBytes);
    const auto type = static_cast<int>(vocabulary.types[id]);
    if (type < 1 || type > 6) return invalid_format("vocabulary: token {} has type {}; expected 1 to 6", id, type);
  }
  for (size_t id = 0; id < vocabulary.scores.size(); ++id) {
    if (!std::isfinite(vocabulary.scores[id]))
      return invalid_format("vocabulary: the score of token {} is not finite", id);
  }
  return {};
}

}  // namespace

Status check(const Vocabulary& vocabulary) {
  TRY(check_tables(vocabulary));
  TRY(check_ids(vocabulary));
  TRY(check_merges(vocabulary));
  const SamplingDefaults& sampling = vocabulary.sampling;
  for (auto value : {sampling.temperature, sampling.top_p, sampling.min_p, sampling.repetition_penalty}) {
    if (value && !std::isfinite(*value)) return invalid_format("vocabulary: a sampling default is not finite");
  }
  return {};
}

}  // namespace tessera::text
