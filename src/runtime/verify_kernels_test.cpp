#include "runtime/verify_kernels.h"

#include <gtest/gtest.h>

#include "kernels/metal/source.h"
#include "test_util.h"

namespace tessera::runtime {
namespace {

using namespace program;
using kernels::metal::Op;
using kernels::metal::TqOp;
using quant::GgmlType;

TensorMeta matrix(DType dtype, int32_t rows, int32_t columns) { return {{{rows}, {columns}}, dtype}; }

struct Argument {
  const char* name;
  int8_t kind;
  int32_t value;
};

// One mat-mat of Q4_K, 5 x 70 x 512 in bf16 with a bias, as another exporter might write it.
struct OneKernel {
  Program program;
  MetalKernel node;

  OneKernel() {
    program.n_constants = 3;
    program.tensor_meta = {matrix(DType::kBF16, 5, 512), matrix(DType::kU8, 70, 2 * 144), {{{70}}, DType::kBF16}};
    node.name = String("gguf_q4k_matmul");
    node.header = String(std::string(kernels::metal::header_text()));
    node.source = String(kernels::metal::body_text({GgmlType::kQ4_K, Op::kMatmul, true}));
    node.inputs = {Tid{0}, Tid{1}, Tid{2}};
    node.input_names = {String("x"), String("weight"), String("bias")};
    node.outputs = {{{3}}};
    node.output_names = {String("out")};
    node.output_shapes_flat = {5, 70};
    node.output_shape_lengths = {2};
    node.output_dtypes = {DType::kBF16};
    node.grid = {128, 2, 1};
    node.threadgroup = {128, 1, 1};
    for (const Argument& a : {Argument{"InT", 2, 15}, {"OutT", 2, 15}, {"N", 0, 70}, {"K", 0, 512}}) {
      node.template_arg_names.push_back(String(a.name));
      node.template_arg_kinds.push_back(a.kind);
      node.template_arg_values.push_back(a.value);
    }
  }

  KernelVerdict verdict(int uses = 1) {
    program.chains = {Chain(static_cast<size_t>(uses), Node(node))};
    ThreadPool pool(1);
    std::mt19937_64 rng = tessera::testing::fresh_rng();
    auto verdicts = verify_kernels(program, pool, rng);
    EXPECT_EQ(verdicts.size(), 1u);
    verdicts[0].kernel.first = nullptr;  // of a program that is gone
    return verdicts[0];
  }
};

void expect_problem(const std::string& text, const KernelVerdict& verdict) {
  EXPECT_NE(verdict.problem.find(text), std::string::npos) << verdict.problem;
  EXPECT_EQ(verdict.n_values, 0u);
}

TEST(VerifyKernels, ARightKernelIsRunOnceHoweverOftenItIsUsed) {
  const KernelVerdict verdict = OneKernel().verdict(3);
  EXPECT_EQ(verdict.problem, "");
  EXPECT_EQ(verdict.kernel.uses, 3u);
  EXPECT_EQ(verdict.rows, 5);
  EXPECT_EQ(verdict.n_values, 5u * 70u);
  EXPECT_GT(verdict.largest_error, 0);
  EXPECT_LE(verdict.error_of_bound, 1);
}

TEST(VerifyKernels, OpenRowsAreTriedOverTwoTiles) {
  OneKernel one;
  one.node.output_shapes_flat[0] = Vid{0};
  one.node.grid[0] = Vid{1};
  const KernelVerdict verdict = one.verdict();
  EXPECT_EQ(verdict.problem, "");
  EXPECT_EQ(verdict.rows, 33);
}

TEST(VerifyKernels, OtherTextsAreRefused) {
  OneKernel source;
  source.node.source = String(source.node.source.str() + " ");
  expect_problem("its source has hash ", source.verdict());
  OneKernel header;
  header.node.header.reset();
  expect_problem("its header has hash ", header.verdict());
  OneKernel no_bias;  // the text of a kernel with bias, without one
  no_bias.node.inputs.pop_back();
  expect_problem("its source has hash ", no_bias.verdict());
  OneKernel name;
  name.node.name = String("gguf_q8_0_matmul");
  expect_problem("no Metal text of that name", name.verdict());
}

TEST(VerifyKernels, WhatDoesNotFitTheKernelIsNamed) {
  OneKernel n;
  n.node.template_arg_values[2] = 71;
  expect_problem("template argument N is 71, the kernel needs 70", n.verdict());
  OneKernel missing;
  missing.node.template_arg_names[3] = String("k");
  expect_problem("template argument K is missing", missing.verdict());
  OneKernel dtype;
  dtype.node.template_arg_values[0] = 4;
  expect_problem("template argument InT has dtype code 4", dtype.verdict());
  OneKernel grid;
  grid.node.grid[1] = 1;  // the last 6 rows would not be computed
  expect_problem("its grid is 1 along axis 1, the kernel needs 2", grid.verdict());
  OneKernel threads;
  threads.node.threadgroup[0] = 64;
  expect_problem("its threadgroup is 64 along axis 0, the kernel needs 128", threads.verdict());
  OneKernel output;
  output.node.output_dtypes[0] = DType::kF32;
  expect_problem("its output is not of the dtype", output.verdict());
  OneKernel none;
  none.node.output_shapes_flat[0] = 0;
  expect_problem("its output has 0 rows, expected 1 to 65536", none.verdict());
  OneKernel many;
  many.node.output_shapes_flat = {int64_t{1} << 40, int64_t{1} << 40, 70};
  many.node.output_shape_lengths = {3};
  expect_problem("its output has too many rows", many.verdict());
  OneKernel wide;
  wide.node.output_shapes_flat[0] = 65536;
  wide.program.tensor_meta[1].shape[0].value = 1 << 20;
  wide.node.template_arg_values[2] = 1 << 20;
  expect_problem("65536 rows of 1049088 values: more than", wide.verdict());
  OneKernel huge;
  huge.program.tensor_meta[1].shape[0].value = 1 << 30;
  expect_problem("its weight has 1073741824 rows of 288 bytes: more than", huge.verdict());
  OneKernel weight;
  weight.program.tensor_meta[1].shape[1].value = 100;
  expect_problem("no u8 matrix of whole Q4_K blocks", weight.verdict());
}

// ---- the kernels of a compressed cache

struct TqKernel {
  Program program;
  MetalKernel node;

