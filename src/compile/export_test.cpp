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

TEST_F(Export, AFolderGetsAProgramAndATokenizer) {
  const auto paths = export_paths(dir_.file("out/"), {});
  ASSERT_TRUE(paths) << paths.error().message;
  EXPECT_EQ(paths->pte, dir_.file("out/model.pte"));
  EXPECT_EQ(paths->ptd, "");
  const Status status = export_gguf(gguf_, *paths, {});
  ASSERT_TRUE(status) << status.error().message;
  expect_weights(*program::load_pte(paths->pte));
  const auto tokenizer = testing::read_file(dir_.file("out/tokenizer.json"));
  EXPECT_EQ(tokenizer.front(), '{');
  // The folder is there now, so its name alone says the same.
  EXPECT_EQ(export_paths(dir_.file("out"), {})->tokenizer, dir_.file("out/tokenizer.json"));
}

TEST_F(Export, WeightsBesideTheProgramAreFound) {
  const ExportOptions options{.ptd = true};
  const auto paths = export_paths(dir_.file("model.pte"), options);
  ASSERT_TRUE(paths) << paths.error().message;
  EXPECT_EQ(paths->ptd, dir_.file("model.ptd"));
  EXPECT_EQ(paths->tokenizer, "");
  const Status status = export_gguf(gguf_, *paths, options);
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_LT(std::filesystem::file_size(paths->pte), std::filesystem::file_size(paths->ptd) / 4);
  const auto program = program::load_pte(paths->pte);
  ASSERT_TRUE(program) << program.error().message;
  expect_weights(*program);

  const std::string elsewhere = dir_.file("weights");
  std::filesystem::rename(paths->ptd, elsewhere);
  const auto alone = program::load_pte(paths->pte);
  ASSERT_FALSE(alone);
  EXPECT_EQ(alone.error().code, ErrorCode::kNotFound);
  EXPECT_NE(alone.error().message.find("model.ptd is not there"), std::string::npos) << alone.error().message;
  EXPECT_TRUE(program::load_pte(paths->pte, {.method = {}, .ptd_paths = {elsewhere}}));
  EXPECT_FALSE(export_paths(dir_.file("model.ptd"), options)) << "both files of one name";
}

// The same file gives the same bytes, whatever the weights' form.
TEST_F(Export, WritingIsDeterministic) {
  for (const LoweringKind lowering : {LoweringKind::kPacked, LoweringKind::kAffine}) {
    ExportOptions options;
    options.compile.lowering = lowering;
    ASSERT_TRUE(export_pte(gguf_, dir_.file("a.pte"), options));
    ASSERT_TRUE(export_pte(gguf_, dir_.file("b.pte"), options));
    EXPECT_EQ(testing::read_file(dir_.file("a.pte")), testing::read_file(dir_.file("b.pte")));
  }
}

TEST_F(Export, AnErrorLeavesNoFile) {
  const std::string path = dir_.file("model.pte");
  ExportOptions options;
  options.compile.max_seq_len = 1 << 20;
  EXPECT_FALSE(export_pte(gguf_, path, options));
  EXPECT_FALSE(export_pte(dir_.file("absent.gguf"), path, {}));
  // What was whole already goes as well: here the program cannot be written.
  std::filesystem::create_directory(path);
  const ExportPaths paths{.pte = path, .ptd = dir_.file("model.ptd"), .tokenizer = dir_.file("tokenizer.json")};
  EXPECT_FALSE(export_gguf(gguf_, paths, {.ptd = true}));
  EXPECT_FALSE(std::filesystem::exists(paths.ptd));
  EXPECT_FALSE(std::filesystem::exists(paths.tokenizer));
  std::filesystem::remove(path);
  EXPECT_TRUE(std::filesystem::is_empty(dir_.path()));
}

TEST_F(Export, AnErrorLeavesEarlierFilesAlone) {
  const ExportPaths paths{
      .pte = dir_.file("model.pte"), .ptd = dir_.file("model.ptd"), .tokenizer = dir_.file("tokenizer.json")};
  ASSERT_TRUE(export_gguf(gguf_, paths, {.ptd = true}));
  const auto ptd = testing::read_file(paths.ptd), tokenizer = testing::read_file(paths.tokenizer);
  // Something in the way of the program's own name, found at once, and of the one it is written under, found last.
  std::filesystem::create_directories(paths.pte + ".part/in the way");
  EXPECT_FALSE(export_gguf(gguf_, paths, {.ptd = true}));
  EXPECT_TRUE(program::load_pte(paths.pte));
  std::filesystem::remove(paths.pte);
  std::filesystem::rename(paths.pte + ".part", paths.pte);
  EXPECT_FALSE(export_gguf(gguf_, paths, {.ptd = true}));
  EXPECT_EQ(testing::read_file(paths.ptd), ptd);
  EXPECT_EQ(testing::read_file(paths.tokenizer), tokenizer);
}

TEST_F(Export, NoFileReplacesTheSource) {
  const std::string source = dir_.file("m.gguf"), other = dir_.file("x");
  std::filesystem::copy_file(gguf_, source);
  std::filesystem::create_hard_link(source, dir_.file("link"));
  for (const ExportPaths& paths : {ExportPaths{.pte = source, .ptd = {}, .tokenizer = {}},
                                   ExportPaths{.pte = dir_.file("link"), .ptd = {}, .tokenizer = {}},
                                   ExportPaths{.pte = other, .ptd = source, .tokenizer = {}},
                                   ExportPaths{.pte = other, .ptd = {}, .tokenizer = source}}) {
    const Status status = export_gguf(source, paths, {.ptd = !paths.ptd.empty()});
    ASSERT_FALSE(status);
    EXPECT_NE(status.error().message.find("its own source"), std::string::npos) << status.error().message;
  }
  EXPECT_EQ(testing::read_file(source), testing::read_file(gguf_));
  EXPECT_FALSE(std::filesystem::exists(other));
}

}  // namespace
}  // namespace tessera::compile
