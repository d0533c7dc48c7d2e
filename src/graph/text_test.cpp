#include "graph/text.h"

#include <gtest/gtest.h>

#include "graph/builder.h"

namespace tessera::graph {
namespace {

constexpr std::string_view kSmall = R"(graph small
input tokens: i64[1, T]
input input_pos: i64[T]
cache blk.0: bf16 kv_heads=1 head_dim=32 window=0
weight token_embd.weight: f32[512, 64] Q6_K
weight rope_periods: f32[16] F32
weight blk.0.attn_q.weight: f32[64, 64] Q8_0
%0: f32[1, T, 64] = embedding(token_embd.weight, tokens)
%1: f32[1, T, 64] = scale(%0) factor=8
%2: f32[1, T, 64] = linear(%1, blk.0.attn_q.weight)
%3: f32[1, T, 2, 32] = split_heads(%2) n_heads=2
%4: f32[1, T, 2, 32] = rms_norm(%3) eps=1e-06
output %4
)";

TEST(GraphText, PrintsWhatItParses) {
  const auto graph = parse(kSmall);
  ASSERT_TRUE(graph) << graph.error().message;
  EXPECT_EQ(print(*graph), kSmall);
}

TEST(GraphText, KeepsEveryAttributeExactly) {
  constexpr std::string_view kAttention = R"(graph a
input q: f16[1, T, 4, 64]
input pos: i64[T]
input periods: f32[32]
input x: f16[1, T, 8]
cache c.k: f16 kv_heads=2 head_dim=64 window=1024
%0: f16[1, T, 256] = attention(q, pos, periods) cache=c.k scale=0.1 rope_base=1e+06 rope_periods=true
%1: f32[1, T, 8] = cast(x) to=f32
%2: f32[1, T, 8] = soft_cap(%1) cap=30.125
output %2
)";
  const auto graph = parse(kAttention);
  ASSERT_TRUE(graph) << graph.error().message;
  const auto again = parse(print(*graph));
  ASSERT_TRUE(again) << again.error().message;
  const auto& op = std::get<Attention>(again->nodes[0].op);
  EXPECT_EQ(op, (Attention{.cache = {0}, .scale = 0.1, .rope_base = 1e6, .rope_periods = true}));
  EXPECT_EQ(std::get<Cast>(again->nodes[1].op).to, DType::kF32);
  EXPECT_EQ(std::get<SoftCap>(again->nodes[2].op).cap, 30.125);
  EXPECT_EQ(again->caches, graph->caches);
}

TEST(GraphText, AnErrorNamesTheLineAndWhatIsWrong) {
  const auto error = [](std::string_view text) {
    const auto graph = parse(text);
    return graph ? std::string("parsed") : graph.error().message;
  };
  EXPECT_EQ(error("graph g\ninput x: f33[T]"), "line 2: unknown dtype 'f33'");
  EXPECT_EQ(error("input x: f32[T]\n%0: f32[T] = frobnicate(x)"), "line 2: unknown op 'frobnicate'");
  EXPECT_EQ(error("%0: f32[T] = gelu(x)"), "line 1: there is no value 'x' yet");
  EXPECT_EQ(error("input x: f32[T]\n%0: f32[T] = scale(x) cap=1"), "line 2: op scale has no attribute 'cap'");
  EXPECT_EQ(error("input x: f32[T]\n%0: f32[T] = scale(x) factor=big"), "line 2: 'big' is not a number");
  EXPECT_EQ(error("weight w: f32[8] Q9_K"), "line 1: unknown format 'Q9_K'");
  EXPECT_EQ(error("graph g\ninput x: f32[T] again"), "line 2: unexpected text at the end: ' again'");
  EXPECT_EQ(error("input x: f32[T]\n%0: f32[T] = gelu(x)\noutput %0 garbage"),
            "line 3: unexpected text at the end: ' garbage'");
  EXPECT_EQ(error("input x: f32[T]\n%0: f32[T] = gelu(x)!"), "line 2: unexpected text at the end: '!'");
  EXPECT_EQ(error("input x f32[T]"), "line 1: expected ': ' before ' f32[T]'");
}

TEST(GraphText, APrefixOfATextIsAnError) {
  for (size_t n = 0; n < kSmall.size() - sizeof("output %4"); ++n)
    EXPECT_FALSE(parse(kSmall.substr(0, n))) << kSmall.substr(0, n);
}

}  // namespace
}  // namespace tessera::graph