  TqKernel(TqOp op, int32_t vectors, int32_t dim) {
    program.n_constants = 3;
    node.header = String(std::string(kernels::metal::tq_header_text()));
    node.source = String(std::string(kernels::metal::tq_body_text(op)));
    node.outputs = {{{3}}};
    node.output_names = {String(op == TqOp::kNorm ? "norms" : "out")};
    node.output_shape_lengths = {2};
    node.grid = {32, 1, vectors};
    node.threadgroup = {32, 1, 1};
    if (op == TqOp::kNorm) set("tq_norm", {"x"}, {vectors, 1}, DType::kF16, "D", dim);
    if (op == TqOp::kCompress) {
      set("tq4_compress", {"values", "boundaries"}, {vectors, dim / 2}, DType::kU8, "B", 15);
      node.grid = {vectors * dim / 2, 1, 1};
    }
    if (op == TqOp::kDequantize)
      set("tq_dequant", {"packed", "norms", "centroids"}, {vectors, dim}, DType::kF16, "D", dim);
    program.tensor_meta = {matrix(DType::kF16, vectors, dim), {{{15}}, DType::kBF16}, {{{16}}, DType::kF32}};
    if (op == TqOp::kDequantize) program.tensor_meta[1] = matrix(DType::kBF16, vectors, 1);
  }
  void set(const char* name, std::vector<const char*> inputs, std::vector<IntOrVid> shape, DType out,
           const char* argument, int32_t value) {
    node.name = String(name);
    for (uint32_t i = 0; i < inputs.size(); ++i) {
      node.inputs.push_back(Tid{i});
      node.input_names.push_back(String(inputs[i]));
    }
    node.output_shapes_flat = shape;
    node.output_dtypes = {out};
    node.template_arg_names = {String("InT"), String(argument)};
    node.template_arg_kinds = {2, 0};
    node.template_arg_values = {static_cast<int32_t>(DType::kF16), value};
  }
  KernelVerdict verdict() {
    program.chains = {{Node(node)}};
    ThreadPool pool(1);
    std::mt19937_64 rng = tessera::testing::fresh_rng();
    auto verdicts = verify_kernels(program, pool, rng);
    EXPECT_EQ(verdicts.size(), 1u);
    verdicts[0].kernel.first = nullptr;
    return verdicts[0];
  }
};

TEST(VerifyKernels, KernelsOfACompressedCache) {
  for (const TqOp op : {TqOp::kNorm, TqOp::kCompress, TqOp::kDequantize}) {
    const KernelVerdict verdict = TqKernel(op, 6, 128).verdict();
    EXPECT_EQ(verdict.problem, "");
    EXPECT_EQ(verdict.rows, 6);
    EXPECT_EQ(verdict.n_values, op == TqOp::kNorm ? 6u : op == TqOp::kCompress ? 6u * 64 : 6u * 128);
    TqKernel open(op, 6, 64);
    open.node.output_shapes_flat[0] = Vid{0};
    open.node.grid[op == TqOp::kCompress ? 0 : 2] = Vid{1};
    EXPECT_EQ(open.verdict().problem, "");
    EXPECT_EQ(open.verdict().rows, 9);
  }
}

TEST(VerifyKernels, WhatDoesNotFitACompressedCacheIsNamed) {
  TqKernel text(TqOp::kNorm, 6, 128);
  text.node.source = String(std::string(kernels::metal::tq_body_text(TqOp::kCompress)));
  expect_problem("its source has hash ", text.verdict());
  TqKernel d(TqOp::kDequantize, 6, 128);
  d.node.template_arg_values[1] = 64;
  expect_problem("template argument D is 64, the kernel needs 128", d.verdict());
  TqKernel b(TqOp::kCompress, 6, 128);
  b.node.template_arg_values[1] = 16;
  expect_problem("template argument B is 16, the kernel needs 15", b.verdict());
  TqKernel grid(TqOp::kCompress, 6, 128);
  grid.node.grid[0] = 6 * 128;
  expect_problem("its grid is 768 along axis 0, the kernel needs 384", grid.verdict());
  TqKernel none(TqOp::kNorm, 6, 128);
  none.node.output_shapes_flat[0] = -6;
  expect_problem("its output has -6 rows", none.verdict());
  expect_problem("vectors of 96 values", TqKernel(TqOp::kNorm, 6, 96).verdict());
}

}  // namespace
}  // namespace tessera::runtime
