// One function per format with integer arithmetic, each in a source of its own so that they compile side by side.
#pragma once

#include "kernels/cpu/linear_kernels.h"

namespace tessera::kernels::cpu::avx2 {

void linear_q2_k(const LinearTile& tile);
void linear_q3_k(const LinearTile& tile);
void linear_q4_k(const LinearTile& tile);
void linear_q5_k(const LinearTile& tile);
void linear_q6_k(const LinearTile& tile);
void linear_iq4_xs(const LinearTile& tile);
void linear_q4_0(const LinearTile& tile);
void linear_q4_1(const LinearTile& tile);
void linear_q5_0(const LinearTile& tile);
void linear_q5_1(const LinearTile& tile);
void linear_q8_0(const LinearTile& tile);
void linear_iq4_nl(const LinearTile& tile);

}  // namespace tessera::kernels::cpu::avx2
