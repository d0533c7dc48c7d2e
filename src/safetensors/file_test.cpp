#include "safetensors/file.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "safetensors/checkpoint.h"
#include "safetensors/safetensors_testing.h"
#include "test_util.h"

namespace tessera::safetensors {
namespace {

using nlohmann::json;
using tessera::testing::SafetensorsWriter;
using tessera::testing::TempDir;

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

SafetensorsWriter sample() {
  SafetensorsWriter writer;
  writer.add("a.weight", ElementType::kBF16, {2, 3}, bytes_of("aabbccddeeff"));
  writer.add("scalar", ElementType::kF32, {}, bytes_of("1234"));
  writer.add("empty", ElementType::kI64, {0, 7}, {});
  writer.add("codes", ElementType::kU8, {5}, bytes_of("vwxyz"));
  writer.set_metadata("format", "pt");
  return writer;
}

Result<File> open(const std::string& text) {
  const auto owner = std::make_shared<const std::string>(text);
  return File::from_bytes(bytes_of(*owner), "m.safetensors", owner);
}
std::string error_of(const std::string& text) {
  const auto file = open(text);
  return file ? "no error" : file.error().message;
}
std::string text_of(const Tensor& tensor) {
  return {reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size()};
}

TEST(Safetensors, TensorsAndMetadata) {
  const auto file = open(sample().encode());
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_EQ(file->tensors.size(), 4u);
  const Tensor& a = file->tensors.at("a.weight");
  EXPECT_EQ(describe(a), "BF16 [2, 3]");
  EXPECT_EQ(text_of(a), "aabbccddeeff");
  EXPECT_EQ(a.n_elements(), 6);
  EXPECT_EQ(text_of(file->tensors.at("scalar")), "1234");
  EXPECT_EQ(file->tensors.at("scalar").n_elements(), 1);
  EXPECT_TRUE(file->tensors.at("empty").bytes.empty());
  EXPECT_EQ(text_of(file->tensors.at("codes")), "vwxyz");
  EXPECT_EQ(file->metadata.at("format"), "pt");
}

TEST(Safetensors, AFileIsMappedAndBorrowed) {
  const TempDir dir;
  sample().write(dir.file("m.safetensors"));
  auto file = File::open(dir.file("m.safetensors"));
  ASSERT_TRUE(file) << file.error().message;
  const Tensor codes = file->tensors.at("codes");
  *file = File();  // the tensor keeps the mapping
  EXPECT_EQ(text_of(codes), "vwxyz");
  ASSERT_NE(codes.mapped, nullptr);
  EXPECT_EQ(codes.mapped->path(), dir.file("m.safetensors"));
}

// Every field of a tensor's entry, wrong one at a time.
TEST(Safetensors, EveryFieldIsChecked) {
  struct Case {
    const char *field, *value, *expected;
  };
  const Case cases[] = {
      {"dtype", "\"BF17\"", "dtype \"BF17\" is not known"},
      {"dtype", "3", "dtype: expected a string"},
      {"dtype", "\"F32\"", "F32 [2, 3] needs 24 bytes, data_offsets [0, 12] hold 12"},
      {"shape", "[2, -3]", "shape: expected"},
      {"shape", "[2, 3.0]", "shape: expected"},
      {"shape", "\"2\"", "shape: expected"},
      {"shape", "[4611686018427387904, 4]", "is too large"},
      {"shape", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,2,3]", "shape: expected at most 16"},
      {"data_offsets", "[0]", "data_offsets: expected two numbers"},
      {"data_offsets", "[12, 0]", "data_offsets [12, 0] reach past"},
      {"data_offsets", "[0, 99]", "data_offsets [0, 99] reach past the data (21 bytes)"},
      {"data_offsets", "[1, 13]", "tensors leave no gap"},
      {"data_offsets", "[9, 21]", "tensors leave no gap"},
  };
  for (const Case& c : cases) {
    SafetensorsWriter writer = sample();
    writer.header()["a.weight"][c.field] = json::parse(c.value);
    const std::string message = error_of(writer.encode());
    EXPECT_NE(message.find(c.expected), std::string::npos) << c.field << " " << c.value << ": " << message;
    EXPECT_NE(message.find("m.safetensors"), std::string::npos);
  }
  for (const char* field : {"dtype", "shape", "data_offsets"}) {
    SafetensorsWriter writer = sample();
    writer.header()["a.weight"].erase(field);
    EXPECT_NE(error_of(writer.encode()).find(std::string("\"a.weight\": ") + field), std::string::npos);
  }
}

TEST(Safetensors, TheFileAsAWholeIsChecked) {
  SafetensorsWriter writer = sample();
  writer.data() += "x";
  EXPECT_NE(error_of(writer.encode()).find("1 bytes after the last tensor"), std::string::npos);
  writer = sample();
  writer.header()["__metadata__"]["format"] = 3;
  EXPECT_NE(error_of(writer.encode()).find("\"format\" is not a string"), std::string::npos);
  writer = sample();
  writer.header()["__metadata__"] = "pt";
  EXPECT_NE(error_of(writer.encode()).find("__metadata__: expected an object"), std::string::npos);
  writer = sample();
  writer.header()["a.weight"] = 3;
  EXPECT_NE(error_of(writer.encode()).find("expected an object"), std::string::npos);
  EXPECT_NE(error_of(writer.encode("[1]")).find("is not a JSON object"), std::string::npos);
  EXPECT_NE(error_of(writer.encode("{\"a\": ")).find("is not a JSON object"), std::string::npos);
  const std::string entry = R"({"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  EXPECT_NE(error_of(SafetensorsWriter().encode("{\"a\":" + entry + ",\"a\":" + entry + "}")).find("named \"a\""),
            std::string::npos);
  EXPECT_NE(error_of(SafetensorsWriter().encode("{\"\":" + entry + ",\"\":" + entry + "}")).find("named \"\""),
            std::string::npos);
  EXPECT_NE(error_of(std::string(40, '\x7f')).find("not a safetensors file?"), std::string::npos);
}

TEST(Safetensors, EveryTruncationIsAnError) {
  const std::string whole = sample().encode();
  for (size_t n = 0; n < whole.size(); ++n) EXPECT_NE(error_of(whole.substr(0, n)), "no error") << n;
}

// Two shards and their index.
void write_shards(const TempDir& dir, const json& weight_map) {
  SafetensorsWriter first, second;
  first.add("a", ElementType::kU8, {1}, bytes_of("a"));
  first.set_metadata("x", "1");
  second.add("b", ElementType::kU8, {1}, bytes_of("b"));
  second.set_metadata("y", "2");
  first.write(dir.file("1.safetensors"));
  second.write(dir.file("2.safetensors"));
  std::ofstream(dir.file("model.safetensors.index.json")) << json{{"weight_map", weight_map}}.dump();
}

TEST(Checkpoint, ShardsAreOneTable) {
  const TempDir dir;
  write_shards(dir, {{"a", "1.safetensors"}, {"b", "2.safetensors"}});
  const auto checkpoint = Checkpoint::open(dir.path().string());
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  EXPECT_EQ(text_of(checkpoint->tensors.at("a")), "a");
  EXPECT_EQ(text_of(checkpoint->tensors.at("b")), "b");
  EXPECT_EQ(checkpoint->metadata, (TextMap{{"x", "1"}, {"y", "2"}}));
}

TEST(Checkpoint, OneFileNeedsNoIndex) {
  const TempDir dir;
  sample().write(dir.file("model.safetensors"));
  const auto checkpoint = Checkpoint::open(dir.path().string());
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  EXPECT_EQ(checkpoint->tensors.size(), 4u);
}

TEST(Checkpoint, SaysWhatIsWrong) {
  const auto error = [](const json& weight_map) {
    const TempDir dir;
    write_shards(dir, weight_map);
    const auto checkpoint = Checkpoint::open(dir.path().string());
    return checkpoint ? "no error" : checkpoint.error().message;
  };
  EXPECT_NE(error({{"a", "1.safetensors"}, {"c", "2.safetensors"}}).find("\"c\" is not in 2.safetensors"),
            std::string::npos);
  const TempDir swapped;  // both are there, but not where the index says
  write_shards(swapped, {{"a", "2.safetensors"}, {"b", "1.safetensors"}});
  const Error lacks = Checkpoint::open(swapped.path().string()).error();
  EXPECT_EQ(lacks.code, ErrorCode::kInvalidFormat);
  EXPECT_NE(lacks.message.find("\"b\" is not in 1.safetensors"), std::string::npos) << lacks.message;
  EXPECT_NE(error({{"a", "3.safetensors"}}).find("3.safetensors"), std::string::npos);
  EXPECT_NE(error({{"a", "../1.safetensors"}}).find("not a file of this folder"), std::string::npos);
  EXPECT_NE(error({{"a", 1}}).find("is not a file name"), std::string::npos);
  EXPECT_NE(error(json::array()).find("weight_map"), std::string::npos);
  const TempDir empty;
  EXPECT_NE(Checkpoint::open(empty.path().string()).error().message.find("neither model.safetensors nor"),
            std::string::npos);
  const TempDir twice;
  write_shards(twice, {{"a", "1.safetensors"}, {"b", "2.safetensors"}});
  SafetensorsWriter both;
  both.add("a", ElementType::kU8, {1}, bytes_of("a"));
  both.add("b", ElementType::kU8, {1}, bytes_of("b"));
  both.write(twice.file("2.safetensors"));
  EXPECT_NE(Checkpoint::open(twice.path().string()).error().message.find("in another shard as well"),
            std::string::npos);
}

}  // namespace
}  // namespace tessera::safetensors
