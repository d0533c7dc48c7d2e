// Golden texts: graph in, pass, graph out.
#include "graph/passes/passes.h"

#include <gtest/gtest.h>

#include "graph/text.h"

namespace tessera::graph {
namespace {

// The graph after `pass`, as text. Results are renumbered by the printer. Running a pass again must change nothing.
std::string after(int (*pass)(Graph&), Graph graph, int changes) {
  EXPECT_TRUE(verify(graph)) << verify(graph).error().message;
  EXPECT_EQ(pass(graph), changes);
  EXPECT_TRUE(verify(graph)) << verify(graph).error().message;
  const std::string text = print(graph);
  pass(graph);
  EXPECT_EQ(print(graph), text) << "the pass does not settle";
  return text;
}
std::string after(int (*pass)(Graph&), std::string_view text, int changes) {
  auto graph = parse(text);
  EXPECT_TRUE(graph) << graph.error().message;
  return after(pass, std::move(*graph), changes);
}

TEST(FoldScales, MergesChainsAndDropsOnes) {
  EXPECT_EQ(after(fold_scales, R"(graph g
input x: f32[1, T, 4]
%0: f32[1, T, 4] = scale(x) factor=2
%1: f32[1, T, 4] = scale(%0) factor=4
%2: f32[1, T, 4] = scale(%1) factor=0.125
%3: f32[1, T, 4] = gelu(%2)
output %3
)",
                  3),
            R"(graph g
input x: f32[1, T, 4]
%0: f32[1, T, 4] = scale(x) factor=2
%1: f32[1, T, 4] = scale(x) factor=8
%2: f32[1, T, 4] = gelu(x)
output %2
)");
}

TEST(FoldScales, DropsAWeightThatIsOneAndKeepsAnyOther) {
  constexpr std::string_view kText = R"(graph g
input x: bf16[1, T, 4]
weight blk.0.layer_output_scale.weight: bf16[1] BF16
%0: bf16[1, T, 4] = mul(x, blk.0.layer_output_scale.weight)
%1: bf16[1, T, 4] = gelu(%0)
output %1
)";
  const auto with_bits = [&](uint16_t bits) {
    auto graph = *parse(kText);
    const auto stored = std::make_shared<const uint16_t>(bits);
    graph.weights[0].bytes = std::as_bytes(std::span(stored.get(), 1));
    graph.weights[0].owner = stored;
    return graph;
  };
  EXPECT_NE(after(fold_scales, with_bits(0x3f80), 1).find("gelu(x)"), std::string::npos);  // 1.0
  EXPECT_EQ(after(fold_scales, with_bits(0x3f81), 0), kText);                              // the next bf16
  EXPECT_EQ(after(fold_scales, kText, 0), kText) << "a weight without bytes is unknown";
}

TEST(CommonSubexpressions, ComputesTheHeadsOfKEqualVOnce) {
  EXPECT_EQ(after(common_subexpressions, R"(graph g
input k: f32[1, T, 128]
weight n: f32[64] F32
%0: f32[1, T, 2, 64] = split_heads(k) n_heads=2
%1: f32[1, T, 2, 64] = rms_norm(%0, n) eps=1e-06
%2: f32[1, T, 2, 64] = split_heads(k) n_heads=2
%3: f32[1, T, 2, 64] = rms_norm(%2) eps=1e-06
%4: f32[1, T, 2, 64] = add(%1, %3)
output %4
)",
                  1),
            R"(graph g
input k: f32[1, T, 128]
weight n: f32[64] F32
%0: f32[1, T, 2, 64] = split_heads(k) n_heads=2
%1: f32[1, T, 2, 64] = rms_norm(%0, n) eps=1e-06
%2: f32[1, T, 2, 64] = rms_norm(%0) eps=1e-06
%3: f32[1, T, 2, 64] = add(%1, %2)
output %3
)");
}

TEST(CommonSubexpressions, KeepsWhatDiffersInOneAttribute) {
  constexpr std::string_view kText = R"(graph g
input x: f32[1, T, 4]
%0: f32[1, T, 4] = rms_norm(x) eps=1e-06
%1: f32[1, T, 4] = rms_norm(x) eps=1e-05
%2: f32[1, T, 4] = add(%0, %1)
output %2
)";
  EXPECT_EQ(after(common_subexpressions, kText, 0), kText);
}

TEST(KeepLastToken, TakesTheLastRowBeforeTheHead) {
  EXPECT_EQ(after(keep_last_token, R"(graph g
input x: bf16[1, T, 256]
weight norm: bf16[256] BF16
weight head: bf16[512, 256] Q6_K
%0: bf16[1, T, 256] = rms_norm(x, norm) eps=1e-06
%1: bf16[1, T, 512] = linear(%0, head)
%2: f32[1, T, 512] = cast(%1) to=f32
%3: f32[1, T, 512] = soft_cap(%2) cap=30
output %3
)",
                  1),
            R"(graph g
input x: bf16[1, T, 256]
weight norm: bf16[256] BF16
weight head: bf16[512, 256] Q6_K
%0: bf16[1, T, 256] = rms_norm(x, norm) eps=1e-06
%1: bf16[1, 256] = take_last(%0)
%2: bf16[1, 512] = linear(%1, head)
%3: f32[1, 512] = cast(%2) to=f32
%4: f32[1, 512] = soft_cap(%3) cap=30
output %4
)");
}

TEST(KeepLastToken, DoesNotPassAValueThatSomethingElseReads) {
  EXPECT_EQ(after(keep_last_token, R"(graph g
input x: f32[1, T, 256]
weight head: f32[256, 256] Q6_K
%0: f32[1, T, 256] = linear(x, head)
%1: f32[1, T, 256] = add(%0, %0)
%2: f32[1, T, 256] = gelu(%1)
output %2
)",
                  1),
            R"(graph g
input x: f32[1, T, 256]
weight head: f32[256, 256] Q6_K
%0: f32[1, T, 256] = linear(x, head)
%1: f32[1, T, 256] = add(%0, %0)
%2: f32[1, 256] = take_last(%1)
%3: f32[1, 256] = gelu(%2)
output %3
)");
}

TEST(DeadCode, RemovesNodesWeightsAndCachesThatNothingReads) {
  EXPECT_EQ(after(dead_code, R"(graph g
input q: f32[1, T, 2, 64]
input x: f32[1, T, 4]
input input_pos: i64[T]
cache a: f32 kv_heads=2 head_dim=64 window=8
cache b: f32 kv_heads=2 head_dim=64 window=8
cache c: f32 kv_heads=2 head_dim=64 window=8
weight unused: f32[4] F32
weight norm: f32[4] F32
%0: f32[1, T, 4] = rms_norm(x, norm) eps=1
%1: f32[1, T, 128] = attention(q, input_pos, q, q) cache=a scale=1 rope_base=10000 rope_periods=false
%2: f32[1, T, 128] = attention(q, input_pos, q, q) cache=b scale=1 rope_base=10000 rope_periods=false
%3: f32[1, T, 128] = attention(q, input_pos) cache=b scale=1 rope_base=10000 rope_periods=false
output %3
)",
                  6),
            R"(graph g
input q: f32[1, T, 2, 64]
input x: f32[1, T, 4]
input input_pos: i64[T]
cache b: f32 kv_heads=2 head_dim=64 window=8
%0: f32[1, T, 128] = attention(q, input_pos, q, q) cache=b scale=1 rope_base=10000 rope_periods=false
%1: f32[1, T, 128] = attention(q, input_pos) cache=b scale=1 rope_base=10000 rope_periods=false
output %1
)");
}

}  // namespace
}  // namespace tessera::graph
