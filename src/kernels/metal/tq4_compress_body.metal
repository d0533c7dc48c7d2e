out[thread_position_in_grid.x] = tq4::code_pair(values, boundaries, B, thread_position_in_grid.x);
