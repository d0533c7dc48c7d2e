// A metadata value of a GGUF file: one of thirteen types. The alternatives of the two variants stand in the order of
// the type codes stored in the file, so a variant's index is the code.
//
// Accessors (`as_*`) accept any integer width and check the range, because writers disagree about widths; an error says
// what was expected and what was found, and whoever knows the key or file puts it in front.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace tessera::gguf {

// The code stored in the file; ggml's enum gguf_type.
enum class ValueType : uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};
inline constexpr uint32_t kValueTypeCount = 13;

// "u8", "string", "array", ...; "?" for an unknown code.
std::string_view name_of(ValueType type);

// Strings that are borrowed from `owner`: the mapped file a vocabulary of 262144 entries was read from, or strings of
// our own. Copies share them.
class StringArray {
 public:
  StringArray() = default;
  StringArray(std::vector<std::string_view> items, std::shared_ptr<const void> owner)
      : items_(std::move(items)), owner_(std::move(owner)) {}
  explicit StringArray(std::vector<std::string> strings);

  size_t size() const { return items_.size(); }
  std::span<const std::string_view> items() const { return items_; }

 private:
  std::vector<std::string_view> items_;
  std::shared_ptr<const void> owner_;
};

// Elements of one type, kept compactly; elements may be arrays themselves (their types need not agree).
struct Array {
  using Items =
      std::variant<std::vector<uint8_t>, std::vector<int8_t>, std::vector<uint16_t>, std::vector<int16_t>,
                   std::vector<uint32_t>, std::vector<int32_t>, std::vector<float>, std::vector<bool>, StringArray,
                   std::vector<Array>, std::vector<uint64_t>, std::vector<int64_t>, std::vector<double>>;
  Items items;

  ValueType type() const { return static_cast<ValueType>(items.index()); }
  size_t size() const {
    return std::visit([](const auto& v) { return v.size(); }, items);
  }
};

class Value {
 public:
  using Storage = std::variant<uint8_t, int8_t, uint16_t, int16_t, uint32_t, int32_t, float, bool, std::string, Array,
                               uint64_t, int64_t, double>;
  // Exactly one of the types above; anything else (an `int` literal is an i32) does not compile by accident.
  template <typename T>
  requires std::same_as<std::remove_cvref_t<T>, T>
  explicit Value(T value) : storage_(std::in_place_type<T>, std::move(value)) {}
  explicit Value(const char* text) : storage_(std::string(text)) {}
  explicit Value(std::string_view text) : storage_(std::string(text)) {}
  // An array of any element type.
  template <typename T>
  static Value array(std::vector<T> items) {
    return Value(Array{std::move(items)});
  }
  static Value array(std::vector<std::string> strings) { return Value(Array{StringArray(std::move(strings))}); }

  ValueType type() const { return static_cast<ValueType>(storage_.index()); }
  const Storage& storage() const { return storage_; }
  const Array* if_array() const { return std::get_if<Array>(&storage_); }

  Result<uint64_t> as_u64() const;
  Result<int64_t> as_i64() const;
  Result<float> as_f32() const;  // any float or integer
  Result<bool> as_bool() const;  // a bool, or an integer that is 0 or 1
  Result<std::string_view> as_string() const;

  // Copies of an array's elements, each converted as the accessors above do; the strings are borrowed from this value.
  Result<std::vector<int64_t>> as_int_array() const;
  Result<std::vector<float>> as_f32_array() const;
  Result<std::vector<bool>> as_bool_array() const;
  Result<std::span<const std::string_view>> as_string_array() const;

 private:
  Storage storage_;
};

// For people: numbers and strings plainly, arrays as "array of 262144 string: [a, b, c, ...]" with at most `max_items`
// elements, long strings cut.
std::string to_string(const Value& value, size_t max_items = 8);

}  // namespace tessera::gguf
