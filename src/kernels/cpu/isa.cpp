#include "kernels/cpu/isa.h"

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "base/cpu_features.h"

namespace tessera::kernels::cpu {
namespace {

// Slowest first, on Intel's processors.
constexpr Isa kAll[] = {Isa::kScalar, Isa::kNeon, Isa::kI8mm, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Streams, Isa::kAmx};

bool runs_here(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return true;
    case Isa::kNeon:
      return cpu_features().neon;
    case Isa::kI8mm:
      return cpu_features().i8mm;
    case Isa::kAvx2:
      return cpu_features().avx2;
    case Isa::kAvx512:
    case Isa::kAvx512Streams:
      return cpu_features().avx512;
    case Isa::kAmx:
      return cpu_features().amx;
  }
  return false;
}

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
  static const std::vector<Isa> isas = [] {
    std::vector<Isa> all(std::begin(kAll), std::end(kAll));
    std::erase_if(all, [](Isa isa) { return !is_built(isa) || !runs_here(isa); });
    const auto streams = std::find(all.begin(), all.end(), Isa::kAvx512Streams);
    if (streams != all.end() && !cpu_features().intel) std::iter_swap(streams, streams - 1);  // measured on Zen 5
    return all;
  }();
  return isas;
}

std::string_view name_of(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return "scalar";
    case Isa::kNeon:
      return "neon";
    case Isa::kI8mm:
      return "i8mm";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
    case Isa::kAvx512Streams:
      return "avx512-streams";
    case Isa::kAmx:
      return "amx";
  }
  return "?";
}

}  // namespace tessera::kernels::cpu
