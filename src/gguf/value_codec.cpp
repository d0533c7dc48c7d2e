#include "gguf/value_codec.h"

#include <array>
#include <cstring>
#include <utility>

#include "gguf/layout.h"

namespace tessera::gguf {
namespace {

struct Reading {
  ByteReader& in;
  std::string_view what;
  const std::shared_ptr<const void>& owner;
};

Result<Array> read_array(Reading& r, int depth);

Error malformed(const Reading& r, std::string_view problem) {
  return invalid_format("{}: offset {}: {}: {}", r.in.source(), r.in.offset(), r.what, problem);
}

// A count of elements that may each take as little as `item_bytes`: held against the file before memory is reserved.
Result<size_t> read_count(Reading& r, uint64_t item_bytes) {
  const uint64_t count = TRY(r.in.read<uint64_t>(r.what));
  if (count > kMaxArrayItems || count * item_bytes > r.in.remaining()) {
    return malformed(r, fmt::format("an array of {} elements, {} bytes left in the file", count, r.in.remaining()));
  }
  return static_cast<size_t>(count);
}

template <typename T>
Result<std::vector<T>> read_items(Reading& r, std::vector<T>*, int) {
  const size_t count = TRY(read_count(r, sizeof(T)));
  const auto bytes = TRY(r.in.take(count * sizeof(T), r.what));
  std::vector<T> items(count);
  if (count > 0) std::memcpy(items.data(), bytes.data(), bytes.size());
  return items;
}

// ggml takes any non-zero byte for true.
Result<std::vector<bool>> read_items(Reading& r, std::vector<bool>*, int) {
  const auto bytes = TRY(read_items(r, static_cast<std::vector<uint8_t>*>(nullptr), 0));
  return std::vector<bool>(bytes.begin(), bytes.end());
}

// A vocabulary holds hundreds of thousands of strings, so the lengths are checked on the raw bytes; at the first one
// that does not fit, read_string() words the error.
Result<StringArray> read_items(Reading& r, StringArray*, int) {
  const size_t count = TRY(read_count(r, sizeof(uint64_t)));
  const std::span<const std::byte> bytes = r.in.rest();
  std::vector<std::string_view> items(count);
  size_t at = 0;
  for (std::string_view& item : items) {
    uint64_t length = 0;
    const bool has_length = bytes.size() - at >= sizeof(length);
    if (has_length) std::memcpy(&length, bytes.data() + at, sizeof(length));
    if (!has_length || length > kMaxStringBytes || length > bytes.size() - at - sizeof(length)) {
      TRY(r.in.take(at, r.what));
      TRY(read_string(r.in, kMaxStringBytes, r.what));
      return malformed(r, "a string that does not fit");
    }
    item = {reinterpret_cast<const char*>(bytes.data()) + at + sizeof(length), static_cast<size_t>(length)};
    at += sizeof(length) + static_cast<size_t>(length);
  }
  TRY(r.in.take(at, r.what));
  return StringArray(std::move(items), r.owner);
}

Result<std::vector<Array>> read_items(Reading& r, std::vector<Array>*, int depth) {
  const size_t count = TRY(read_count(r, sizeof(uint32_t) + sizeof(uint64_t)));
  std::vector<Array> items;
  items.reserve(count);
  for (size_t i = 0; i < count; ++i) items.push_back(TRY(read_array(r, depth + 1)));
  return items;
}

template <size_t I>
Result<Array> read_array_of(Reading& r, int depth) {
  using Items = std::variant_alternative_t<I, Array::Items>;
  return Array{Array::Items(std::in_place_index<I>, TRY(read_items(r, static_cast<Items*>(nullptr), depth)))};
}

template <size_t I>
Result<Value> read_value_of(Reading& r) {
  using T = std::variant_alternative_t<I, Value::Storage>;
  if constexpr (std::is_same_v<T, Array>) {
    return Value(TRY(read_array(r, 1)));
  } else if constexpr (std::is_same_v<T, std::string>) {
    return Value(TRY(read_string(r.in, kMaxStringBytes, r.what)));
  } else if constexpr (std::is_same_v<T, bool>) {
    return Value(TRY(r.in.read<uint8_t>(r.what)) != 0);
  } else {
    return Value(TRY(r.in.read<T>(r.what)));
  }
}

// One reader per type code, in the order of the codes.
constexpr auto kArrayReaders = []<size_t... I>(std::index_sequence<I...>) { return std::array{&read_array_of<I>...}; }
(std::make_index_sequence<kValueTypeCount>());
constexpr auto kValueReaders = []<size_t... I>(std::index_sequence<I...>) { return std::array{&read_value_of<I>...}; }
(std::make_index_sequence<kValueTypeCount>());

Result<uint32_t> read_type(Reading& r) {
  const uint32_t code = TRY(r.in.read<uint32_t>(r.what));
  if (code < kValueTypeCount) return code;
  return malformed(r, fmt::format("unknown value type {}, the last known is {}", code, kValueTypeCount - 1));
}

Result<Array> read_array(Reading& r, int depth) {
  if (depth > kMaxArrayDepth) return malformed(r, fmt::format("arrays nested deeper than {}", kMaxArrayDepth));
  const uint32_t code = TRY(read_type(r));
  return kArrayReaders[code](r, depth);
}

void append_type(std::vector<std::byte>& out, ValueType type) { append_bytes(out, &type, sizeof(type)); }

Status append_array(std::vector<std::byte>& out, const Array& array, int depth);

template <typename T>
Status append_scalar(std::vector<std::byte>& out, const T& value, int depth) {
  if constexpr (std::is_same_v<T, Array>)
    return append_array(out, value, depth);
  else if constexpr (std::is_convertible_v<T, std::string_view>)
    append_string(out, value);
  else
    append_bytes(out, &value, sizeof(value));
  return {};
}

Status append_array(std::vector<std::byte>& out, const Array& array, int depth) {
  if (depth > kMaxArrayDepth) return invalid_argument("arrays nested deeper than {}", kMaxArrayDepth);
  append_type(out, array.type());
  const uint64_t count = array.size();
  append_bytes(out, &count, sizeof(count));
  return std::visit(
      [&](const auto& items) -> Status {
        using Items = std::remove_cvref_t<decltype(items)>;
        if constexpr (std::is_same_v<Items, StringArray>) {
          for (const std::string_view text : items.items()) append_string(out, text);
        } else {
          for (const typename Items::value_type& item : items) TRY(append_scalar(out, item, depth + 1));
        }
        return {};
      },
      array.items);
}

}  // namespace

Result<std::string_view> read_string(ByteReader& in, uint64_t max_bytes, std::string_view what) {
  const size_t offset = in.offset();
  const uint64_t length = TRY(in.read<uint64_t>(what));
  if (length > max_bytes || length > in.remaining()) {
    return invalid_format("{}: offset {}: {}: a string of {} bytes, at most {} allowed, {} left in the file",
                          in.source(), offset, what, length, max_bytes, in.remaining());
  }
  const auto bytes = TRY(in.take(static_cast<size_t>(length), what));
  return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

Result<Value> read_value(ByteReader& in, std::string_view what, const std::shared_ptr<const void>& owner) {
  Reading r{in, what, owner};
  const uint32_t code = TRY(read_type(r));
  return kValueReaders[code](r);
}

void append_bytes(std::vector<std::byte>& out, const void* data, size_t size) {
  const auto* bytes = static_cast<const std::byte*>(data);
  out.insert(out.end(), bytes, bytes + size);
}

void append_string(std::vector<std::byte>& out, std::string_view text) {
  const uint64_t length = text.size();
  append_bytes(out, &length, sizeof(length));
  append_bytes(out, text.data(), text.size());
}

Status append_value(std::vector<std::byte>& out, const Value& value) {
  append_type(out, value.type());
  return std::visit([&](const auto& v) { return append_scalar(out, v, 1); }, value.storage());
}

}  // namespace tessera::gguf
