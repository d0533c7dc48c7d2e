// Graphs as text, for golden tests and for looking at what a pass did. One line a statement:
//
//   graph gemma4
//   input tokens: i64[1, T]
//   cache blk.0: bf16 kv_heads=2 head_dim=64 window=32
//   weight token_embd.weight: bf16[512, 256] Q4_K
//   %0: bf16[1, T, 256] = embedding(token_embd.weight, tokens)
//   %1: bf16[1, T, 256] = scale(%0) factor=16
//   output %1
//
// Results are numbered in node order. Weights' bytes are not part of the text. print(parse(text)) == text.
#pragma once

#include <string>
#include <string_view>

#include "graph/graph.h"

namespace tessera::graph {

std::string print(const Graph& graph);

// Errors: kInvalidFormat with the line's number. The graph is not verified, so that tests can write broken ones.
Result<Graph> parse(std::string_view text);

}  // namespace tessera::graph
