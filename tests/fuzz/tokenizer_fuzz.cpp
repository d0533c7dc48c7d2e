// Input: u16 n, n bytes of text, then a vocabulary in its binary form. The text goes through three sound tokenizers,
// which must give it back, and through whatever the rest decodes to, which must survive it and be
// written as a tokenizer.json, if it can be written as one, that is JSON.
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "text/stream_decoder.h"
#include "text/text_testing.h"
#include "text/tokenizer_json.h"

namespace {

using namespace tessera;
using namespace tessera::text;

void check_round_trip(const Tokenizer& tokenizer, std::string_view text) {
  if (text.find(kSpaceMark) != std::string_view::npos) return;  // reads as a space, by design
  for (bool parse_special : {false, true}) {
    const auto ids = tokenizer.encode(text, {.parse_special = parse_special});
    CHECK(tokenizer.decode(ids, {.show_special = true}) == text);
    StreamDecoder stream(tokenizer, -1, {.show_special = true});
    std::string streamed;
    for (int32_t id : ids) streamed += stream.push(id);
    CHECK(streamed + stream.flush() == text);
  }
}

void check_survives(std::span<const std::byte> bytes, std::string_view text) {
  auto vocabulary = decode(bytes);
  if (!vocabulary) return;
  CHECK(check(*vocabulary).has_value());
  const auto again = encode(*vocabulary);
  CHECK(decode(again).has_value());
  const auto json = to_tokenizer_json(*vocabulary);
  CHECK(!json || nlohmann::json::accept(*json));
  const auto tokenizer = Tokenizer::create(std::make_shared<Vocabulary>(std::move(*vocabulary)));
  if (!tokenizer) return;
  const auto ids = (*tokenizer)->encode(text, {.add_bos = true, .parse_special = true});
  for (int32_t id : ids) CHECK(id >= 0 && id < (*tokenizer)->vocab_size());
  (void)(*tokenizer)->decode(ids);
  (void)(*tokenizer)->defuse(text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto gemma4 = text::testing::small_gemma4().tokenizer();
  static const auto llama = text::testing::small_llama().tokenizer();
  static const auto gpt2 = text::testing::small_gpt2("qwen35").tokenizer();
  uint16_t n = 0;
  if (size < sizeof(n)) return 0;
  std::memcpy(&n, data, sizeof(n));
  const std::span<const uint8_t> rest(data + sizeof(n), size - sizeof(n));
  const size_t text_size = std::min<size_t>(n, rest.size());
  const std::string_view text(reinterpret_cast<const char*>(rest.data()), text_size);
  check_round_trip(*gemma4, text);
  check_round_trip(*llama, text);
  check_round_trip(*gpt2, text);
  check_survives(std::as_bytes(rest.subspan(text_size)), text);
  return 0;
}
