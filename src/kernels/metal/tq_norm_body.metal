const float norm = tq4::norm(x, D, thread_position_in_grid.z, thread_index_in_simdgroup);
if (thread_index_in_simdgroup == 0) norms[thread_position_in_grid.z] = InT(norm);
