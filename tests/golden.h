// Golden texts: a file under version control that a test's output must equal, reviewed as a diff when it changes.
// TESSERA_UPDATE_GOLDEN=1 writes the files anew.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace tessera::testing {

// `path` is relative to the repository's root, where tests run.
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

}  // namespace tessera::testing
