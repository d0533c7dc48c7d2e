threadgroup float4 shared[gguf::kTileFloat4s];
gguf::matmul<Format>(x, weight, bias, out, gguf::rows_of(x_shape, x_ndim), N, K, shared, threadgroup_position_in_grid,
                     thread_index_in_threadgroup, simdgroup_index_in_threadgroup);
