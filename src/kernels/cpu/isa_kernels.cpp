// The kernels of every instruction set this build has: the one place that knows which processors exist.
#include "base/check.h"
#include "kernels/cpu/float_kernels.h"
#include "kernels/cpu/limits_kernels.h"
#include "kernels/cpu/linear_kernels.h"

namespace tessera::kernels::cpu {

// Each is defined once, by per_isa/ compiled for that instruction set; the scalar ones in linear_reference.cpp,
// scalar/float_kernels.cpp and limits.cpp.
namespace scalar {
extern const LinearKernels kLinearKernels;
extern const FloatKernels kFloatKernels;
extern const LimitKernels kLimitKernels;
}  // namespace scalar
namespace avx2 {
extern const LinearKernels kLinearKernels;
extern const FloatKernels kFloatKernels;
extern const LimitKernels kLimitKernels;
}  // namespace avx2
namespace avx512 {
extern const LinearKernels kLinearKernels, kStreamLinearKernels;
extern const FloatKernels kFloatKernels;
extern const LimitKernels kLimitKernels;
}  // namespace avx512
namespace amx {
extern const LinearKernels kLinearKernels;
extern const LimitKernels kLimitKernels;
}  // namespace amx
namespace neon {
extern const LinearKernels kLinearKernels;
extern const FloatKernels kFloatKernels;
extern const LimitKernels kLimitKernels;
}  // namespace neon
namespace i8mm {
extern const LinearKernels kLinearKernels;
extern const FloatKernels kFloatKernels;
extern const LimitKernels kLimitKernels;
}  // namespace i8mm

namespace {

struct IsaKernels {
  Isa isa;
  const LinearKernels* linear;
  const FloatKernels* floats;
  const LimitKernels* limits;
};

constexpr IsaKernels kTable[] = {
    {Isa::kScalar, &scalar::kLinearKernels, &scalar::kFloatKernels, &scalar::kLimitKernels},
#ifdef TESSERA_HAS_avx2
    {Isa::kAvx2, &avx2::kLinearKernels, &avx2::kFloatKernels, &avx2::kLimitKernels},
#endif
#ifdef TESSERA_HAS_avx512
    {Isa::kAvx512, &avx512::kLinearKernels, &avx512::kFloatKernels, &avx512::kLimitKernels},
    {Isa::kAvx512Streams, &avx512::kStreamLinearKernels, &avx512::kFloatKernels, &avx512::kLimitKernels},
#endif
#ifdef TESSERA_HAS_amx
    {Isa::kAmx, &amx::kLinearKernels, &avx512::kFloatKernels, &amx::kLimitKernels},  // tiles: linears only
#endif
#ifdef TESSERA_HAS_neon
    {Isa::kNeon, &neon::kLinearKernels, &neon::kFloatKernels, &neon::kLimitKernels},
#endif
#ifdef TESSERA_HAS_i8mm
    {Isa::kI8mm, &i8mm::kLinearKernels, &i8mm::kFloatKernels, &i8mm::kLimitKernels},
#endif
};

const IsaKernels* find(Isa isa) {
  for (const IsaKernels& row : kTable)
    if (row.isa == isa) return &row;
  return nullptr;
}

const IsaKernels& kernels_of(Isa isa) {
  const IsaKernels* found = find(isa);
  CHECK(found);
  return *found;
}

}  // namespace

bool is_built(Isa isa) { return find(isa) != nullptr; }
const LinearKernels& linear_kernels(Isa isa) { return *kernels_of(isa).linear; }
const FloatKernels& float_kernels(Isa isa) { return *kernels_of(isa).floats; }
const LimitKernels& limit_kernels(Isa isa) { return *kernels_of(isa).limits; }

}  // namespace tessera::kernels::cpu
