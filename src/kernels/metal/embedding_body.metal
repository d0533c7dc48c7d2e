gguf::embedding<Format>(weight, indices[thread_position_in_grid.y], weight_shape[0], out, K, thread_position_in_grid);
