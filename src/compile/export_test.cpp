#include "compile/export.h"

#include <gtest/gtest.h>

#include "gguf/file.h"
#include "program/pte_loader.h"
#include "test_util.h"

namespace tessera::compile {
namespace {

class Export : public ::testing::Test {
 protected:
  void SetUp() override {
    SKIP_WITHOUT_SHARED("vectors/gemma4-tiny");
    gguf_ = (testing::shared_dir() / "vectors/gemma4-tiny/tiny-q4km.gguf").string();
  }
  // Every weight of the loaded program has the GGUF's bytes.
  void expect_weights(const program::Program& program) {
    const auto file = *gguf::File::open(gguf_);
    int n_matrices = 0;
    for (const gguf::TensorInfo& tensor : file->tensors()) {
      if (tensor.dims.size() != 2) continue;
      const program::Data* data = program.find_data(tensor.name);
      ASSERT_NE(data, nullptr) << tensor.name;
      const auto want = file->bytes(tensor);
      EXPECT_TRUE(std::equal(data->bytes.begin(), data->bytes.end(), want.begin(), want.end())) << tensor.name;
      ++n_matrices;
    }
    EXPECT_EQ(n_matrices, 6 * 7 - 1 + 1);
  }
  testing::TempDir dir_;
  std::string gguf_;
};

TEST_F(Export, TheProgramHoldsTheFilesBytes) {
  const std::string path = dir_.file("model.pte");
  uint64_t done = 0, total = 0;
  const Status status = export_pte(gguf_, path, {}, [&](uint64_t d, uint64_t t) {
    EXPECT_GE(d, done);
    done = d;
    total = t;
  });
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_GT(total, 0u);
  EXPECT_EQ(done, total);
  const auto program = program::load_pte(path);
  ASSERT_TRUE(program) << program.error().message;
  expect_weights(*program);
  EXPECT_EQ(program->int_constant("get_max_prefill_chunk"), 256);
}

TEST_F(Export, AnExternalProgramIsSmallAndFindsItsFile) {
  const std::string path = dir_.file("model.pte");
  const Status status = export_pte(gguf_, path, {.external = true});
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_LT(std::filesystem::file_size(path), std::filesystem::file_size(gguf_) / 4);
  const auto program = program::load_pte(path);
  ASSERT_TRUE(program) << program.error().message;
  expect_weights(*program);
}

TEST_F(Export, AnErrorLeavesNoFile) {
  const std::string path = dir_.file("model.pte");
  ExportOptions options;
  options.compile.max_seq_len = 1 << 20;
  EXPECT_FALSE(export_pte(gguf_, path, options));
  EXPECT_FALSE(export_pte(dir_.file("absent.gguf"), path, {}));
  EXPECT_FALSE(std::filesystem::exists(path));
}

}  // namespace
}  // namespace tessera::compile
