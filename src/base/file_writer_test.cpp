#include "base/file_writer.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mapped_file.h"
#include "test_util.h"

namespace tessera {
namespace {

std::vector<char> letters(size_t n) {
  std::vector<char> out(n);
  for (size_t i = 0; i < n; ++i) out[i] = static_cast<char>('a' + i * 7 % 26);
  return out;
}

void write_file(const std::string& path, const std::vector<char>& bytes) {
  auto file = FileWriter::create(path);
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_TRUE(file->write(bytes.data(), bytes.size()));
  ASSERT_TRUE(file->commit());
}

// Copies land where writes would, between buffered ones, whatever their offsets; within a file system and across two.
TEST(FileWriter, CopiesParts) {
  const testing::TempDir dir;
  const std::vector<char> source = letters(3'000'001);
  write_file(dir.file("in"), source);
  const auto in = MappedFile::open(dir.file("in"));
  ASSERT_TRUE(in) << in.error().message;
  const std::string elsewhere = fmt::format("/dev/shm/tessera_file_writer_test.{}", ::getpid());
  for (const std::string& path : {dir.file("out"), elsewhere}) {
    auto out = FileWriter::create(path);
    if (!out && path == elsewhere) continue;
    ASSERT_TRUE(out) << out.error().message;
    std::vector<char> want(source.begin(), source.begin() + 10);
    ASSERT_TRUE(out->write(source.data(), 10));
    for (const auto& [offset, size] : {std::pair<size_t, size_t>(5, 2'500'000), {0, 0}, {2'999'999, 2}, {4096, 4096}}) {
      ASSERT_TRUE(out->copy(**in, offset, size));
      const auto begin = source.begin() + static_cast<std::ptrdiff_t>(offset);
      want.insert(want.end(), begin, begin + static_cast<std::ptrdiff_t>(size));
      EXPECT_EQ(out->offset(), want.size());
      ASSERT_TRUE(out->write("|", 1));
      want.push_back('|');
    }
    ASSERT_TRUE(out->commit());
    const auto got = testing::read_file(path);
    EXPECT_TRUE(std::equal(got.begin(), got.end(), want.begin(), want.end())) << path;
    std::filesystem::remove(path);
  }
}

TEST(FileWriter, WithoutACommitNothingStays) {
  const testing::TempDir dir;
  {
    auto file = FileWriter::create(dir.file("out"));
    ASSERT_TRUE(file->write("abc", 3));
  }
  EXPECT_TRUE(std::filesystem::is_empty(std::filesystem::path(dir.file("out")).parent_path()));
}

// The rename would put a file in the place of a device; a folder would be found out only then.
TEST(FileWriter, OnlyARegularFileIsReplaced) {
  const testing::TempDir dir;
  ASSERT_EQ(::mkfifo(dir.file("fifo").c_str(), 0600), 0);
  std::filesystem::create_directory(dir.file("folder"));
  std::filesystem::create_symlink(dir.file("fifo"), dir.file("link"));
  for (const char* name : {"fifo", "folder", "link"}) {
    const auto file = FileWriter::create(dir.file(name));
    ASSERT_FALSE(file) << name;
    EXPECT_EQ(file.error().code, ErrorCode::kIo);
    EXPECT_EQ(file.error().message, dir.file(name) + ": cannot create: not a regular file");
  }
  write_file(dir.file("in"), letters(10));
  std::filesystem::create_symlink(dir.file("in"), dir.file("good"));
  std::filesystem::create_symlink(dir.file("nowhere"), dir.file("dangling"));
  for (const char* name : {"in", "good", "dangling"}) {
    write_file(dir.file(name), letters(20));
    EXPECT_EQ(testing::read_file(dir.file(name)), letters(20)) << name;
  }
}

// A mapping stays what it was when its path comes to name another file.
TEST(FileWriter, CopiesTheFileThatWasMapped) {
  const testing::TempDir dir;
  write_file(dir.file("in"), letters(100));
  const auto in = MappedFile::open(dir.file("in"));
  write_file(dir.file("in"), std::vector<char>(100, 'x'));
  auto out = FileWriter::create(dir.file("out"));
  ASSERT_TRUE(out->copy(**in, 0, 100));
  ASSERT_TRUE(out->commit());
  const auto got = testing::read_file(dir.file("out"));
  const auto want = letters(100);
  EXPECT_TRUE(std::equal(got.begin(), got.end(), want.begin(), want.end()));
}

}  // namespace
}  // namespace tessera
