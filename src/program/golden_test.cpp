#include "program/golden_testing.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "program/printer.h"
#include "program/pte_loader.h"
#include "test_util.h"

namespace tessera::program {
namespace {

std::string write_file(const tessera::testing::TempDir& dir, const std::string& name,
                       const std::vector<std::byte>& bytes) {
  std::ofstream(dir.file(name), std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  return dir.file(name);
}

std::vector<float> floats(const Program& program, std::string_view key) {
  const auto bytes = program.find_data(key)->bytes;
  std::vector<float> out(bytes.size() / sizeof(float));
  std::memcpy(out.data(), bytes.data(), bytes.size());
  return out;
}

TEST(GoldenFiles, PteLoadsWithTheDocumentedSlots) {
  const tessera::testing::TempDir dir;
  const auto bytes = testing::tiny_pte();
  ASSERT_EQ(bytes.size(), 1680u);
  const auto loaded = load_pte(write_file(dir, "tiny.pte", bytes));
  ASSERT_TRUE(loaded) << loaded.error().message;
  const Program& program = *loaded;
  EXPECT_EQ(to_text(program),
            "method forward: 1 constants, 1 inputs, 1 outputs, 0 mutable buffers, 0 temporaries, 1 values\n"
            "  %0 constant f32[4] abcd/bias\n"
            "  %1 input f32[1..8, 4] abcd/x\n"
            "  %2 output f32[1..8, 4] abcd/out\n"
            "chain 0 (main):\n"
            "  SymSize a=%1 dim=0 out=$0\n"
            "  Add a=%1 b=%0 out=%2\n");
  EXPECT_EQ(program.input_map, (std::vector<Slot>{{1, SlotType::kTensor}}));
  EXPECT_EQ(program.output_map, (std::vector<Slot>{{2, SlotType::kTensor}}));
  const IoTensor io{DType::kF32, {8, 4}, true};
  EXPECT_EQ(program.inputs, std::vector<IoTensor>{io});
  EXPECT_EQ(program.outputs, std::vector<IoTensor>{io});
  EXPECT_EQ(program.int_constant("get_max_seq_len"), 4096);
  EXPECT_EQ(floats(program, "abcd/bias"), (std::vector<float>{10, 20, 30, 40}));
  EXPECT_NE(program.find_data("abcd/bias")->mapped, nullptr);  // borrowed from the file
}

TEST(GoldenFiles, PtdOverridesTheProgramsOwnData) {
  const tessera::testing::TempDir dir;
  const auto bytes = testing::tiny_ptd();
  ASSERT_EQ(bytes.size(), 272u);
  const auto ptd = write_file(dir, "tiny.ptd", bytes);
  const auto loaded = load_pte(write_file(dir, "tiny.pte", testing::tiny_pte()), {.method = "", .ptd_paths = {ptd}});
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(floats(*loaded, "abcd/bias"), (std::vector<float>{1, 2, 3, 4}));
}

TEST(GoldenFiles, TheSameKeyInTwoDataFilesIsAnError) {
  const tessera::testing::TempDir dir;
  const auto a = write_file(dir, "a.ptd", testing::tiny_ptd()), b = write_file(dir, "b.ptd", testing::tiny_ptd());
  const auto loaded = load_pte(write_file(dir, "tiny.pte", testing::tiny_pte()), {.method = "", .ptd_paths = {a, b}});
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, ErrorCode::kInvalidFormat);
  EXPECT_NE(loaded.error().message.find("abcd/bias"), std::string::npos);
}

}  // namespace
}  // namespace tessera::program
