// The op vocabulary of model graphs: what a transformer layer says, not how a program does it (compile/lower.h turns an
// op into instructions). An op is a struct of attributes; its tensors are the node's inputs, in the order given here.
// The line TESSERA_GRAPH_OP is all that the printer and parser know of an op; its shape rule is in graph/infer.cpp.
//
// Shapes: T is the number of tokens of the step, the one symbolic size.
#pragma once

#include <cstdint>
#include <string_view>
#include <tuple>
#include <variant>

#include "base/dtype.h"

namespace tessera::graph {

struct CacheId {
  int32_t index = -1;
  bool operator==(const CacheId&) const = default;
};

#define TESSERA_GRAPH_OP(Name, text, ...)                           \
  static constexpr std::string_view kName = text;                   \
  static constexpr std::string_view kAttributeNames = #__VA_ARGS__; \
  auto attributes() { return std::tie(__VA_ARGS__); }               \
  auto attributes() const { return std::tie(__VA_ARGS__); }         \
  bool operator==(const Name&) const = default;

// Rows of a table. table (V, H), tokens i64 (1, T) -> (1, T, H)
struct Embedding {
  TESSERA_GRAPH_OP(Embedding, "embedding")
};

// x * weight^T. x (..., K), weight (N, K) -> (..., N)
struct Linear {
  TESSERA_GRAPH_OP(Linear, "linear")
};

// x / sqrt(mean(x^2) + eps) * weight over the last dimension. x (..., D), optional weight (D) -> (..., D)
struct RmsNorm {
  float eps = 0;
  TESSERA_GRAPH_OP(RmsNorm, "rms_norm", eps)
};

// A view. x (1, T, n_heads * D) -> (1, T, n_heads, D)
struct SplitHeads {
  int64_t n_heads = 0;
  TESSERA_GRAPH_OP(SplitHeads, "split_heads", n_heads)
};

// Rotary embedding of q and k, write of k and v into a cache, causal attention over the cache (within its window).
// q (1, T, n_heads, D), positions i64 (T), periods f32 (D / 2) if rope_periods, then k and v (1, T, n_kv_heads, D)
// unless the layer reads what an earlier one wrote -> (1, T, n_heads * D).
// Pair i is (x[i], x[i + D/2]), its angle position / periods[i], or position * rope_base^(-2i/D) without periods.
struct Attention {
  CacheId cache;
  double scale = 1;
  double rope_base = 10000;
  bool rope_periods = false;
  TESSERA_GRAPH_OP(Attention, "attention", cache, scale, rope_base, rope_periods)
};

// Element by element; b has a's shape, or one element.
struct Add {
  TESSERA_GRAPH_OP(Add, "add")
};
struct Mul {
  TESSERA_GRAPH_OP(Mul, "mul")
};

// The tanh form.
struct Gelu {
  TESSERA_GRAPH_OP(Gelu, "gelu")
};

struct Scale {
  double factor = 1;
  TESSERA_GRAPH_OP(Scale, "scale", factor)
};

// The last token. x (1, T, D) -> (1, D)
struct TakeLast {
  TESSERA_GRAPH_OP(TakeLast, "take_last")
};

struct Cast {
  DType to = DType::kF32;
  TESSERA_GRAPH_OP(Cast, "cast", to)
};

// cap * tanh(x / cap)
struct SoftCap {
  double cap = 0;
  TESSERA_GRAPH_OP(SoftCap, "soft_cap", cap)
};

#undef TESSERA_GRAPH_OP

using Op =
    std::variant<Embedding, Linear, RmsNorm, SplitHeads, Attention, Add, Mul, Gelu, Scale, TakeLast, Cast, SoftCap>;

inline std::string_view name_of(const Op& op) {
  return std::visit([](const auto& o) { return o.kName; }, op);
}

}  // namespace tessera::graph
