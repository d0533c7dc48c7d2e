// Shape rules and well-formedness, on graphs written as text.
#include <gtest/gtest.h>

#include "graph/builder.h"
#include "graph/text.h"

namespace tessera::graph {
namespace {

// The message of verify(), or "well formed".
std::string verdict(std::string_view text) {
  const auto graph = parse(text);
  EXPECT_TRUE(graph) << graph.error().message;
  const Status status = verify(*graph);
  return status ? "well formed" : status.error().message;
}

// `text` says one of the parts of the message: what matters is that the offender is named.
void expect_says(std::string_view text, std::string_view part) {
  EXPECT_NE(verdict(text).find(part), std::string::npos) << verdict(text) << "\ndoes not say: " << part;
}

TEST(VerifyGraph, ShapeRules) {
  struct Case {
    std::string_view declarations, node, says;
  };
  const Case cases[] = {
      {"weight w: f32[8, 4] F32\n", "%0: f32[1, T, 8] = linear(x, w)", "well formed"},
      {"weight w: f32[8, 5] F32\n", "%0: f32[1, T, 8] = linear(x, w)", "input 1 must be f32[8, 4], found f32[8, 5]"},
      {"weight w: f32[8, 4] F32\n", "%0: f32[1, T, 9] = linear(x, w)", "its result must be f32[1, T, 8]"},
      {"weight w: f16[8, 4] F16\n", "%0: f32[1, T, 8] = linear(x, w)", "input 1 must be f32[8, 4], found f16[8, 4]"},
      {"weight w: f32[5] F32\n", "%0: f32[1, T, 4] = rms_norm(x, w) eps=1", "input 1 must be f32[4]"},
      {"", "%0: f32[1, T, 3, 1] = split_heads(x) n_heads=3", "does not split into 3 heads"},
      {"weight w: f32[4] F32\n", "%0: f32[1, T, 4] = add(x, w)", "input 1 must be f32[1, T, 4]"},
      {"weight w: f32[1] F32\n", "%0: f32[1, T, 4] = mul(x, w)", "well formed"},
      {"", "%0: f32[1, T, 4] = soft_cap(x) cap=0", "cap must be positive"},
      {"", "%0: i64[1, T, 4] = cast(x) to=i64", "cannot cast to i64"},
      {"", "%0: f32[1, 4] = take_last(x)", "well formed"},
      {"", "%0: f32[1, T, 4] = gelu(x, x)", "expected 1 to 1 inputs, found 2"},
      {"", "%0: f32[1, T, 4] = gelu()", "expected 1 to 1 inputs, found 0"},
  };
  for (const Case& c : cases)
    expect_says(fmt::format("graph g\ninput x: f32[1, T, 4]\n{}{}\noutput %0\n", c.declarations, c.node), c.says);
}

constexpr std::string_view kHeads = R"(graph g
input q: f32[1, T, 4, 64]
input k: f32[1, T, 2, 64]
input input_pos: i64[T]
cache c: f32 kv_heads=2 head_dim=64 window=8
)";

std::string with_heads(std::string_view nodes) { return std::string(kHeads) + std::string(nodes); }

TEST(VerifyGraph, CachesAreWrittenOnceAndBeforeTheyAreRead) {
  const std::string write = "%0: f32[1, T, 256] = attention(q, input_pos, k, k) cache=c\n";
  const std::string read = "%1: f32[1, T, 256] = attention(q, input_pos) cache=c\n";
  EXPECT_EQ(verdict(with_heads(write + read + "output %1")), "well formed");
  expect_says(with_heads(read + write + "output %0"), "cache c is read before it is written");
  expect_says(with_heads(write + "%1: f32[1, T, 256] = attention(q, input_pos, k, k) cache=c\noutput %1"),
              "cache c is written twice");
}

TEST(VerifyGraph, AttentionAgreesWithItsCache) {
  expect_says(with_heads("%0: f32[1, T, 256] = attention(q, input_pos, q, q) cache=c\noutput %0"),
              "input 2 must be f32[1, T, 2, 64], found f32[1, T, 4, 64]");
  expect_says(with_heads("%0: f32[1, T, 256] = attention(q, input_pos)\noutput %0"), "there is no cache -1");
}

TEST(VerifyGraph, NamesTheNodeThatIsBroken) {
  auto graph = *parse(R"(graph g
input x: f32[1, T, 4]
%0: f32[1, T, 4] = gelu(x)
%1: f32[1, T, 4] = add(%0, x)
output %1
)");
  EXPECT_TRUE(verify(graph));
  Graph swapped = graph;
  std::swap(swapped.nodes[0], swapped.nodes[1]);
  EXPECT_NE(verify(swapped).error().message.find("node 0 (add): graph: reads value"), std::string::npos)
      << verify(swapped).error().message;
  Graph out_of_range = graph;
  out_of_range.nodes[1].inputs[0] = {99};
  EXPECT_FALSE(verify(out_of_range));
  Graph twice = graph;
  twice.nodes[1].output = twice.nodes[0].output;
  EXPECT_NE(verify(twice).error().message.find("defined twice"), std::string::npos);
  Graph no_output = graph;
  no_output.output = {};
  EXPECT_FALSE(verify(no_output));
}

TEST(VerifyGraph, NamesAndWeights) {
  expect_says("graph g\ninput x: f32[T]\ninput x: f32[T]\noutput x", "name 'x'");
  expect_says("graph g\nweight w: f32[2, 100] Q4_K\noutput w", "not whole Q4_K blocks");
}

TEST(GraphBuilder, TheSameWeightIsOneValue) {
  Builder builder("g");
  const auto* f32 = quant::find_format("F32");
  const ValueId first = builder.weight({.name = "w", .format = f32}, {DType::kF32, {4, 4}});
  const ValueId second = builder.weight({.name = "w", .format = f32}, {DType::kF32, {4, 4}});
  EXPECT_EQ(first, second);
  const ValueId x = builder.input("x", {DType::kF32, {1, kTokens, 4}});
  const ValueId y = builder.add(Linear{}, {builder.add(Linear{}, {x, first}), second});
  EXPECT_EQ(builder.type(y), (Type{DType::kF32, {1, kTokens, 4}}));
  EXPECT_EQ(std::move(builder).finish(y).weights.size(), 1u);
}

TEST(GraphBuilderDeathTest, AMisfitIsABug) {
  Builder builder("g");
  const ValueId x = builder.input("x", {DType::kF32, {1, kTokens, 4}});
  EXPECT_DEATH(builder.add(SplitHeads{3}, {x}), "does not split into 3 heads");
}

}  // namespace
}  // namespace tessera::graph
