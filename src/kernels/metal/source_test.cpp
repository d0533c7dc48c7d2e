#include "kernels/metal/source.h"

#include <gtest/gtest.h>

#include "test_util.h"

namespace tessera::kernels::metal {
namespace {

using quant::GgmlType;

std::string file(const std::string& name) {
  const std::vector<char> bytes = tessera::testing::read_file("src/kernels/metal/" + name);
  return {bytes.begin(), bytes.end()};
}

TEST(MetalSource, TextsAreTheFilesOfThisFolder) {
  EXPECT_EQ(header_text(), file("formats.metal") + "\n" + file("matvec.metal") + "\n" + file("matmul.metal") + "\n" +
                               file("embedding.metal") + "\n");
  EXPECT_EQ(body_text({GgmlType::kQ5_K, Op::kMatvec, true}),
            "using Format = gguf::Q5_K;\n" + file("matvec_body.metal"));
  EXPECT_EQ(body_text({GgmlType::kQ6_K, Op::kMatmul, false}),
            "using Format = gguf::Q6_K;\nconst gguf::NoBias bias{};\n" + file("matmul_body.metal"));
  EXPECT_EQ(body_text({GgmlType::kQ4_K, Op::kEmbedding}),
            "using Format = gguf::Q4_K;\n" + file("embedding_body.metal"));
}

TEST(MetalSource, TextsOfTheCompressedCache) {
  EXPECT_EQ(tq_header_text(), file("tq4.metal") + "\n");
  EXPECT_EQ(tq_body_text(TqOp::kNorm), file("tq_norm_body.metal"));
  EXPECT_EQ(tq_body_text(TqOp::kCompress), file("tq4_compress_body.metal"));
  EXPECT_EQ(tq_body_text(TqOp::kDequantize), file("tq_dequant_body.metal"));
  for (const TqOp op : {TqOp::kNorm, TqOp::kCompress, TqOp::kDequantize})
    for (const char* parameter : {"_shape", "_strides", "_ndim"})
      EXPECT_EQ(tq_body_text(op).find(parameter), std::string_view::npos);
}

// MLX adds a parameter for every `<input>_shape`, `_strides` and `_ndim` it finds in a body: those the emulator passes.
TEST(MetalSource, BodiesAskForTheParametersTheyAreGiven) {
  const auto mentions = [](Op op, std::string_view text) {
    return body_text({GgmlType::kQ4_K, op}).find(text) != std::string::npos;
  };
  EXPECT_TRUE(mentions(Op::kMatmul, "x_shape"));
  EXPECT_TRUE(mentions(Op::kMatmul, "x_ndim"));
  EXPECT_TRUE(mentions(Op::kEmbedding, "weight_shape"));
  EXPECT_FALSE(mentions(Op::kMatvec, "_shape"));
  for (const Op op : {Op::kMatvec, Op::kMatmul, Op::kEmbedding}) EXPECT_FALSE(mentions(op, "_strides"));
}

TEST(MetalSource, FormatsWithKernels) {
  EXPECT_TRUE(has_kernels(GgmlType::kQ4_K) && has_kernels(GgmlType::kQ5_K) && has_kernels(GgmlType::kQ6_K));
  EXPECT_FALSE(has_kernels(GgmlType::kQ8_0) || has_kernels(GgmlType::kQ3_K));
}

// gguf_kernels.metal wraps the same files, so that what a Mac compiles is what programs carry.
TEST(MetalSource, TheFileForMacsIncludesEveryPart) {
  const std::string all = file("gguf_kernels.metal");
  for (const char* part : {"formats", "matvec", "matmul", "embedding", "matvec_body", "matmul_body", "embedding_body"})
    EXPECT_NE(all.find("#include \"" + std::string(part) + ".metal\"\n"), std::string::npos) << part;
  const std::string tq = file("tq_kernels.metal");
  for (const char* part : {"tq4", "tq_norm_body", "tq4_compress_body", "tq_dequant_body"})
    EXPECT_NE(tq.find("#include \"" + std::string(part) + ".metal\"\n"), std::string::npos) << part;
}

}  // namespace
}  // namespace tessera::kernels::metal
