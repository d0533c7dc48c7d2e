tq4::dequantize(packed, float(norms[thread_position_in_grid.z]), centroids, out, D, thread_position_in_grid.z,
                thread_index_in_simdgroup);
