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
extern const LinearKernels kLinearKernels;
extern const FloatKernels kFloatKernels;
extern const LimitKernels kLimitKernels;
}  // namespace avx512
namespace avx512_streams {
extern const LinearKernels kLinearKernels;
}  // namespace avx512_streams
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
  int most_distant_threads;  // up to so many read rows that lie far apart, where there is a choice
};

// Intel's (avx512_streams/vocabulary.h); 16 of them read neighbours 6 % faster.
[[maybe_unused]] constexpr int kMostStreamThreads = 4;

constexpr IsaKernels kTable[] = {
    {Isa::kScalar, &scalar::kLinearKernels, &scalar::kFloatKernels, &scalar::kLimitKernels, 0},
#ifdef TESSERA_HAS_avx2
    {Isa::kAvx2, &avx2::kLinearKernels, &avx2::kFloatKernels, &avx2::kLimitKernels, 0},
#endif
#ifdef TESSERA_HAS_avx512
    {Isa::kAvx512, &avx512::kLinearKernels, &avx512::kFloatKernels, &avx512::kLimitKernels, 0},
#endif
#ifdef TESSERA_HAS_avx512_streams
    {Isa::kAvx512Streams, &avx512_streams::kLinearKernels, &avx512::kFloatKernels, &avx512::kLimitKernels,
     kMostStreamThreads},
#endif
#ifdef TESSERA_HAS_amx
    // Tile registers are of use to linears only.
    {Isa::kAmx, &amx::kLinearKernels, &avx512::kFloatKernels, &amx::kLimitKernels, kMostStreamThreads},
#endif
#ifdef TESSERA_HAS_neon
    {Isa::kNeon, &neon::kLinearKernels, &neon::kFloatKernels, &neon::kLimitKernels, 0},
#endif
#ifdef TESSERA_HAS_i8mm
    {Isa::kI8mm, &i8mm::kLinearKernels, &i8mm::kFloatKernels, &i8mm::kLimitKernels, 0},
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
Int8Choice int8_choice(Isa isa, int n_threads) {
  const IsaKernels& kernels = kernels_of(isa);
  return {.distant_rows = n_threads <= kernels.most_distant_threads,
          .least_panel_tokens = kernels.linear->least_panel_tokens};
}
const FloatKernels& float_kernels(Isa isa) { return *kernels_of(isa).floats; }
const LimitKernels& limit_kernels(Isa isa) { return *kernels_of(isa).limits; }

}  // namespace tessera::kernels::cpu
