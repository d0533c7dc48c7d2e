// The instruction sets the CPU kernels exist for. All of them give the same bits; the choice is only about speed.
#pragma once

#include <span>
#include <string_view>

namespace tessera::kernels::cpu {

enum class Isa {
  kScalar,         // plain loops, the reference
  kNeon,           // AArch64 with the dot product instructions (Armv8.2-A dotprod)
  kI8mm,           // the same with the 8-bit matrix product (Armv8.6-A i8mm)
  kAvx2,           // AVX2, FMA, F16C
  kAvx512,         // AVX-512 F, BW, DQ, VL, VNNI, VBMI
  kAvx512Streams,  // the same for Intel's processors: few tokens, on up to four threads, read rows that lie far apart
  kAmx,            // the same with AMX's tile registers (int8 and bf16 products)
};

// Whether this build has its kernels (TESSERA_ISAS in CMakeLists.txt).
bool is_built(Isa isa);
// The best of those that this machine runs. TESSERA_ISA=scalar|neon|i8mm|avx2|avx512|avx512-streams|amx forces another
// one that it runs; anything else in the variable is ignored.
Isa best_isa();
// Every instruction set that this build has and this machine runs, slowest first; tests loop over them.
std::span<const Isa> available_isas();
std::string_view name_of(Isa isa);

}  // namespace tessera::kernels::cpu
