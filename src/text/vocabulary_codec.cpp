// The binary form of a vocabulary, little-endian, no padding:
//
//   magic "TESV", version u32
//   model, pre, chat_template      strings: u32 length, bytes
//   n_tokens u32, ends u32[n], types u8[n], text bytes[ends[n - 1]]
//   n_scores u32 (0 or n_tokens), scores f32[]
//   n_merges u32, (left, right, result) i32[3][]
//   bos, eos, eot, unknown, padding i32
//   flags u8                       1 add_bos, 2 add_eos, 4 add_space_prefix
//   n_stop u32, i32[]; n_suppressed u32, i32[]
//   present u8                     bits in the order of the next five, which are always stored
//   temperature, top_p, min_p, repetition_penalty f32, top_k i32
//
// A whole Gemma 4 vocabulary is about 10 MB, 6 MB of it merges, and decodes at the speed of copying it.
#include <cstring>
#include <iterator>

#include "base/byte_reader.h"
#include "base/checked_math.h"
#include "text/vocabulary.h"

namespace tessera::text {
namespace {

constexpr uint32_t kMagic = 0x56534554;  // "TESV"
constexpr uint32_t kVersion = 1;
constexpr uint8_t kAddBos = 1, kAddEos = 2, kAddSpacePrefix = 4;

static_assert(sizeof(Merge) == 12 && sizeof(TokenType) == 1);

class Writer {
 public:
  template <typename T>
  void put(const T& value) {
    put_bytes(&value, sizeof(T));
  }
  template <typename T>
  void put_array(const std::vector<T>& values) {
    put(static_cast<uint32_t>(values.size()));
    put_bytes(values.data(), values.size() * sizeof(T));
  }
  void put_string(std::string_view text) {
    put(static_cast<uint32_t>(text.size()));
    put_bytes(text.data(), text.size());
  }
  void put_bytes(const void* data, size_t size) {
    const auto* bytes = static_cast<const std::byte*>(data);
    bytes_.insert(bytes_.end(), bytes, bytes + size);
  }
  std::vector<std::byte> take() && { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

void put_tokens(Writer& out, const Vocabulary& vocabulary) {
  std::vector<uint32_t> ends;
  ends.reserve(vocabulary.tokens.size());
  uint32_t end = 0;
  for (std::string_view token : vocabulary.tokens) ends.push_back(end += static_cast<uint32_t>(token.size()));
  out.put_array(ends);
  out.put_bytes(vocabulary.types.data(), vocabulary.types.size());
  for (std::string_view token : vocabulary.tokens) out.put_bytes(token.data(), token.size());
}

void put_sampling(Writer& out, const SamplingDefaults& sampling) {
  const bool has[] = {sampling.temperature.has_value(), sampling.top_p.has_value(), sampling.min_p.has_value(),
                      sampling.repetition_penalty.has_value(), sampling.top_k.has_value()};
  uint8_t present = 0;
  for (size_t i = 0; i < std::size(has); ++i) present |= static_cast<uint8_t>(has[i] << i);
  out.put(present);
  out.put(sampling.temperature.value_or(0));
  out.put(sampling.top_p.value_or(0));
  out.put(sampling.min_p.value_or(0));
  out.put(sampling.repetition_penalty.value_or(0));
  out.put(sampling.top_k.value_or(0));
}

Result<std::string_view> read_string(ByteReader& in, std::string_view what) {
  const auto size = TRY(in.read<uint32_t>(what));
  const auto bytes = TRY(in.take(size, what));
  return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

template <typename T>
Result<std::vector<T>> read_array(ByteReader& in, size_t count, std::string_view what) {
  const auto size = checked_mul(count, sizeof(T));
  if (!size) return invalid_format("{}: {} elements of {} overflow", in.source(), count, what);
  const auto bytes = TRY(in.take(*size, what));
  std::vector<T> values(count);
  if (count > 0) std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

template <typename T>
Result<std::vector<T>> read_counted(ByteReader& in, std::string_view what) {
  const auto count = TRY(in.read<uint32_t>(what));
  return read_array<T>(in, count, what);
}

Status read_tokens(ByteReader& in, Vocabulary& vocabulary) {
  const auto ends = TRY(read_counted<uint32_t>(in, "token ends"));
  vocabulary.types = TRY(read_array<TokenType>(in, ends.size(), "token types"));
  const auto bytes = TRY(in.take(ends.empty() ? 0 : ends.back(), "token texts"));
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  vocabulary.tokens.reserve(ends.size());
  uint32_t begin = 0;
  for (uint32_t end : ends) {
    if (end < begin || end > text.size()) {
      return invalid_format("{}: token {} spans bytes {} to {} of {}", in.source(), vocabulary.tokens.size(), begin,
                            end, text.size());
    }
    vocabulary.tokens.push_back(text.substr(begin, end - begin));
    begin = end;
  }
  return {};
}

Status read_ids(ByteReader& in, Vocabulary& vocabulary) {
  vocabulary.bos = TRY(in.read<int32_t>("bos"));
  vocabulary.eos = TRY(in.read<int32_t>("eos"));
  vocabulary.eot = TRY(in.read<int32_t>("eot"));
  vocabulary.unknown = TRY(in.read<int32_t>("unknown token"));
  vocabulary.padding = TRY(in.read<int32_t>("padding token"));
  const auto flags = TRY(in.read<uint8_t>("flags"));
  if (flags & ~(kAddBos | kAddEos | kAddSpacePrefix)) {
    return invalid_format("{}: unknown flags {:#x}", in.source(), flags);
  }
  vocabulary.add_bos = (flags & kAddBos) != 0;
  vocabulary.add_eos = (flags & kAddEos) != 0;
  vocabulary.add_space_prefix = (flags & kAddSpacePrefix) != 0;
  vocabulary.stop_ids = TRY(read_counted<int32_t>(in, "stop tokens"));
  vocabulary.suppressed = TRY(read_counted<int32_t>(in, "suppressed tokens"));
  return {};
}

template <typename T>
Status read_optional(ByteReader& in, bool is_present, std::optional<T>& out) {
  const T value = TRY(in.read<T>("a sampling default"));
  if (is_present) out = value;
  return {};
}

Status read_sampling(ByteReader& in, SamplingDefaults& sampling) {
  const auto present = TRY(in.read<uint8_t>("sampling defaults"));
  TRY(read_optional(in, present & 1, sampling.temperature));
  TRY(read_optional(in, present & 2, sampling.top_p));
  TRY(read_optional(in, present & 4, sampling.min_p));
  TRY(read_optional(in, present & 8, sampling.repetition_penalty));
  TRY(read_optional(in, present & 16, sampling.top_k));
  return {};
}

}  // namespace

std::vector<std::byte> encode(const Vocabulary& vocabulary) {
  Writer out;
  out.put(kMagic);
  out.put(kVersion);
  out.put_string(vocabulary.model);
  out.put_string(vocabulary.pre);
  out.put_string(vocabulary.chat_template);
  put_tokens(out, vocabulary);
  out.put_array(vocabulary.scores);
  out.put_array(vocabulary.merges);
  out.put(vocabulary.bos);
  out.put(vocabulary.eos);
  out.put(vocabulary.eot);
  out.put(vocabulary.unknown);
  out.put(vocabulary.padding);
  out.put(static_cast<uint8_t>((vocabulary.add_bos ? kAddBos : 0) | (vocabulary.add_eos ? kAddEos : 0) |
                               (vocabulary.add_space_prefix ? kAddSpacePrefix : 0)));
  out.put_array(vocabulary.stop_ids);
  out.put_array(vocabulary.suppressed);
  put_sampling(out, vocabulary.sampling);
  return std::move(out).take();
}

Result<Vocabulary> decode(std::span<const std::byte> bytes) {
  ByteReader in(bytes, "tokenizer data");
  const auto magic = TRY(in.read<uint32_t>("magic"));
  if (magic != kMagic) return invalid_format("tokenizer data: begins with {:#010x}, not with \"TESV\"", magic);
  const auto version = TRY(in.read<uint32_t>("version"));
  if (version != kVersion) {
    return not_implemented("tokenizer data: version {}; this build reads version {}", version, kVersion);
  }
  Vocabulary vocabulary;
  vocabulary.model = TRY(read_string(in, "model"));
  vocabulary.pre = TRY(read_string(in, "pre-tokenizer"));
  vocabulary.chat_template = TRY(read_string(in, "chat template"));
  TRY(read_tokens(in, vocabulary));
  vocabulary.scores = TRY(read_counted<float>(in, "scores"));
  vocabulary.merges = TRY(read_counted<Merge>(in, "merges"));
  TRY(read_ids(in, vocabulary));
  TRY(read_sampling(in, vocabulary.sampling));
  if (in.remaining() != 0) return invalid_format("tokenizer data: {} bytes after the end", in.remaining());
  TRY(check(vocabulary));
  return vocabulary;
}

}  // namespace tessera::text
