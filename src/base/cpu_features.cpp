#include "base/cpu_features.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#elif defined(__aarch64__)
#include <sys/auxv.h>

#ifndef HWCAP_ASIMDDP
#define HWCAP_ASIMDDP (1 << 20)  // Linux uapi, asm/hwcap.h
#endif
#ifndef HWCAP2_I8MM
#define HWCAP2_I8MM (1 << 13)
#endif
#endif

namespace tessera {
namespace {

#if defined(__x86_64__)
// Register state the system saves on a context switch (XCR0): bits 1, 2 for AVX, 5, 6, 7 more for AVX-512, 17, 18 for
// AMX.
uint64_t saved_state() {
  uint32_t low = 0, high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t{high} << 32) | low;
}

constexpr bool has_all(uint64_t word, uint64_t bits) { return (word & bits) == bits; }
constexpr uint64_t bit(int i) { return uint64_t{1} << i; }

// Linux keeps the state of tile registers, 8 kB a thread, only for processes that ask
// (Documentation/arch/x86/xstate.rst: ARCH_REQ_XCOMP_PERM). The answer holds for all threads.
bool ask_for_tile_data() {
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

// Bit positions: Intel SDM, volume 2A, CPUID leaves 1 and 7.
CpuFeatures detect() {
  uint32_t a, b, c, d;
  if (!__get_cpuid(0, &a, &b, &c, &d)) return {};
  const bool intel = b == 0x756e6547 && d == 0x49656e69 && c == 0x6c65746e;  // GenuineIntel
  if (!__get_cpuid(1, &a, &b, &c, &d)) return {};
  constexpr uint64_t kFma = bit(12), kOsxsave = bit(27), kAvx = bit(28), kF16c = bit(29);
  if (!has_all(c, kFma | kOsxsave | kAvx | kF16c)) return {};
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return {};
  const uint64_t state = saved_state();
  constexpr uint64_t kAvx2 = bit(5), kBmi2 = bit(8);
  constexpr uint64_t kF = bit(16), kDq = bit(17), kBw = bit(30), kVl = bit(31);   // in b
  constexpr uint64_t kVbmi = bit(1), kVnni = bit(11);                             // in c
  constexpr uint64_t kAmxBf16 = bit(22), kAmxTile = bit(24), kAmxInt8 = bit(25);  // in d
  CpuFeatures features;
  features.intel = intel;
  features.avx2 = has_all(b, kAvx2 | kBmi2) && has_all(state, 0x6);
  features.avx512 =
      features.avx2 && has_all(b, kF | kDq | kBw | kVl) && has_all(c, kVbmi | kVnni) && has_all(state, 0xe6);
  features.amx =
      features.avx512 && has_all(d, kAmxBf16 | kAmxTile | kAmxInt8) && has_all(state, 0x60000) && ask_for_tile_data();
  return features;
}
#elif defined(__aarch64__)
CpuFeatures detect() {
  const bool neon = (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
  return {.neon = neon, .i8mm = neon && (getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0};
}
#else
CpuFeatures detect() { return {}; }
#endif

}  // namespace

const CpuFeatures& cpu_features() {
  static const CpuFeatures features = detect();
  return features;
}

}  // namespace tessera
