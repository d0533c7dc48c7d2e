// One function per instruction: run(node, context). Families that are one line each are defined in node_families.h, the
// others declared here and defined in the nodes_*.cpp named by each group. Only interpreter.cpp calls them.
#pragma once

#include "program/nodes.h"
#include "runtime/node_families.h"

namespace tessera::runtime {

// nodes_control.cpp: values, branches, loops, custom kernels
Status run(const program::Noop& node, ExecutionContext& context);
Status run(const program::ItemInt& node, ExecutionContext& context);
Status run(const program::SymSize& node, ExecutionContext& context);
Status run(const program::If& node, ExecutionContext& context);
Status run(const program::Scan& node, ExecutionContext& context);
Status run(const program::MetalKernel& node, ExecutionContext& context);

// nodes_shape.cpp
Status run(const program::IdCopy& node, ExecutionContext& context);
Status run(const program::Contiguous& node, ExecutionContext& context);
Status run(const program::ExpandDims& node, ExecutionContext& context);
Status run(const program::Squeeze& node, ExecutionContext& context);
Status run(const program::Reshape& node, ExecutionContext& context);
Status run(const program::Transpose& node, ExecutionContext& context);
Status run(const program::BroadcastTo& node, ExecutionContext& context);
Status run(const program::AsStrided& node, ExecutionContext& context);
Status run(const program::Tile& node, ExecutionContext& context);
Status run(const program::Repeat& node, ExecutionContext& context);
Status run(const program::Roll& node, ExecutionContext& context);
Status run(const program::Concatenate& node, ExecutionContext& context);
Status run(const program::Stack& node, ExecutionContext& context);
Status run(const program::Split& node, ExecutionContext& context);
Status run(const program::Pad& node, ExecutionContext& context);

// nodes_indexing.cpp
Status run(const program::Slice& node, ExecutionContext& context);
Status run(const program::SliceUpdate& node, ExecutionContext& context);
Status run(const program::IndexCopy& node, ExecutionContext& context);
Status run(const program::Take& node, ExecutionContext& context);
Status run(const program::TakeAlongAxis& node, ExecutionContext& context);
Status run(const program::Gather& node, ExecutionContext& context);
Status run(const program::ScatterAdd& node, ExecutionContext& context);

// nodes_create.cpp
Status run(const program::ARange& node, ExecutionContext& context);
Status run(const program::Full& node, ExecutionContext& context);
Status run(const program::FullLike& node, ExecutionContext& context);
Status run(const program::Tri& node, ExecutionContext& context);
Status run(const program::Tril& node, ExecutionContext& context);
Status run(const program::Triu& node, ExecutionContext& context);
Status run(const program::RandomBits& node, ExecutionContext& context);

// nodes_elementwise.cpp: what is more than a row of a table
Status run(const program::AsType& node, ExecutionContext& context);
Status run(const program::Round& node, ExecutionContext& context);
Status run(const program::Silu& node, ExecutionContext& context);
Status run(const program::Gelu& node, ExecutionContext& context);
Status run(const program::Where& node, ExecutionContext& context);
Status run(const program::Clip& node, ExecutionContext& context);

// nodes_reduce.cpp: rows along an axis
Status run(const program::Argmax& node, ExecutionContext& context);
Status run(const program::Argmin& node, ExecutionContext& context);
Status run(const program::Var& node, ExecutionContext& context);
Status run(const program::Std& node, ExecutionContext& context);
Status run(const program::Softmax& node, ExecutionContext& context);
Status run(const program::Cumsum& node, ExecutionContext& context);
Status run(const program::Sort& node, ExecutionContext& context);
Status run(const program::Argsort& node, ExecutionContext& context);
Status run(const program::Partition& node, ExecutionContext& context);
Status run(const program::ArgPartition& node, ExecutionContext& context);
Status run(const program::RMSNorm& node, ExecutionContext& context);
Status run(const program::LayerNorm& node, ExecutionContext& context);

// nodes_linear.cpp
Status run(const program::Addmm& node, ExecutionContext& context);
Status run(const program::GatherMm& node, ExecutionContext& context);
Status run(const program::Dequantize& node, ExecutionContext& context);
Status run(const program::QuantizedMatmul& node, ExecutionContext& context);
Status run(const program::GatherQmm& node, ExecutionContext& context);
Status run(const program::Conv1D& node, ExecutionContext& context);
Status run(const program::Conv2D& node, ExecutionContext& context);
Status run(const program::Conv3D& node, ExecutionContext& context);
Status run(const program::ConvTranspose1D& node, ExecutionContext& context);
Status run(const program::ConvTranspose2D& node, ExecutionContext& context);
Status run(const program::ConvTranspose3D& node, ExecutionContext& context);

// nodes_attention.cpp
Status run(const program::Rope& node, ExecutionContext& context);
Status run(const program::Sdpa& node, ExecutionContext& context);
Status run(const program::UpdateAndAttend& node, ExecutionContext& context);

}  // namespace tessera::runtime
