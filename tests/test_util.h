// What tests of every room share: where the reference data lies, files, and fresh random inputs.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

namespace tessera::testing {

// The folder of reference data made by other engines: $TESSERA_SHARED, else ../shared. May not exist.
inline std::filesystem::path shared_dir() {
  const char* dir = std::getenv("TESSERA_SHARED");
  return dir ? dir : "../shared";
}

#define SKIP_WITHOUT_SHARED(relative)                                                                    \
  do {                                                                                                   \
    if (!std::filesystem::exists(::tessera::testing::shared_dir() / (relative)))                         \
      GTEST_SKIP() << "no reference data: " << (::tessera::testing::shared_dir() / (relative)).string(); \
  } while (0)

inline std::vector<char> read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in.good()) << path;
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

template <typename T>
std::vector<T> read_array(const std::filesystem::path& path) {
  const std::vector<char> bytes = read_file(path);
  std::vector<T> out(bytes.size() / sizeof(T));
  std::copy_n(bytes.data(), out.size() * sizeof(T), reinterpret_cast<char*>(out.data()));
  return out;
}

// Fresh every run; the seed is printed with a failure so that the run can be repeated ($TESSERA_SEED).
inline std::mt19937_64 fresh_rng() {
  const char* fixed = std::getenv("TESSERA_SEED");
  const uint64_t seed = fixed ? std::strtoull(fixed, nullptr, 10) : std::random_device{}();
  ::testing::Test::RecordProperty("seed", std::to_string(seed));
  return std::mt19937_64(seed);
}

// `text` must equal the file at `path` (relative to the repository's root, where tests run), which is under version
// control and reviewed as a diff. TESSERA_UPDATE_GOLDEN=1 writes the files anew.
inline void expect_golden(const std::string& path, const std::string& text) {
  if (std::getenv("TESSERA_UPDATE_GOLDEN")) {
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path, std::ios::binary) << text;
    return;
  }
  std::ifstream in(path, std::ios::binary);
  ASSERT_TRUE(in.good()) << path << " is not there: run with TESSERA_UPDATE_GOLDEN=1";
  const std::string golden{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  EXPECT_EQ(golden, text) << path << " differs: if that is right, run with TESSERA_UPDATE_GOLDEN=1 and review the diff";
}

// A path in a folder that is removed when the object goes.
class TempDir {
 public:
  TempDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "tessera-test-XXXXXX").string();
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    path_ = pattern;
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  std::string file(const std::string& name) const { return (path_ / name).string(); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace tessera::testing
