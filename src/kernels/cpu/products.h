// How an instruction set multiplies bytes in prefill (linear_group.h).
#pragma once

namespace tessera::kernels::cpu {

enum class Products {
  kDwords,      // four products are summed into a dword (AVX-512 VNNI, AArch64 dotprod)
  kWords,       // two products into a word (AVX2)
  kTokenPairs,  // eight products of two rows and two tokens into four dwords (AArch64 i8mm)
  kMatrix,      // of sixteen rows, sixteen tokens and 64 values, between tile registers (AMX; linear_matrix.h)
};

}  // namespace tessera::kernels::cpu
