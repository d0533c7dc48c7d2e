#include "gguf/file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>

#include "gguf/gguf_testing.h"
#include "gguf/split_name.h"
#include "gguf/writer.h"

namespace tessera::gguf {
namespace {

using testing::contains;
using testing::file_bytes;
using testing::GgufBytes;
using testing::parse_error;
using testing::parse_gguf;
using testing::TempDir;

constexpr uint32_t kF32 = 0, kQ4_K = 12;

// A small file with a bit of everything a header may hold.
std::vector<std::byte> small_file() {
  GgufBytes file;
  file.header(3, 5);
  file.key("general.architecture", ValueType::kString).text("gemma4");
  file.key("gemma4.block_count", ValueType::kU32).put<uint32_t>(2);
  file.key("gemma4.attention.head_count_kv", ValueType::kArray).put<uint32_t>(5).put<uint64_t>(2);
  file.put<int32_t>(4).put<int32_t>(1);
  file.key("tokenizer.ggml.tokens", ValueType::kArray).put<uint32_t>(8).put<uint64_t>(2).text("<pad>").text("a");
  file.key("flag", ValueType::kBool).put<uint8_t>(1);
  file.tensor("a.weight", {256, 2}, kQ4_K, 0).tensor("b.weight", {3}, kF32, 288).tensor("scalar", {}, kF32, 320);
  return file.data(324).bytes;
}

TEST(File, OpensASmallFile) {
  const auto file = parse_gguf(small_file());
  ASSERT_TRUE(file.has_value()) << file.error().message;
  ASSERT_EQ((*file)->tensors().size(), 3u);
  const TensorInfo& a = *(*file)->find("a.weight");
  EXPECT_EQ(a.format->name, "Q4_K");
  EXPECT_EQ(a.rows(), 2);
  EXPECT_EQ(a.row_values(), 256);
  EXPECT_EQ(a.size_bytes, 288u);
  EXPECT_EQ(a.offset % 32, 0u);
  EXPECT_EQ((*file)->bytes(a).size(), 288u);
  EXPECT_EQ((*file)->find("scalar")->n_values(), 1);
  EXPECT_EQ((*file)->find("c.weight"), nullptr);
  EXPECT_EQ((*file)->metadata().get_u64("gemma4.block_count").value(), 2u);
  EXPECT_EQ((*file)->metadata().get_string_array("tokenizer.ggml.tokens").value()[0], "<pad>");
}

TEST(File, EveryTruncationFailsCleanly) {
  const auto bytes = small_file();
  for (size_t size = 0; size < bytes.size(); ++size)
    EXPECT_FALSE(parse_gguf(std::span(bytes).first(size)).has_value()) << size << " of " << bytes.size();
}

// An error, or a file whose every tensor and string can be touched: sanitizers watch.
void touch(const File& file) {
  size_t sum = 0;
  for (const TensorInfo& tensor : file.tensors())
    for (const std::byte b : file.bytes(tensor)) sum += static_cast<size_t>(b);
  for (const auto& entry : file.metadata().entries()) sum += to_string(entry.value, 1000).size();
  EXPECT_GT(sum, 0u);
}

TEST(File, EveryFlippedByteIsAnErrorOrAReadableFile) {
  const auto bytes = small_file();
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (const int flip : {0x01, 0x80, 0xff}) {
      auto damaged = bytes;
      damaged[i] ^= static_cast<std::byte>(flip);
      const auto file = parse_gguf(damaged);
      if (file) touch(**file);
    }
  }
}

TEST(File, RefusesWhatIsNotGguf) {
  EXPECT_TRUE(contains(parse_error(GgufBytes().put<uint32_t>(0x04034b50).put<uint32_t>(3)), "not a GGUF file"));
  EXPECT_TRUE(contains(parse_error(GgufBytes().header(0, 0, 1)), "version 1"));
  EXPECT_TRUE(contains(parse_error(GgufBytes().header(0, 0, 4)), "version 4"));
  EXPECT_TRUE(contains(parse_error(GgufBytes().header(0, 0, 0)), "version 0"));
  EXPECT_TRUE(contains(parse_error(GgufBytes().header(0, 0, 0x03000000)), "byte order"));
  EXPECT_EQ(parse_error(GgufBytes().header(0, 0, 2)), "opened");
  EXPECT_EQ(parse_error(GgufBytes().header(0, 0, 3)), "opened");
}

TEST(File, RefusesAbsurdCounts) {
  for (const uint64_t count : {uint64_t{1}, uint64_t{1} << 40, uint64_t{1} << 63, ~uint64_t{0}}) {
    EXPECT_TRUE(contains(parse_error(GgufBytes().header(count, 0)), "number of tensors"));
    EXPECT_TRUE(contains(parse_error(GgufBytes().header(0, count)), "number of metadata entries"));
  }
}

TEST(File, RefusesBadKeys) {
  const auto two = [](std::string_view a, std::string_view b) {
    GgufBytes file;
    file.header(0, 2).key(a, ValueType::kU8).put<uint8_t>(1).key(b, ValueType::kU8).put<uint8_t>(2);
    return parse_error(file);
  };
  EXPECT_EQ(two("a", "b"), "opened");
  EXPECT_TRUE(contains(two("a", "a"), "key 'a' appears twice"));
  EXPECT_TRUE(contains(two("a", ""), "key is empty"));
  EXPECT_TRUE(contains(two("a", std::string(65536, 'k')), "65536 bytes"));
  GgufBytes unknown_type;
  EXPECT_TRUE(contains(parse_error(unknown_type.header(0, 1).text("k").put<uint32_t>(13).put<uint64_t>(0)),
                       "unknown value type 13"));
}

TEST(File, AlignmentIsAPowerOfTwoInU32) {
  const auto with = [](uint32_t alignment) {
    GgufBytes file;
    return file.header(1, 1).key("general.alignment", ValueType::kU32).put(alignment).tensor("t", {1}, kF32, 0);
  };
  EXPECT_EQ(parse_error(with(8).data(4, 8)), "opened");
  EXPECT_EQ(parse_error(with(4096).data(4, 4096)), "opened");
  EXPECT_TRUE(contains(parse_error(with(0).data(4)), "power of two"));
  EXPECT_TRUE(contains(parse_error(with(48).data(4)), "power of two"));
  EXPECT_TRUE(contains(parse_error(with(0x80000000u).data(4)), "past the end"));
  GgufBytes wide;
  EXPECT_TRUE(contains(parse_error(wide.header(0, 1).key("general.alignment", ValueType::kU64).put<uint64_t>(32)),
                       "expected u32, found u64"));
}

TEST(File, RefusesImpossibleTensors) {
  const auto one = [](std::string_view name, const std::vector<int64_t>& dims, uint32_t type, uint64_t offset = 0) {
    return parse_error(GgufBytes().header(1, 0).tensor(name, dims, type, offset).data(288));
  };
  EXPECT_EQ(one("t", {256, 2}, kQ4_K), "opened");
  EXPECT_EQ(one(std::string(63, 'n'), {256, 2}, kQ4_K), "opened");
  EXPECT_TRUE(contains(one(std::string(64, 'n'), {256, 2}, kQ4_K), "at most 63"));
  EXPECT_TRUE(contains(one("t", {1, 1, 1, 1, 1}, kF32), "5 dimensions"));
  EXPECT_TRUE(contains(one("t", {128, 2}, kQ4_K), "not whole blocks of Q4_K"));
  EXPECT_TRUE(contains(one("t", {0}, kF32), "impossible size"));
  EXPECT_TRUE(contains(one("t", {-1}, kF32), "impossible size"));
  EXPECT_TRUE(contains(one("t", {1 << 30, 1 << 30, 1 << 30}, kF32), "impossible size"));
  EXPECT_TRUE(contains(one("t", {int64_t{1} << 62, 1}, kF32), "impossible size"));
  EXPECT_TRUE(contains(one("t", {256, 3}, kQ4_K), "past the end"));
  EXPECT_TRUE(contains(one("t", {256}, kQ4_K, 16), "not a multiple of the alignment"));
  EXPECT_TRUE(contains(one("t", {256}, kQ4_K, ~uint64_t{31}), "past the end"));
  for (const uint32_t removed : {4u, 5u, 31u, 36u, 43u, 97u, ~0u})
    EXPECT_TRUE(contains(one("t", {256}, removed), "unknown type"));
}

TEST(File, EveryFormatOpensWithItsExactSize) {
  for (const quant::Format& format : quant::all_formats()) {
    const auto file = [&](size_t size) {
      GgufBytes bytes;
      bytes.header(1, 0).tensor("t", {2 * format.block_values, 3}, static_cast<uint32_t>(format.type), 0).data(size);
      return parse_error(bytes);
    };
    EXPECT_EQ(file(static_cast<size_t>(6 * format.block_bytes)), "opened") << format.name;
    EXPECT_TRUE(contains(file(static_cast<size_t>(6 * format.block_bytes - 1)), "past the end"));
  }
}

TEST(File, TensorsMayStandInAnyOrderButNotOverlap) {
  const auto two = [](uint64_t a, uint64_t b) {
    return parse_error(GgufBytes().header(2, 0).tensor("a", {16}, kF32, a).tensor("b", {16}, kF32, b).data(256));
  };
  EXPECT_EQ(two(0, 64), "opened");
  EXPECT_EQ(two(192, 0), "opened");
  EXPECT_TRUE(contains(two(0, 32), "'a' and 'b' overlap"));
  EXPECT_TRUE(contains(two(64, 32), "'b' and 'a' overlap"));
  EXPECT_TRUE(contains(two(64, 64), "overlap"));
  GgufBytes twice;
  EXPECT_TRUE(contains(parse_error(twice.header(2, 0).tensor("a", {1}, kF32, 0).tensor("a", {1}, kF32, 32).data(64)),
                       "'a' appears twice"));
}

TEST(File, ParallelArraysHaveEqualLengths) {
  const auto tokens = [](uint64_t n_scores) {
    GgufBytes file;
    file.header(0, 2).key("tokenizer.ggml.tokens", ValueType::kArray).put<uint32_t>(8).put<uint64_t>(1).text("a");
    file.key("tokenizer.ggml.scores", ValueType::kArray).put<uint32_t>(6).put(n_scores);
    for (uint64_t i = 0; i < n_scores; ++i) file.put(0.0f);
    return parse_error(file);
  };
  EXPECT_EQ(tokens(1), "opened");
  EXPECT_TRUE(contains(tokens(2), "has 2 elements, expected 1"));
  const auto layers = [](uint64_t n) {
    GgufBytes file;
    file.header(0, 3).key("general.architecture", ValueType::kString).text("x");
    file.key("x.block_count", ValueType::kU32).put<uint32_t>(3);
    file.key("x.attention.sliding_window_pattern", ValueType::kArray).put<uint32_t>(7).put(n);
    for (uint64_t i = 0; i < n; ++i) file.put<uint8_t>(1);
    return parse_error(file);
  };
  EXPECT_EQ(layers(3), "opened");
  EXPECT_TRUE(contains(layers(2), "expected 3 (block_count)"));
}

TEST(File, OpeningReportsWhatTheSystemSays) {
  const TempDir dir;
  EXPECT_EQ(File::open(dir.file("absent.gguf")).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(File::open(dir.path().string()).error().code, ErrorCode::kIo);
}

// 20 GB of holes behind a header: if opening looked at the data it would take seconds.
TEST(File, OpensTwentyGigabytesInMilliseconds) {
  constexpr int64_t kRows = int64_t{1} << 20, kRowValues = 36864;
  const TempDir dir;
  const std::string path = dir.file("large.gguf");
  GgufBytes header;
  header.header(1, 0).tensor("t", {kRowValues, kRows}, kQ4_K, 0).data(0);
  const auto size = static_cast<int64_t>(header.bytes.size()) + kRowValues / 256 * 144 * kRows;
  ASSERT_GT(size, 20'000'000'000);
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(header.bytes.data()), static_cast<std::streamsize>(header.bytes.size()));
  if (::truncate(path.c_str(), size) != 0) GTEST_SKIP() << "this file system has no sparse files of 20 GB";
  const auto start = std::chrono::steady_clock::now();
  const auto file = File::open(path);
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
  ASSERT_TRUE(file.has_value()) << file.error().message;
  EXPECT_LT(took.count(), 100.0);  // about 0.1 ms; the margin is for a busy machine
  EXPECT_EQ((*file)->bytes((*file)->tensors()[0]).size(), static_cast<size_t>(kRowValues / 256 * 144 * kRows));
}

TEST(File, IdentitySeesTheHeaderAndTheSize) {
  const auto bytes = small_file();
  const Identity identity = (*parse_gguf(bytes))->identity();
  EXPECT_EQ(identity.size_bytes, bytes.size());
  EXPECT_EQ(identity, (*parse_gguf(bytes))->identity());
  auto longer = bytes;
  longer.push_back(std::byte{0});
  EXPECT_FALSE(identity == (*parse_gguf(longer))->identity());
  auto renamed = bytes;
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  renamed[text.find("flag")] = std::byte{'g'};
  EXPECT_FALSE(identity == (*parse_gguf(renamed))->identity());
}

class SplitFile : public ::testing::Test {
 protected:
  // Part `number` of `total`, holding one tensor of 4 values that all equal the part's number.
  void write_part(int number, uint16_t split_number, uint16_t count, int32_t n_tensors, const std::string& tensor) {
    Metadata metadata;
    if (number == 1) metadata.set("general.name", Value("set"));
    metadata.set("split.no", Value(split_number));
    metadata.set("split.count", Value(count));
    metadata.set("split.tensors.count", Value(n_tensors));
    auto writer = Writer::create(part_path(number, count), metadata, {{tensor, quant::find_format("f32"), {4}}});
    ASSERT_TRUE(writer.has_value()) << writer.error().message;
    const std::vector<float> values(4, static_cast<float>(number));
    ASSERT_TRUE(writer->write(std::as_bytes(std::span(values))).has_value());
    ASSERT_TRUE(writer->commit().has_value());
  }
  std::string part_path(int number, int total = 3) const { return SplitName{dir_.file("m"), number, total}.path(); }
  std::string open_error() const {
    const auto file = File::open(part_path(1));
    return file ? "opened" : file.error().message;
  }
  void write_three() {
    for (int i = 1; i <= 3; ++i) write_part(i, static_cast<uint16_t>(i - 1), 3, 3, fmt::format("t{}", i));
  }
  TempDir dir_;
};

TEST_F(SplitFile, OpensThroughItsFirstPart) {
  write_three();
  auto file = File::open(part_path(1));
  ASSERT_TRUE(file.has_value()) << file.error().message;
  EXPECT_EQ((*file)->n_parts(), 3);
  EXPECT_EQ((*file)->metadata().get_string("general.name").value(), "set");
  std::span<const std::byte> last;
  const auto keepalive = (*file)->keepalive();
  for (int i = 1; i <= 3; ++i) {
    const TensorInfo* tensor = (*file)->find(fmt::format("t{}", i));
    ASSERT_NE(tensor, nullptr);
    EXPECT_EQ(tensor->part, i - 1);
    last = (*file)->bytes(*tensor);
    EXPECT_EQ(reinterpret_cast<const float*>(last.data())[3], static_cast<float>(i));
  }
  file->reset();
  EXPECT_EQ(reinterpret_cast<const float*>(last.data())[0], 3.0f);  // keepalive holds every part
}

TEST_F(SplitFile, AnotherPartTellsWhichToOpen) {
  write_three();
  const auto file = File::open(part_path(2));
  ASSERT_FALSE(file.has_value());
  EXPECT_TRUE(contains(file.error().message, "open the first, " + part_path(1)));
}

TEST_F(SplitFile, ChecksEveryPart) {
  write_three();
  ASSERT_EQ(open_error(), "opened");
  write_part(3, 1, 3, 3, "t3");
  EXPECT_TRUE(contains(open_error(), "says it is part 2 of 3, expected part 3 of 3"));
  write_part(3, 2, 3, 3, "t1");
  EXPECT_TRUE(contains(open_error(), "'t1' appears twice, in"));
  write_part(3, 2, 3, 3, "t3");
  write_part(1, 0, 3, 4, "t1");
  EXPECT_TRUE(contains(open_error(), "hold 3 tensors, expected 4"));
  write_part(1, 0, 3, 3, "t1");
  std::filesystem::remove(part_path(2));
  EXPECT_TRUE(contains(open_error(), part_path(2)));
  std::filesystem::rename(part_path(1), dir_.file("renamed.gguf"));
  EXPECT_TRUE(contains(File::open(dir_.file("renamed.gguf")).error().message, "-00001-of-00003.gguf"));
  const auto bytes = file_bytes(dir_.file("renamed.gguf"));
  EXPECT_TRUE(contains(parse_gguf(bytes).error().message, "opened by its path"));
}

TEST(SplitName, ParsesExactlyItsForm) {
  const auto name = parse_split_name("dir/m-00002-of-00012.gguf");
  ASSERT_TRUE(name.has_value());
  EXPECT_EQ(name->prefix, "dir/m");
  EXPECT_EQ(name->number, 2);
  EXPECT_EQ(name->total, 12);
  EXPECT_EQ(name->path(), "dir/m-00002-of-00012.gguf");
  for (const char* other : {"m.gguf", "m-00001-of-00002.pte", "m_00001-of-00002.gguf", "m-0001-of-00002.gguf",
                            "m-00000-of-00002.gguf", "m-+0001-of-00002.gguf", "-00001-of-00002.gguf", ""})
    EXPECT_FALSE(parse_split_name(other).has_value()) << other;
}

TEST(File, RealVocabulariesOpenFast) {
  SKIP_WITHOUT_SHARED("vectors/vocab");
  for (const auto& entry : std::filesystem::directory_iterator(testing::shared_dir() / "vectors/vocab")) {
    if (entry.path().extension() != ".gguf") continue;
    const auto start = std::chrono::steady_clock::now();
    const auto file = File::open(entry.path().string());
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    ASSERT_TRUE(file.has_value()) << file.error().message;
    EXPECT_GT((*file)->metadata().get_string_array("tokenizer.ggml.tokens").value().size(), 30000u);
    EXPECT_LT(took.count(), 500.0);  // a few ms; the margin is for a busy machine
  }
}

}  // namespace
}  // namespace tessera::gguf
