#include "runtime/cache_geometry.h"

#include "ops/ops_testing.h"
#include "runtime/execute.h"

namespace tessera::runtime {
namespace {

using namespace ops::testing;
using namespace program;
using ops::Tensor;

ConstantTensor int32s(const std::vector<int32_t>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {DType::kI32, {static_cast<int32_t>(values.size())}, {bytes.begin(), bytes.end()}};
}

// out = attention of (q, k, v) over layer 1 of a cache that the host owns.
Program attending_program() {
  Program p;
  p.n_inputs = 4;
  p.n_outputs = 1;
  p.chains = {{UpdateAndAttend{Tid{0}, Tid{1}, Tid{2}, Tid{3}, {{4}}, 1, 0.5f, std::nullopt}}};
  for (uint32_t i = 0; i < 4; ++i) p.input_map.push_back({i, SlotType::kTensor});
  p.output_map = {{4, SlotType::kTensor}};
  const TensorMeta step{{{1}, {2}, {-1, 1, 4}, {8}}, DType::kF32};
  p.tensor_meta = {step, step, step, {{{-1, 1, 4}, {1}}, DType::kI64}, step};
  const IoTensor io{DType::kF32, {1, 2, 4, 8}, true};
  p.inputs = {io, io, io, {DType::kI64, {4, 1}, true}};
  p.outputs = {io};
  p.constant_methods["get_n_caches"] = {int64_t{2}};
  p.constant_methods["get_kv_heads"] = {int32s({1, 2})};
  p.constant_methods["get_head_dims"] = {int32s({4, 8})};
  p.constant_methods["get_windows"] = {int32s({6, 0})};
  p.constant_methods["get_prefill_chunk_size"] = {int64_t{3}};
  p.constant_methods["get_max_ctx_len"] = {int64_t{64}};
  return p;
}

TEST(CacheGeometry, IsWhatTheConstantMethodsSay) {
  const Program p = attending_program();
  EXPECT_TRUE(needs_off_graph_cache(p));
  EXPECT_FALSE(needs_off_graph_cache(Program{}));
  const auto config = cache_config(p, std::nullopt, DType::kF16);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->capacity, 64);
  EXPECT_EQ(config->n_layers, 2);
  EXPECT_EQ(config->max_write, 3);
  EXPECT_EQ(config->kv_dtype, DType::kF16);
  ASSERT_EQ(config->layers.size(), 2u);
  EXPECT_EQ(config->layers[0].window, 6);
  EXPECT_EQ(config->layers[0].n_kv_heads, 1);
  EXPECT_EQ(config->layers[1].window, 0);
  EXPECT_EQ(config->layers[1].head_dim, 8);
  EXPECT_EQ(cache_config(p, 16, DType::kF16)->capacity, 16);
}

TEST(CacheGeometry, NamesTheMethodThatIsMissingOrWrong) {
  for (const char* method : {"get_n_caches", "get_kv_heads", "get_head_dims", "get_windows", "get_max_ctx_len"}) {
    Program p = attending_program();
    p.constant_methods.erase(method);
    const auto config = cache_config(p, std::nullopt, DType::kF32);
    ASSERT_FALSE(config) << method;
    EXPECT_NE(config.error().message.find(method), std::string::npos) << config.error().message;
  }
  Program p = attending_program();
  p.constant_methods["get_windows"] = {int32s({6, 0, 0})};
  expect_error(cache_config(p, std::nullopt, DType::kF32), ErrorCode::kInvalidFormat, "get_windows");
  p = attending_program();
  p.constant_methods["get_n_caches"] = {int64_t{-1}};
  expect_error(cache_config(p, std::nullopt, DType::kF32), ErrorCode::kInvalidFormat, "get_n_caches");
}

// A flat layer in two steps gives what one step over everything gives.
TEST(CacheGeometry, AProgramRunsOnTheCacheItDescribes) {
  const Program p = attending_program();
  std::mt19937_64 rng(5);
  const Shape shape{1, 2, 4, 8};
  const Tensor q = random(rng, DType::kF32, shape), k = random(rng, DType::kF32, shape),
               v = random(rng, DType::kF32, shape);
  const auto rows = [](const Tensor& x, int64_t begin, int64_t end) {
    std::vector<double> out;
    for (int64_t h = 0; h < 2; ++h)
      for (int64_t t = begin; t < end; ++t)
        for (int64_t d = 0; d < 8; ++d) out.push_back(at(x, {0, h, t, d}));
    return f32({1, 2, end - begin, 8}, out);
  };
  const auto steps = [&](std::vector<int64_t> cuts) {
    auto cache = OffGraphCache::create(cache_config(p, std::nullopt, DType::kF32).value()).value();
    auto execution = Execution::create(p, {.cache = &cache});
    EXPECT_TRUE(execution.has_value()) << execution.error().message;
    std::vector<Tensor> out;
    for (size_t i = 0; i + 1 < cuts.size(); ++i) {
      const int64_t a = cuts[i], b = cuts[i + 1];
      std::vector<double> positions;
      for (int64_t t = a; t < b; ++t) positions.push_back(static_cast<double>(t));
      const std::vector<Argument> inputs{rows(q, a, b), rows(k, a, b), rows(v, a, b), i64({b - a, 1}, positions)};
      const auto result = execution->run(inputs);
      EXPECT_TRUE(result.has_value()) << result.error().message;
      out.push_back(std::get<Tensor>((*result)[0]));
    }
    return out;
  };
  const auto whole = steps({0, 4}), parts = steps({0, 3, 4});
  expect_same(parts[0], rows(whole[0], 0, 3));
  expect_same(parts[1], rows(whole[0], 3, 4));

  auto none = Execution::create(p, {});
  const std::vector<Argument> inputs{q, k, v, i64({4, 1}, {0, 1, 2, 3})};
  expect_error(none->run(inputs), ErrorCode::kInvalidArgument, "outside the graph");
}

}  // namespace
}  // namespace tessera::runtime
