#include "gguf/writer.h"

#include <gtest/gtest.h>

#include "gguf/gguf_testing.h"

namespace tessera::gguf {
namespace {

using testing::contains;
using testing::file_bytes;
using testing::TempDir;

std::vector<TensorDeclaration> declarations_of(const File& file) {
  std::vector<TensorDeclaration> out;
  for (const TensorInfo& tensor : file.tensors()) out.push_back({tensor.name, tensor.format, tensor.dims});
  return out;
}

// `pieces` cuts each tensor into so many writes.
Status copy_file(const File& file, const std::string& path, size_t pieces = 1) {
  auto writer = TRY(Writer::create(path, file.metadata(), declarations_of(file)));
  for (const TensorInfo& tensor : file.tensors()) {
    auto rest = file.bytes(tensor);
    const size_t step = rest.size() / pieces + 1;
    while (!rest.empty()) {
      const size_t n = std::min(step, rest.size());
      TRY(writer.write(rest.first(n)));
      rest = rest.subspan(n);
    }
  }
  return writer.commit();
}

Metadata sample_metadata(uint32_t alignment) {
  Metadata metadata;
  metadata.set("general.architecture", Value("sample"));
  metadata.set("general.alignment", Value(alignment));
  metadata.set("sample.list", Value::array(std::vector<Array>{Array{std::vector<int8_t>{1}}}));
  metadata.set("sample.words", Value::array(std::vector<std::string>{"a", "", "b"}));
  return metadata;
}

std::vector<TensorDeclaration> sample_tensors() {
  return {{"norm.weight", quant::find_format("f32"), {3}},
          {"w.weight", quant::find_format("q6_k"), {256, 3}},
          {"scalar", quant::find_format("f16"), {}}};
}

Status write_sample(const std::string& path, uint32_t alignment = 64) {
  auto writer = TRY(Writer::create(path, sample_metadata(alignment), sample_tensors()));
  const std::vector<std::byte> data(writer.data_bytes(), std::byte{0x3c});
  size_t at = 0;
  for (const size_t size : {12, 630, 2}) {
    TRY(writer.write(std::span(data).subspan(at, size)));
    at += size;
  }
  return writer.commit();
}

TEST(Writer, WhatItWritesOpensAndWritesBackEqual) {
  const TempDir dir;
  for (const uint32_t alignment : {8u, 32u, 4096u}) {
    const std::string first = dir.file("first.gguf"), second = dir.file("second.gguf");
    ASSERT_TRUE(write_sample(first, alignment).has_value());
    const auto file = File::open(first);
    ASSERT_TRUE(file.has_value()) << file.error().message;
    EXPECT_EQ((*file)->version(), 3u);
    EXPECT_EQ((*file)->alignment(), alignment);
    EXPECT_EQ((*file)->find("w.weight")->offset % alignment, 0u);
    EXPECT_EQ((*file)->bytes(*(*file)->find("w.weight"))[629], std::byte{0x3c});
    for (const size_t pieces : {1, 7}) {
      ASSERT_TRUE(copy_file(**file, second, pieces).has_value());
      EXPECT_EQ(file_bytes(first), file_bytes(second));
    }
  }
}

TEST(Writer, RealFilesWriteBackEqual) {
  SKIP_WITHOUT_SHARED("vectors/vocab");
  const TempDir dir;
  int n_files = 0;
  for (const char* folder : {"vectors/vocab", "vectors/gemma4-tiny", "vectors/gemma4-tiny-sharedkv"}) {
    for (const auto& entry : std::filesystem::directory_iterator(testing::shared_dir() / folder)) {
      if (entry.path().extension() != ".gguf") continue;
      const auto file = File::open(entry.path().string());
      ASSERT_TRUE(file.has_value()) << file.error().message;
      const std::string path = dir.file("copy.gguf");
      ASSERT_TRUE(copy_file(**file, path).has_value());
      const auto copy = File::open(path);
      ASSERT_TRUE(copy.has_value()) << copy.error().message;
      const auto before = file_bytes(entry.path().string()), after = file_bytes(path);
      if ((*file)->version() == kVersion) {
        EXPECT_EQ(before == after, true) << entry.path();
      } else {  // v2 differs in the version alone
        ASSERT_EQ(before.size(), after.size()) << entry.path();
        EXPECT_TRUE(std::equal(before.begin() + 8, before.end(), after.begin() + 8)) << entry.path();
      }
      ++n_files;
    }
  }
  EXPECT_GE(n_files, 6);
}

TEST(Writer, RefusesWhatAReaderWould) {
  const TempDir dir;
  const auto* f32 = quant::find_format("f32");
  const auto error_of = [&](const Metadata& metadata, std::vector<TensorDeclaration> tensors) -> std::string {
    const auto writer = Writer::create(dir.file("x.gguf"), metadata, std::move(tensors));
    return writer ? "created" : writer.error().message;
  };
  EXPECT_TRUE(contains(error_of({}, {{"a", f32, {1}}, {"a", f32, {1}}}), "declared twice"));
  EXPECT_TRUE(contains(error_of({}, {{std::string(64, 'n'), f32, {1}}}), "at most 63"));
  EXPECT_TRUE(contains(error_of({}, {{"a", quant::find_format("q4_k"), {128}}}), "whole blocks"));
  EXPECT_TRUE(contains(error_of({}, {{"a", f32, {0}}}), "impossible size"));
  Metadata empty_key;
  empty_key.set("", Value(uint8_t{1}));
  EXPECT_TRUE(contains(error_of(empty_key, {}), "key has 1 to"));
  Metadata bad_alignment;
  bad_alignment.set("general.alignment", Value(uint32_t{3}));
  EXPECT_TRUE(contains(error_of(bad_alignment, {}), "power of two"));
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

TEST(Writer, AnUnfinishedFileLeavesNothing) {
  const TempDir dir;
  {
    auto writer = Writer::create(dir.file("x.gguf"), {}, {{"a", quant::find_format("f32"), {4}}});
    ASSERT_TRUE(writer.has_value());
    const float half[2] = {1, 2};
    ASSERT_TRUE(writer->write(std::as_bytes(std::span(half))).has_value());
  }
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

}  // namespace
}  // namespace tessera::gguf
