#include "gguf/value.h"

#include <gtest/gtest.h>

#include <limits>

#include "gguf/layout.h"
#include "gguf/metadata.h"
#include "gguf/value_codec.h"

namespace tessera::gguf {
namespace {

std::vector<Value> one_of_each() {
  std::vector<Value> values;
  values.emplace_back(uint8_t{200});
  values.emplace_back(int8_t{-100});
  values.emplace_back(uint16_t{60000});
  values.emplace_back(int16_t{-30000});
  values.emplace_back(uint32_t{4000000000});
  values.emplace_back(int32_t{-2000000000});
  values.emplace_back(0.1f);
  values.emplace_back(true);
  values.emplace_back("caf\xc3\xa9");
  values.push_back(Value::array(std::vector<uint16_t>{1, 2, 3}));
  values.emplace_back(std::numeric_limits<uint64_t>::max());
  values.emplace_back(std::numeric_limits<int64_t>::min());
  values.emplace_back(0.1);
  return values;
}

// Arrays of every element type, empty ones and nested ones among them.
std::vector<Value> arrays() {
  std::vector<Value> values;
  values.push_back(Value::array(std::vector<uint8_t>{1, 255}));
  values.push_back(Value::array(std::vector<int8_t>{-1, 127}));
  values.push_back(Value::array(std::vector<uint16_t>{}));
  values.push_back(Value::array(std::vector<int16_t>{-1}));
  values.push_back(Value::array(std::vector<uint32_t>{7}));
  values.push_back(Value::array(std::vector<int32_t>{-7, 8}));
  values.push_back(Value::array(std::vector<float>{0.5f, -0.25f}));
  values.push_back(Value::array(std::vector<bool>{true, false, true}));
  values.push_back(Value::array(std::vector<std::string>{"", "a", std::string(300, 'x')}));
  values.push_back(Value::array(std::vector<uint64_t>{1}));
  values.push_back(Value::array(std::vector<int64_t>{-1}));
  values.push_back(Value::array(std::vector<double>{1e300}));
  const Array inner{StringArray(std::vector<std::string>{"in", "ner"})};
  values.push_back(
      Value::array(std::vector<Array>{inner, Array{std::vector<bool>{true}}, Array{std::vector<Array>{}}}));
  return values;
}

std::vector<std::byte> encode(const Value& value) {
  std::vector<std::byte> out;
  EXPECT_TRUE(append_value(out, value).has_value());
  return out;
}

Result<Value> decode(const std::vector<std::byte>& bytes) {
  ByteReader in(bytes, "test");
  return read_value(in, "a value", nullptr);
}

Array nest(int depth) {
  Array array{std::vector<int32_t>{1, 2}};
  for (int i = 1; i < depth; ++i) array = Array{std::vector<Array>{array}};
  return array;
}

TEST(Value, TypeCodesAreTheVariantsOrder) {
  const auto values = one_of_each();
  ASSERT_EQ(values.size(), kValueTypeCount);
  for (uint32_t code = 0; code < kValueTypeCount; ++code) {
    EXPECT_EQ(static_cast<uint32_t>(values[code].type()), code);
    EXPECT_EQ(static_cast<uint32_t>(encode(values[code])[0]), code);
  }
}

TEST(Value, EveryTypeRoundTrips) {
  auto values = one_of_each();
  for (auto& array : arrays()) values.push_back(std::move(array));
  for (const Value& value : values) {
    const auto bytes = encode(value);
    const auto back = decode(bytes);
    ASSERT_TRUE(back.has_value()) << back.error().message;
    EXPECT_EQ(back->type(), value.type());
    EXPECT_EQ(encode(*back), bytes);
    EXPECT_EQ(to_string(*back, 100), to_string(value, 100));
    for (size_t size = 0; size < bytes.size(); ++size)
      EXPECT_FALSE(decode({bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)}).has_value());
  }
}

TEST(Value, NestingHasALimitForReaderAndWriter) {
  const auto deepest = encode(Value(nest(kMaxArrayDepth)));
  ASSERT_TRUE(decode(deepest).has_value());
  std::vector<std::byte> out;
  EXPECT_FALSE(append_value(out, Value(nest(kMaxArrayDepth + 1))).has_value());
  // One level more around the deepest value: type 9, count 1, then its bytes without the outer type code.
  std::vector<std::byte> deeper;
  const uint32_t array_code = 9;
  const uint64_t one = 1;
  append_bytes(deeper, &array_code, 4);
  append_bytes(deeper, &array_code, 4);
  append_bytes(deeper, &one, 8);
  deeper.insert(deeper.end(), deepest.begin() + 4, deepest.end());
  const auto result = decode(deeper);
  ASSERT_FALSE(result.has_value());
  EXPECT_NE(result.error().message.find("nested"), std::string::npos) << result.error().message;
}

TEST(Value, AbsurdCountsAreRefusedBeforeMemoryIsReserved) {
  for (uint32_t element = 0; element < kValueTypeCount; ++element) {
    for (const uint64_t count : {uint64_t{1} << 29, kMaxArrayItems + 1, ~uint64_t{0}}) {
      std::vector<std::byte> bytes;
      const uint32_t array_code = 9;
      append_bytes(bytes, &array_code, 4);
      append_bytes(bytes, &element, 4);
      append_bytes(bytes, &count, 8);
      bytes.resize(bytes.size() + 64);
      EXPECT_FALSE(decode(bytes).has_value()) << element << " x " << count;
    }
  }
}

TEST(Value, IntegersOfAnyWidthConvertWhenTheyFit) {
  EXPECT_EQ(Value(uint8_t{7}).as_u64().value(), 7u);
  EXPECT_EQ(Value(int64_t{7}).as_u64().value(), 7u);
  EXPECT_EQ(Value(int16_t{-7}).as_i64().value(), -7);
  EXPECT_FALSE(Value(int32_t{-1}).as_u64().has_value());
  EXPECT_FALSE(Value(~uint64_t{0}).as_i64().has_value());
  EXPECT_FALSE(Value(1.0f).as_u64().has_value());
  EXPECT_FALSE(Value(true).as_u64().has_value());
  EXPECT_FLOAT_EQ(Value(int32_t{30}).as_f32().value(), 30.0f);
  EXPECT_FLOAT_EQ(Value(0.5).as_f32().value(), 0.5f);
  EXPECT_FALSE(Value("30").as_f32().has_value());
  EXPECT_TRUE(Value(uint8_t{1}).as_bool().value());
  EXPECT_FALSE(Value(false).as_bool().value());
  EXPECT_FALSE(Value(uint8_t{2}).as_bool().has_value());
  EXPECT_FALSE(Value(1.0f).as_bool().has_value());
  EXPECT_EQ(Value("x").as_string().value(), "x");
  EXPECT_FALSE(Value(uint8_t{1}).as_string().has_value());
}

TEST(Value, ArraysConvertElementByElement) {
  EXPECT_EQ(Value::array(std::vector<uint8_t>{1, 2}).as_int_array().value(), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(Value::array(std::vector<int32_t>{-1}).as_f32_array().value(), (std::vector<float>{-1.0f}));
  EXPECT_EQ(Value::array(std::vector<int32_t>{1, 0}).as_bool_array().value(), (std::vector<bool>{true, false}));
  EXPECT_FALSE(Value::array(std::vector<int32_t>{1, 2}).as_bool_array().has_value());
  EXPECT_FALSE(Value::array(std::vector<uint64_t>{~uint64_t{0}}).as_int_array().has_value());
  EXPECT_FALSE(Value::array(std::vector<std::string>{"a"}).as_int_array().has_value());
  EXPECT_FALSE(Value(uint8_t{1}).as_int_array().has_value());
  const Value strings = Value::array(std::vector<std::string>{"a", "b"});
  const Value copy = strings;  // shares the text
  ASSERT_EQ(copy.as_string_array().value().size(), 2u);
  EXPECT_EQ(copy.as_string_array().value()[1], "b");
  EXPECT_FALSE(Value::array(std::vector<float>{1}).as_string_array().has_value());
}

TEST(Value, PrintsShortly) {
  EXPECT_EQ(to_string(Value(uint32_t{60})), "60");
  EXPECT_EQ(to_string(Value("a\"b\n")), "\"a\\\"b\\n\"");
  EXPECT_EQ(to_string(Value::array(std::vector<int32_t>{1, 2, 3}), 2), "array of 3 i32: [1, 2, ...]");
}

TEST(Metadata, ErrorsNameSourceKeyExpectedAndFound) {
  Metadata metadata("model.gguf");
  metadata.set("a.count", Value("many"));
  EXPECT_EQ(metadata.get_u64("a.count").error().message,
            "model.gguf: key 'a.count': expected an integer, found string");
  EXPECT_EQ(metadata.get_u64("a.other").error().message, "model.gguf: key 'a.other' is missing");
  EXPECT_EQ(metadata.get_u64("a.other").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(metadata.get_u64("a.other", 5).value(), 5u);
  EXPECT_FALSE(metadata.get_u64("a.count", 5).has_value());
}

TEST(Metadata, KeepsOrderThroughSetAndErase) {
  Metadata metadata;
  for (const char* key : {"a", "b", "c", "d"}) metadata.set(key, Value(key));
  metadata.set("b", Value("B"));
  metadata.erase("a");
  metadata.erase("absent");
  ASSERT_EQ(metadata.entries().size(), 3u);
  EXPECT_EQ(metadata.entries()[0].key, "b");
  EXPECT_EQ(metadata.get_string("b").value(), "B");
  EXPECT_EQ(metadata.get_string("d").value(), "d");
  EXPECT_FALSE(metadata.contains("a"));
}

}  // namespace
}  // namespace tessera::gguf
