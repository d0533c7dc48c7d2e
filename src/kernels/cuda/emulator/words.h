// kernels/cuda/words.cuh on the CPU: lanes are fibers in lockstep, pointers know their bounds, barriers are watched.
//
// copy_async16 lands as late as the rules allow: when its thread waits for it. Until then its place holds bytes of
// kInFlight, so that a read too early gives a wrong result, and a copy issued while others still read is a race.
// wait_for_previous and let_next_start do nothing: launches run one after the other.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "base/float16.h"
#include "kernels/cuda/api.h"
#include "kernels/cuda/emulator/launch.h"
#include "kernels/emulator/threadgroup.h"

#define TESSERA_DEVICE inline
#define TESSERA_KERNEL(n_threads, n_blocks) inline void
#define TESSERA_UNROLL
#define TESSERA_LOOP

namespace tessera::kernels::cuda {

using emulator::Site;

template <typename T>
using Global = emulator::Pointer<emulator::Space::kDevice, T>;
template <typename T>
using Shared = emulator::Pointer<emulator::Space::kThreadgroup, T>;

template <typename T>
Global<T> global(Address address) {
  const DevicePlace place = place_of(address);
  return {place.region, place.offset};
}
template <typename T, emulator::Space S, typename U>
emulator::Pointer<S, T> cast(const emulator::Pointer<S, U>& p) {
  return emulator::Pointer<S, T>(p);
}
template <emulator::Space S, typename T>
uint32_t misalignment(const emulator::Pointer<S, T>& p, uint32_t of) {
  return static_cast<uint32_t>(static_cast<uint64_t>(p.offset()) % of);  // regions begin at multiples of 256
}

inline Shared<uint8_t> shared_memory() { return {shared_region(), 0}; }

inline int thread() { return static_cast<int>(emulator::this_thread().thread_index_in_threadgroup); }
inline int lane() { return thread() % 32; }
inline int warp() { return thread() / 32; }
template <typename T>
T once(T value) {
  return value;
}
inline uint32_t opaque(uint32_t value) { return value; }
inline uint32_t choose_bits(uint32_t where, uint32_t a, uint32_t b) { return (a & where) | (b & ~where); }
inline int block_x() { return static_cast<int>(emulator::this_thread().threadgroup_position_in_grid.x); }
inline int block_y() { return static_cast<int>(emulator::this_thread().threadgroup_position_in_grid.y); }
inline int block_z() { return static_cast<int>(emulator::this_thread().threadgroup_position_in_grid.z); }
inline int n_blocks_x() { return current_grid().x; }
inline int n_blocks_y() { return current_grid().y; }

inline void sync_block(const Site& site = Site::current()) { emulator::wait_for_threadgroup(site); }
inline void sync_warp(const Site& site = Site::current()) { emulator::wait_for_simd_group(site); }
template <typename T>
T shuffle_xor(T value, int mask, const Site& site = Site::current()) {
  return emulator::exchange_values(value, site)[static_cast<uint32_t>(lane() ^ mask)];
}
template <typename T>
T shuffle(T value, int from, const Site& site = Site::current()) {
  return emulator::exchange_values(value, site)[static_cast<uint32_t>(from) % 32];
}
inline uint32_t lanes_where(bool value, const Site& site = Site::current()) {
  const auto values = emulator::exchange_values(value, site);
  uint32_t out = 0;
  for (uint32_t l = 0; l < 32; ++l) out |= uint32_t{values[l]} << l;
  return out;
}
inline int lowest_bit(uint32_t word) { return std::countr_zero(word); }
inline bool any_of_warp(bool value, const Site& site = Site::current()) {
  const auto values = emulator::exchange_values(value, site);
  bool any = false;
  for (uint32_t l = 0; l < 32; ++l) any |= values[l];
  return any;
}

inline void copy_async16(Shared<uint8_t> to, Global<const uint8_t> from) { copies_in_flight().issue(to, from); }
// The address may lie anywhere where nothing is to be read.
inline void copy_async16_or_zeros(Shared<uint8_t> to, Address from, bool is_there) {
  if (is_there)
    copies_in_flight().issue(to, global<const uint8_t>(from));
  else
    copies_in_flight().issue_zeros(to);
}
inline void copy_async16_or_zeros(Shared<uint8_t> to, Global<const uint8_t> from, bool is_there) {
  if (is_there)
    copies_in_flight().issue(to, from);
  else
    copies_in_flight().issue_zeros(to);
}
inline void commit_copies() { copies_in_flight().commit(); }
template <int kGroupsLeft>
void wait_copies() {
  copies_in_flight().wait(kGroupsLeft);
}

template <emulator::Space S, typename T, typename F>
T change(const emulator::Pointer<S, T>& p, const F& f) {
  std::byte* place = p.region()->for_atomic(p.offset(), sizeof(T), alignof(T));
  T old;
  std::memcpy(&old, place, sizeof(T));
  const T changed = f(old);
  std::memcpy(place, &changed, sizeof(T));
  return old;
}
template <emulator::Space S, typename T>
T atomic_add(const emulator::Pointer<S, T>& p, std::type_identity_t<T> value) {
  return change(p, [value](T old) { return static_cast<T>(old + value); });
}
template <emulator::Space S>
uint32_t atomic_min(const emulator::Pointer<S, uint32_t>& p, uint32_t value) {
  return change(p, [value](uint32_t old) { return std::min(old, value); });
}
template <emulator::Space S>
uint32_t atomic_or(const emulator::Pointer<S, uint32_t>& p, uint32_t value) {
  return change(p, [value](uint32_t old) { return old | value; });
}
inline void fence() {}

inline int32_t load_past_caches(Global<const int32_t> p) { return *p; }
inline uint32_t load_past_caches(Global<const uint32_t> p) { return *p; }
struct alignas(16) FourWords {
  uint32_t word[4];
};
inline void load_past_caches(Global<const uint32_t> p, uint32_t (&words)[4]) {
  const FourWords four = *cast<const FourWords>(p);
  std::copy_n(four.word, 4, words);
}
inline void leave_word(Global<uint32_t> p, uint32_t word) { *p = word; }
inline void leave_words(Global<uint32_t> p, const uint32_t (&words)[4]) {
  *cast<FourWords>(p) = FourWords{{words[0], words[1], words[2], words[3]}};
}
inline void look_again() { emulator::fault("waits for a word that no block before it has left"); }  // they have ended

inline void wait_for_previous() {}
inline void let_next_start() {}

inline int32_t dot4(uint32_t a, uint32_t b, int32_t c) {
  for (int i = 0; i < 32; i += 8) c += static_cast<int8_t>(a >> i) * static_cast<int8_t>(b >> i);
  return c;
}
inline int32_t dot4_unsigned(uint32_t a, uint32_t b, int32_t c) {
  for (int i = 0; i < 32; i += 8) c += static_cast<uint8_t>(a >> i) * static_cast<int8_t>(b >> i);
  return c;
}
inline int32_t dot2(uint32_t a, uint32_t b) {
  return static_cast<int16_t>(a) * static_cast<uint8_t>(b) +
         static_cast<int16_t>(a >> 16) * static_cast<uint8_t>(b >> 8);
}
inline uint32_t funnel_right(uint32_t low, uint32_t high, uint32_t shift) {
  return static_cast<uint32_t>((uint64_t{high} << 32 | low) >> (shift & 31));
}

inline uint32_t permute_bytes(uint32_t low, uint32_t high, uint32_t selector) {
  const uint64_t all = uint64_t{high} << 32 | low;
  uint32_t out = 0;
  for (int i = 0; i < 4; ++i) out |= static_cast<uint32_t>(all >> 8 * (selector >> 4 * i & 7) & 0xff) << 8 * i;
  return out;
}
inline int32_t signed_byte(uint32_t word, int i) { return static_cast<int8_t>(word >> 8 * i); }

inline float float_of_f16(uint16_t bits) { return to_f32(F16{bits}); }
inline float float_of_bf16(uint16_t bits) { return to_f32(BF16{bits}); }
inline uint16_t f16_of(float value) { return to_f16(value).bits; }
inline uint16_t bf16_of(float value) { return to_bf16(value).bits; }
inline uint32_t bf16x2_of(float low, float high) { return uint32_t{bf16_of(high)} << 16 | bf16_of(low); }
inline uint32_t f16x2_of(float low, float high) { return uint32_t{f16_of(high)} << 16 | f16_of(low); }
template <typename Operation>
uint32_t for_each_f16(const Operation& operation, uint32_t a, uint32_t b, uint32_t c) {
  const auto low = [](uint32_t word) { return float_of_f16(static_cast<uint16_t>(word)); };
  const auto high = [](uint32_t word) { return float_of_f16(static_cast<uint16_t>(word >> 16)); };
  return f16x2_of(operation(low(a), low(b), low(c)), operation(high(a), high(b), high(c)));
}
inline uint32_t add_f16x2(uint32_t a, uint32_t b) {
  return for_each_f16([](float x, float y, float) { return x + y; }, a, b, 0);
}
inline uint32_t mul_f16x2(uint32_t a, uint32_t b) {
  return for_each_f16([](float x, float y, float) { return x * y; }, a, b, 0);
}
inline uint32_t fma_f16x2(uint32_t a, uint32_t b, uint32_t c) {
  return for_each_f16([](float x, float y, float z) { return std::fma(x, y, z); }, a, b, c);
}
inline float float_of_bits(uint32_t bits) { return std::bit_cast<float>(bits); }
inline uint32_t bits_of_float(float value) { return std::bit_cast<uint32_t>(value); }

inline float max_of(float a, float b) { return std::fmax(a, b); }
inline float min_of(float a, float b) { return std::fmin(a, b); }
inline int min_of(int a, int b) { return std::min(a, b); }
inline int max_of(int a, int b) { return std::max(a, b); }
inline float abs_of(float value) { return std::fabs(value); }
inline float exp_of(float value) { return std::exp(value); }
inline float exp2_of(float value) { return std::exp2(value); }
inline float exact_exp_of(float value) { return std::exp(value); }
inline float quotient_of(float a, float b) { return a / b; }
inline float tanh_of(float value) { return std::tanh(value); }
inline float inverse_sqrt(float value) { return 1.0f / std::sqrt(value); }
inline void sine_cosine(double angle, double& sine, double& cosine) {
  sine = std::sin(angle);
  cosine = std::cos(angle);
}

// PTX ISA, ldmatrix: lane l receives elements 2 (l % 4) and the next of row l / 4 of each matrix, or of column l / 4.
struct MatrixRow {
  uint16_t element[8];
};
inline void load_matrices(uint32_t (&out)[4], Shared<const uint8_t> row, const Site& site = Site::current()) {
  struct alignas(16) Aligned : MatrixRow {};
  const auto rows = emulator::exchange_values<Aligned>(*cast<const Aligned>(row), site);
  const auto l = static_cast<uint32_t>(lane());
  for (uint32_t i = 0; i < 4; ++i) {
    const MatrixRow mine = rows[8 * i + l / 4];
    out[i] = uint32_t{mine.element[2 * (l % 4) + 1]} << 16 | mine.element[2 * (l % 4)];
  }
}
inline void load_matrices_transposed(uint32_t (&out)[4], Shared<const uint8_t> row,
                                     const Site& site = Site::current()) {
  struct alignas(16) Aligned : MatrixRow {};
  const auto rows = emulator::exchange_values<Aligned>(*cast<const Aligned>(row), site);
  const auto l = static_cast<uint32_t>(lane());
  for (uint32_t i = 0; i < 4; ++i) {
    const uint32_t first = 8 * i + 2 * (l % 4);
    out[i] = uint32_t{rows[first + 1].element[l / 4]} << 16 | rows[first].element[l / 4];
  }
}

// PTX ISA, movmatrix: lane l holds elements 2 (l % 4) and the next of row l / 4, and receives those of column l / 4.
inline uint32_t transpose_matrix(uint32_t word, const Site& site = Site::current()) {
  const auto words = emulator::exchange_values(word, site);
  const auto l = static_cast<uint32_t>(lane());
  const auto element = [&](uint32_t row) { return words[4 * row + l / 8] >> 16 * (l / 4 % 2) & 0xffffu; };
  return element(2 * (l % 4) + 1) << 16 | element(2 * (l % 4));
}

// PTX ISA, mma.m16n8k16: with g = lane / 4 and p = 2 (lane % 4), a holds (g, p), (g + 8, p), (g, p + 8), (g + 8, p + 8)
// and the columns after, b holds (p, g), (p + 8, g) and the rows after, d holds (g, p), (g, p + 1), (g + 8, p) ...
// With bytes it is 4 (lane % 4) and three more, and half of k apart; `product(row, column, k)` sums for one d.
struct alignas(16) FragmentA {
  uint32_t word[4];
};
struct FragmentB {
  uint32_t word[2];
};
// The words of rows g and g + 8 and of columns p and p + 1, by the lanes that hold them.
inline void gather_fragments(const uint32_t (&a)[4], uint32_t b0, uint32_t b1, FragmentA (&of_rows)[4],
                             FragmentB (&of_columns)[2][4], const Site& site) {
  const auto g = static_cast<uint32_t>(lane() / 4), p = static_cast<uint32_t>(lane() % 4) * 2;
  const auto all_a = emulator::exchange_values(FragmentA{{a[0], a[1], a[2], a[3]}}, site);
  for (uint32_t j = 0; j < 4; ++j) of_rows[j] = all_a[4 * g + j];
  const auto all_b = emulator::exchange_values(FragmentB{{b0, b1}}, site);
  for (uint32_t c = 0; c < 2; ++c)
    for (uint32_t j = 0; j < 4; ++j) of_columns[c][j] = all_b[4 * (p + c) + j];
}

template <float (*kWiden)(uint16_t)>
void mma_16(float* d, const uint32_t (&a)[4], uint32_t b0, uint32_t b1, const Site& site) {
  FragmentA rows[4];
  FragmentB columns[2][4];
  gather_fragments(a, b0, b1, rows, columns, site);
  const auto element = [](uint32_t word, uint32_t i) { return kWiden(static_cast<uint16_t>(word >> 16 * i)); };
  for (uint32_t e = 0; e < 4; ++e)
    for (uint32_t j = 0; j < 4; ++j)
      for (uint32_t half = 0; half < 2; ++half)
        for (uint32_t i = 0; i < 2; ++i)
          d[e] += element(rows[j].word[2 * half + e / 2], i) * element(columns[e % 2][j].word[half], i);
}
inline void mma_f16(float* d, const uint32_t (&a)[4], uint32_t b0, uint32_t b1, const Site& site = Site::current()) {
  mma_16<float_of_f16>(d, a, b0, b1, site);
}
inline void mma_bf16(float* d, const uint32_t (&a)[4], uint32_t b0, uint32_t b1, const Site& site = Site::current()) {
  mma_16<float_of_bf16>(d, a, b0, b1, site);
}
template <int32_t (*kDot)(uint32_t, uint32_t, int32_t)>
void mma_bytes_32(int32_t (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, const Site& site) {
  FragmentA rows[4];
  FragmentB columns[2][4];
  gather_fragments(a, b0, b1, rows, columns, site);
  for (uint32_t e = 0; e < 4; ++e)
    for (uint32_t j = 0; j < 4; ++j)
      for (uint32_t half = 0; half < 2; ++half)
        d[e] = kDot(rows[j].word[2 * half + e / 2], columns[e % 2][j].word[half], d[e]);
}
inline void mma_int8_32(int32_t (&d)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t b0, uint32_t b1,
                        const Site& site = Site::current()) {
  mma_bytes_32<dot4>(d, {a0, a1, a2, a3}, b0, b1, site);
}
inline void mma_unsigned_32(int32_t (&d)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t b0,
                            uint32_t b1, const Site& site = Site::current()) {
  mma_bytes_32<dot4_unsigned>(d, {a0, a1, a2, a3}, b0, b1, site);
}
inline void mma_int8_16(int32_t (&d)[4], uint32_t a0, uint32_t a1, uint32_t b, const Site& site = Site::current()) {
  mma_int8_32(d, a0, a1, 0, 0, b, 0, site);
}

}  // namespace tessera::kernels::cuda
