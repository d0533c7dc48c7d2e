// What the processor and the operating system offer, asked once.
#pragma once

namespace tessera {

struct CpuFeatures {
  bool avx2 = false;    // AVX2, FMA, F16C and BMI2, with the system saving their registers
  bool avx512 = false;  // avx2 and AVX-512 F, BW, DQ, VL, VNNI, VBMI
  bool intel = false;   // made by Intel: its processors like other orders of reading than AMD's
  bool amx = false;     // avx512 and AMX tile registers (int8, bf16), which the system has been asked for
  bool neon = false;    // AArch64 with dotprod (NEON itself every AArch64 processor has)
  bool i8mm = false;    // the same with the 8-bit matrix product
};

const CpuFeatures& cpu_features();

}  // namespace tessera
