#include "runtime/custom_kernels.h"

#include "ops/gguf_embedding.h"
#include "ops/gguf_linear.h"
#include "ops/tq_cache.h"
#include "quant/tq4.h"
#include "runtime/interpreter_testing.h"
#include "test_util.h"

namespace tessera::runtime {
namespace {

using namespace ops::testing;
using namespace program;
using ops::Tensor;
using runtime::testing::Machine;
using tessera::testing::fresh_rng;

struct Template {
  const char* name;
  int8_t kind;
  int32_t value;
};
constexpr int32_t code(DType dtype) { return static_cast<int32_t>(dtype); }

MetalKernel kernel_node(const std::string& name, std::vector<Tid> inputs, Out out, std::vector<IntOrVid> shape,
                        DType dtype, const std::vector<Template>& args) {
  MetalKernel node;
  node.name = String(name);
  node.source = String("body");
  node.inputs.assign(inputs.begin(), inputs.end());
  for (size_t i = 0; i < inputs.size(); ++i) node.input_names.push_back(String(fmt::format("in{}", i)));
  node.outputs = {out};
  node.output_names = {String("out")};
  node.grid = {32, 1, 1};
  node.threadgroup = {32, 1, 1};
  node.output_shape_lengths = {static_cast<int32_t>(shape.size())};
  node.output_shapes_flat = std::move(shape);
  node.output_dtypes = {dtype};
  for (const Template& arg : args) {
    node.template_arg_names.push_back(String(arg.name));
    node.template_arg_kinds.push_back(arg.kind);
    node.template_arg_values.push_back(arg.value);
  }
  return node;
}

Tensor random_weight(std::mt19937_64& rng, const quant::Format& format, int64_t n, int64_t k) {
  const Tensor values = random(rng, DType::kF32, {n, k}, -1, 1);
  Tensor out = Tensor::allocate(DType::kU8, {n, format.bytes_for(k)}).value();
  for (int64_t i = 0; i < n; ++i) format.quantize(values.as<float>() + i * k, k, out.data + i * out.shape[1]);
  return out;
}

TEST(CustomKernels, NamesOfGgufKernels) {
  const auto matvec = parse_gguf_kernel("gguf_q4k_matvec");
  ASSERT_TRUE(matvec.has_value());
  EXPECT_EQ(matvec->format->name, "Q4_K");
  EXPECT_EQ(matvec->op, GgufKernelName::Op::kMatvec);
  EXPECT_EQ(parse_gguf_kernel("gguf_q6k_matmul")->op, GgufKernelName::Op::kMatmul);
  EXPECT_EQ(parse_gguf_kernel("gguf_q8_0_embedding")->op, GgufKernelName::Op::kEmbedding);
  for (const char* name : {"", "gguf_", "gguf_q4k", "gguf_q9k_matvec", "q4k_matvec", "gguf__matmul"})
    EXPECT_FALSE(parse_gguf_kernel(name).has_value()) << name;
  for (const quant::Format& format : quant::all_formats())
    for (const char* op : {"matvec", "matmul", "embedding"})
      EXPECT_NE(reference_kernels().find(fmt::format("gguf_{}_{}", format.kernel_name, op)), nullptr) << format.name;
}

TEST(CustomKernels, LinearsAndEmbeddingsThroughTheNode) {
  auto rng = fresh_rng();
  for (const char* name : {"q4k", "q5k", "q6k", "q8_0", "q4_0", "f16"}) {
    SCOPED_TRACE(name);
    const quant::Format& format = *quant::find_format(std::string_view(name));
    Machine m;
    const Tensor weight = random_weight(rng, format, 6, 256), x = random(rng, DType::kBF16, {1, 3, 256}),
                 bias = random(rng, DType::kBF16, {6});
    const std::vector<Template> full{
        {"InT", 2, code(DType::kBF16)}, {"OutT", 2, code(DType::kF32)}, {"N", 0, 6}, {"K", 0, 256}};
    const std::vector<Template> one_dtype{{"InT", 2, code(DType::kBF16)}, {"N", 0, 6}, {"K", 0, 256}, {"NSG", 0, 2}};
    const Tid tx = m.tensor(x), tw = m.tensor(weight), tb = m.tensor(bias);
    const Vid rows = m.value(int32_t{3});
    expect_same(
        m.run(kernel_node(fmt::format("gguf_{}_matmul", name), {tx, tw, tb}, m.out(), {1, rows, 6}, DType::kF32, full)),
        ops::gguf_linear(x, weight, format, &bias, DType::kF32).value());
    expect_same(
        m.run(kernel_node(fmt::format("gguf_{}_matvec", name), {tx, tw}, m.out(), {1, 3, 6}, DType::kBF16, one_dtype)),
        ops::gguf_linear(x, weight, format, nullptr, DType::kBF16).value());
    const Tensor ids = i64({2}, {5, 0});
    const std::vector<Template> lookup{{"OutT", 2, code(DType::kBF16)}, {"K", 0, 256}, {"V", 0, 6}};
    expect_same(m.run(kernel_node(fmt::format("gguf_{}_embedding", name), {tw, m.tensor(ids)}, m.out(), {2, 256},
                                  DType::kBF16, lookup)),
                ops::gguf_embedding(weight, format, ids, DType::kBF16).value());
  }
}

TEST(CustomKernels, ContractIsChecked) {
  auto rng = fresh_rng();
  Machine m;
  const quant::Format& format = *quant::find_format("q8_0");
  const Tid x = m.tensor(random(rng, DType::kF32, {1, 64})), w = m.tensor(random_weight(rng, format, 4, 64));
  const std::vector<Template> good{
      {"InT", 2, code(DType::kF32)}, {"OutT", 2, code(DType::kF32)}, {"N", 0, 4}, {"K", 0, 64}};
  const auto with = [&](size_t i, Template arg) {
    auto args = good;
    args[i] = arg;
    return kernel_node("gguf_q8_0_matvec", {x, w}, m.out(), {1, 4}, DType::kF32, args);
  };
  EXPECT_TRUE(m.execute(with(0, good[0])).has_value());
  expect_error(m.execute(with(0, {"InT", 2, code(DType::kF16)})), ErrorCode::kInvalidArgument,
               "InT of gguf_q8_0_matvec is f16");
  expect_error(m.execute(with(1, {"OutT", 2, code(DType::kF16)})), ErrorCode::kInvalidArgument, "OutT");
  expect_error(m.execute(with(2, {"N", 0, 5})), ErrorCode::kInvalidArgument, "N of gguf_q8_0_matvec is 5");
  expect_error(m.execute(with(3, {"K", 0, 32})), ErrorCode::kInvalidArgument, "K of gguf_q8_0_matvec is 32");
  expect_error(m.execute(with(3, {"K", 2, 6})), ErrorCode::kInvalidArgument, "has kind 2");
  expect_error(m.execute(with(3, {"J", 0, 64})), ErrorCode::kNotFound, "template argument K");
  expect_error(m.execute(kernel_node("gguf_q8_0_matvec", {x, w}, m.out(), {4}, DType::kF32, good)),
               ErrorCode::kInvalidArgument, "the node declares f32 [4]");
  expect_error(m.execute(kernel_node("gguf_q8_0_matvec", {x}, m.out(), {1, 4}, DType::kF32, good)),
               ErrorCode::kInvalidArgument, "takes 2 to 3 inputs");
  expect_error(m.execute(kernel_node("my_kernel", {x, w}, m.out(), {1, 4}, DType::kF32, good)),
               ErrorCode::kNotImplemented, "\"my_kernel\"; known: gguf_");
}

// x -> lengths, directions -> codes, codes and lengths -> directions again, as a program with a compressed cache has
// them.
TEST(CustomKernels, CompressedCachesThroughTheNode) {
  auto rng = fresh_rng();
  Machine m;
  const auto [centroids, boundaries] = quant::tq4_codebook(64);
  const Tensor x = random(rng, DType::kBF16, {1, 3, 2, 64}, -1, 1);
  const Tid tx = m.tensor(x), bounds = m.tensor(f32({15}, {boundaries.begin(), boundaries.end()})),
            levels = m.tensor(f32({16}, {centroids.begin(), centroids.end()}));
  const Template in{"InT", 2, code(DType::kBF16)}, dim{"D", 0, 64}, b{"B", 0, 15};
  const auto norm = [&](const std::vector<Template>& args, DType dtype = DType::kBF16) {
    return kernel_node("tq_norm", {tx}, m.out(), {1, 3, 2, 1}, dtype, args);
  };
  const Tensor norms = *m.run(norm({in, dim}));
  expect_same(norms, ops::tq_norm(x).value());
  const auto compress = [&](const std::vector<Template>& args) {
    return kernel_node("tq4_compress", {tx, bounds}, m.out(), {1, 3, 2, 32}, DType::kU8, args);
  };
  const Tensor packed = *m.run(compress({in, b}));
  const Tid tp = m.tensor(packed), tn = m.tensor(norms);
  const auto dequantize = [&](const std::vector<Template>& args, DType dtype) {
    return kernel_node("tq_dequant", {tp, tn, levels}, m.out(), {1, 3, 2, 64}, dtype, args);
  };
  expect_same(m.run(dequantize({in, dim}, DType::kBF16)),
              ops::tq_dequant(packed, norms, f32({16}, {centroids.begin(), centroids.end()}), DType::kBF16).value());
  EXPECT_TRUE(m.run(dequantize({{"InT", 2, code(DType::kF32)}, dim}, DType::kF32)).has_value());

  expect_error(m.execute(norm({in, {"D", 0, 32}})), ErrorCode::kInvalidArgument, "D of tq_norm is 32");
  expect_error(m.execute(norm({in, dim}, DType::kF32)), ErrorCode::kInvalidArgument, "the node declares f32");
  expect_error(m.execute(norm({dim})), ErrorCode::kNotFound, "template argument InT");
  expect_error(m.execute(compress({in, {"B", 0, 16}})), ErrorCode::kInvalidArgument, "B of tq4_compress is 16");
  expect_error(m.execute(dequantize({in, dim}, DType::kF32)), ErrorCode::kInvalidArgument, "InT of tq_dequant is bf16");
  expect_error(m.execute(kernel_node("tq_dequant", {tp, tn}, m.out(), {1, 3, 2, 64}, DType::kBF16, {in, dim})),
               ErrorCode::kInvalidArgument, "takes 3 inputs");
}

TEST(CustomKernels, MalformedNodes) {
  Machine m;
  const Tid x = m.tensor(f32({1}, {1}));
  const auto good = [&] { return kernel_node("gguf_q8_0_matvec", {x}, m.out(), {1, 4}, DType::kF32, {}); };
  const auto expect_malformed = [&](auto&& change, std::string_view words) {
    MetalKernel node = good();
    change(node);
    expect_error(m.execute(node), ErrorCode::kInvalidArgument, words);
  };
  expect_malformed([](MetalKernel& n) { n.grid = {1, 1}; }, "3 sizes");
  expect_malformed([](MetalKernel& n) { n.grid[0] = Vid{7}; }, "unset");
  expect_malformed([](MetalKernel& n) { n.input_names.clear(); }, "1 inputs with 0 names");
  expect_malformed([](MetalKernel& n) { n.output_shape_lengths = {3}; }, "do not add up");
  expect_malformed([](MetalKernel& n) { n.output_shape_lengths = {1}; }, "do not add up");
  expect_malformed([](MetalKernel& n) { n.output_dtypes.clear(); }, "0 dtypes");
  expect_malformed([](MetalKernel& n) { n.template_arg_names = {String("N")}; }, "1 template names");
}

TEST(CustomKernels, ABackendPutsItsOwnUnderAName) {
  Machine m;
  CustomKernels kernels;
  kernels.add("fill", [](const KernelCall& call) -> Result<std::vector<Tensor>> {
    EXPECT_EQ(call.init_value, 2.5f);
    Tensor out = TRY(Tensor::allocate(call.outputs[0].dtype, call.outputs[0].shape));
    const double value = static_cast<double>(*call.init_value);
    for (int64_t i = 0; i < out.n_elements(); ++i) ops::store(&value, 1, out, i);
    return std::vector{out};
  });
  MetalKernel node = kernel_node("fill", {m.tensor(f32({1}, {0}))}, m.out(), {2}, DType::kF32, {});
  node.init_value = 2.5f;
  ExecutionContext context{m.program(), m.slots(), nullptr, kernels};
  ASSERT_TRUE(execute(node, context).has_value());
  expect_same(m.slots().get(m.out()), f32({2}, {2.5, 2.5}));
}

}  // namespace
}  // namespace tessera::runtime
