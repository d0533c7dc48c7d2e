#include "kernels/cpu/isa.h"

#include <cstdlib>

#include "base/cpu_features.h"

namespace tessera::kernels::cpu {
namespace {

constexpr Isa kAll[] = {Isa::kScalar, Isa::kAvx2, Isa::kAvx512};

Isa choose() {
  const char* wanted = std::getenv("TESSERA_ISA");
  if (wanted)
    for (Isa isa : available_isas())
      if (name_of(isa) == wanted) return isa;
  return available_isas().back();
}

}  // namespace

Isa best_isa() {
  static const Isa isa = choose();
  return isa;
}

std::span<const Isa> available_isas() {
  const CpuFeatures& cpu = cpu_features();
  return std::span(kAll).first(cpu.avx512 ? 3 : cpu.avx2 ? 2 : 1);
}

std::string_view name_of(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return "scalar";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
  }
  return "?";
}

}  // namespace tessera::kernels::cpu
