#include "runtime/off_graph_cache.h"

#include "ops/join.h"
#include "ops/sdpa.h"
#include "ops/slice.h"
#include "runtime/interpreter_testing.h"
#include "test_util.h"

namespace tessera::runtime {
namespace {

using namespace ops::testing;
using ops::Tensor;
using runtime::testing::Machine;
using tessera::testing::fresh_rng;
constexpr auto kBad = ErrorCode::kInvalidArgument;
constexpr auto kRange = ErrorCode::kOutOfRange;

OffGraphCache make_cache(int64_t window, std::optional<int64_t> max_write, int64_t capacity = 64, int64_t n_layers = 1,
                         int64_t initial = 3) {
  OffGraphCache::Config config;
  config.capacity = capacity;
  config.n_layers = n_layers;
  config.layers = {{window, 2, 4}};
  config.kv_dtype = DType::kF32;
  config.initial_capacity = initial;
  config.max_write = max_write;
  return OffGraphCache::create(config).value();
}

Tensor tokens(const Tensor& x, int64_t begin, int64_t end) { return ops::slice(x, 2, begin, end, 1).value(); }

program::UpdateAndAttend attend_node(Machine& m, const Tensor& q, const Tensor& k, const Tensor& v, int64_t position) {
  return {m.tensor(q), m.tensor(k), m.tensor(v), m.tensor(i64({1, 1}, {static_cast<double>(position)})),
          m.out(),     0,           0.5f,        std::nullopt};
}

// Steps of any size must equal brute force over everything seen so far.
void check_steps(OffGraphCache& cache, int64_t window, const std::vector<int64_t>& steps) {
  auto rng = fresh_rng();
  int64_t total = 0;
  for (int64_t n : steps) total += n;
  const Tensor q = random(rng, DType::kF32, {1, 4, total, 4}), k = random(rng, DType::kF32, {1, 2, total, 4}),
               v = random(rng, DType::kF32, {1, 2, total, 4});
  int64_t position = 0;
  for (int64_t n : steps) {
    Machine m;
    m.cache = &cache;
    const int64_t end = position + n;
    const auto found =
        m.run(attend_node(m, tokens(q, position, end), tokens(k, position, end), tokens(v, position, end), position));
    const Tensor expected =
        ops::sliding_attention(tokens(q, position, end), tokens(k, 0, end), tokens(v, 0, end), 0.5f, window).value();
    expect_tensor(found, DType::kF32, expected.shape, ops::to_doubles(expected), 2);
    position = end;
    EXPECT_EQ(cache.length(), position);
  }
}

TEST(OffGraphCache, RingEqualsBruteForce) {
  OffGraphCache ring = make_cache(4, 3);
  check_steps(ring, 4, {3, 1, 2, 3, 1, 3, 1, 1, 1, 1, 1, 3, 3});
  OffGraphCache by_window = make_cache(5, std::nullopt);  // max_write defaults to the window
  check_steps(by_window, 5, {5, 5, 1, 4, 5, 2});
  OffGraphCache narrow = make_cache(1, 1);
  check_steps(narrow, 1, {1, 1, 1});
}

TEST(OffGraphCache, FlatGrows) {
  OffGraphCache flat = make_cache(0, std::nullopt);
  check_steps(flat, 0, {2, 1, 5, 1, 20, 1, 34});
  OffGraphCache empty_at_first = make_cache(0, std::nullopt, 64, 1, 0);
  check_steps(empty_at_first, 0, {1, 1, 1});
}

TEST(OffGraphCache, StepsThatDoNotFit) {
  auto rng = fresh_rng();
  OffGraphCache ring = make_cache(4, 3, 10);
  const auto kv = [&](int64_t n) { return random(rng, DType::kF32, {1, 2, n, 4}); };
  expect_error(ring.update(0, 0, kv(4), kv(4)), kRange, "the ring takes 3");
  expect_error(ring.update(1, 0, kv(1), kv(1)), kRange, "layer 1 of 1");
  expect_error(ring.update(0, 1, kv(1), kv(1)), kRange, "leaves a gap");
  expect_error(ring.update(0, -1, kv(1), kv(1)), kRange, "do not fit");
  expect_error(ring.update(0, 9, kv(2), kv(2)), kRange, "do not fit a cache of 10");
  expect_error(ring.update(0, 0, kv(0), kv(0)), kBad, "no tokens");
  expect_error(ring.update(0, 0, kv(2), kv(1)), kBad, "must have shape");
  expect_error(ring.update(0, 0, random(rng, DType::kF32, {1, 1, 2, 4}), kv(2)), kBad, "must have shape");
  EXPECT_EQ(ring.length(), 0);
}

TEST(OffGraphCache, RewindWithinWhatTheRingHolds) {
  auto rng = fresh_rng();
  const Tensor k = random(rng, DType::kF32, {1, 2, 12, 4}), v = random(rng, DType::kF32, {1, 2, 12, 4});
  OffGraphCache ring = make_cache(4, 3);  // 6 slots
  for (int64_t p = 0; p < 10; ++p) ASSERT_TRUE(ring.update(0, p, tokens(k, p, p + 1), tokens(v, p, p + 1)).has_value());
  expect_error(ring.rewind(11), kRange, "10 to 11");
  expect_error(ring.rewind(6), kRange, "evicted");  // positions 4 .. 9 are held, a token at 6 needs 3
  ASSERT_TRUE(ring.rewind(7).has_value());
  EXPECT_EQ(ring.length(), 7);
  const auto view = ring.update(0, 7, tokens(k, 7, 8), tokens(v, 7, 8));
  ASSERT_TRUE(view.has_value());
  expect_same(view->k, tokens(k, 4, 8));
  expect_same(view->v, tokens(v, 4, 8));
  expect_error(ring.rewind(5), kRange, "evicted");
  ring.clear();
  EXPECT_EQ(ring.length(), 0);
  EXPECT_TRUE(ring.rewind(0).has_value());
  EXPECT_TRUE(ring.update(0, 0, tokens(k, 0, 3), tokens(v, 0, 3)).has_value());
}

TEST(OffGraphCache, LayersShareOneLength) {
  auto rng = fresh_rng();
  OffGraphCache cache = make_cache(0, std::nullopt, 8, 2);
  const Tensor kv = random(rng, DType::kF32, {1, 2, 3, 4});
  ASSERT_TRUE(cache.update(0, 0, kv, kv).has_value());
  EXPECT_EQ(cache.length(), 3);
  const auto second = cache.update(1, 0, tokens(kv, 0, 2), tokens(kv, 0, 2));
  ASSERT_TRUE(second.has_value());
  EXPECT_TRUE(second->causal);
  EXPECT_EQ(second->k.shape[2], 2);
  EXPECT_EQ(cache.length(), 3);
}

TEST(OffGraphCache, StoresInItsOwnDType) {
  auto rng = fresh_rng();
  OffGraphCache::Config config{8, 1, {{0, 2, 4}}, DType::kBF16, 512, std::nullopt};
  OffGraphCache cache = OffGraphCache::create(config).value();
  const Tensor k = random(rng, DType::kF32, {1, 2, 1, 4});
  const auto view = cache.update(0, 0, k, k);
  ASSERT_TRUE(view.has_value());
  EXPECT_EQ(view->k.dtype, DType::kBF16);
  EXPECT_FALSE(view->causal);  // one token sees everything
  expect_same(view->k, ops::cast(k, DType::kBF16).value());
}

TEST(OffGraphCache, BadConfigurations) {
  const OffGraphCache::Layer layer{0, 2, 4};
  const auto create = [](int64_t capacity, int64_t n_layers, std::vector<OffGraphCache::Layer> layers) {
    return OffGraphCache::create({capacity, n_layers, std::move(layers), DType::kF32, 512, std::nullopt});
  };
  expect_error(create(0, 1, {layer}), kBad, "0 tokens");
  expect_error(create(8, 0, {layer}), kBad, "0 layers");
  expect_error(create(8, 3, {layer, layer}), kBad, "2 layer descriptions for 3");
  expect_error(create(8, 1, {{-1, 2, 4}}), kBad, "window -1");
  expect_error(OffGraphCache::create({8, 1, {layer}, DType::kI32, 512, std::nullopt}), kBad, "cache of i32");
  expect_error(OffGraphCache::create({8, 1, {layer}, DType::kF32, 512, 0}), kBad, "max_write of 0");
}

TEST(UpdateAndAttend, NeedsACacheALayerAndAScale) {
  auto rng = fresh_rng();
  Machine m;
  const Tensor q = random(rng, DType::kBF16, {1, 2, 1, 4});
  auto node = attend_node(m, q, q, q, 0);
  expect_error(m.execute(node), kBad, "outside the graph");
  OffGraphCache cache = make_cache(0, std::nullopt);
  m.cache = &cache;
  node.layer_id.reset();
  expect_error(m.execute(node), kBad, "mandatory");
  node.layer_id = 0;
  node.scale.reset();
  expect_error(m.execute(node), kBad, "mandatory");
  node.scale = 1.0f;
  EXPECT_EQ(m.run(node)->dtype, DType::kBF16);  // q's
  node.out_dtype = DType::kF32;
  EXPECT_EQ(m.run(node)->dtype, DType::kF32);
  node.position = m.tensor(f32({1}, {0}));
  expect_error(m.execute(node), kBad, "position must be");
}

}  // namespace
}  // namespace tessera::runtime
