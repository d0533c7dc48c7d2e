// Passes over a graph, one file each. A pass takes a well-formed graph, leaves one that computes the same, and returns
// how many changes it made. Which passes run and in what order: compile/passes.h.
#pragma once

#include "graph/graph.h"

namespace tessera::graph {

// Drops multiplications by one (of a `scale`, or of a one-element weight that is stored as 1) and multiplies a scale of
// a scale into one.
int fold_scales(Graph& graph);

// Computes equal things once: same op, same attributes, same inputs. On layers whose values are their keys (K = V) the
// two views of the one projection become one.
int common_subexpressions(Graph& graph);

// Makes the graph's result that of the last token alone, and takes the last token as early as the head allows: before
// the last `linear`, whose rows are the vocabulary. In prefill that saves the head's product for all other tokens.
int keep_last_token(Graph& graph);

// Removes nodes whose result nothing reads, then weights and caches that no node mentions.
int dead_code(Graph& graph);

}  // namespace tessera::graph
