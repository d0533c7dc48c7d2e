gguf::matvec<Format, NSG>(x, weight, bias, out, N, K, threadgroup_position_in_grid, simdgroup_index_in_threadgroup,
                          thread_index_in_simdgroup);
