// Metal's functions over a SIMD group and its 8 x 8 matrices. A matrix lives in the registers of 32 lanes, two elements
// in each: lane l holds row 4 (l / 16) + l / 2 % 4, columns 4 (l / 8 % 2) + 2 (l % 2) and the next, as Apple GPUs do.
#pragma once

#include <algorithm>

#include "kernels/emulator/threadgroup.h"
#include "kernels/metal/emulator/types.h"

namespace tessera::kernels::emulator::metal {

enum class mem_flags { mem_none, mem_device, mem_threadgroup };

// Device memory that a kernel both writes and reads would need mem_device; nothing here does.
inline void threadgroup_barrier(mem_flags flags, const Site& site = Site::current()) {
  if (flags != mem_flags::mem_threadgroup) fault("a barrier that does not order threadgroup memory");
  wait_for_threadgroup(site);
}

// In the order of a butterfly; the hardware's order is not specified.
inline float simd_sum(float value, const Site& site = Site::current()) {
  const auto all = exchange_values(value, site);
  float sums[kSimdWidth] = {};
  for (uint32_t lane = 0; lane < simd_group_size(); ++lane) sums[lane] = all[lane];
  for (uint32_t step = kSimdWidth / 2; step > 0; step /= 2)
    for (uint32_t lane = 0; lane < step; ++lane) sums[lane] += sums[lane + step];
  return sums[0];
}

template <typename T>
T simd_shuffle_xor(T value, ushort mask, const Site& site = Site::current()) {
  const uint32_t from = this_thread().thread_index_in_simdgroup ^ mask;
  const auto all = exchange_values(value, site);
  if (from >= simd_group_size()) fault("simd_shuffle_xor reads a lane that is not there");
  return all[from];
}

struct MatrixPlace {
  uint32_t row, column;
};
constexpr MatrixPlace place_of(uint32_t lane) {
  return {lane / 16 * 4 + lane / 2 % 4, lane / 8 % 2 * 4 + lane % 2 * 2};
}
constexpr uint32_t lane_of(MatrixPlace place) {
  return place.row / 4 * 16 + place.column / 4 * 8 + place.row % 4 * 2 + place.column % 4 / 2;
}

template <typename T, int Columns, int Rows>
struct simdgroup_matrix {
  static_assert(Columns == 8 && Rows == 8);
  T elements[2];  // of this lane
};
using simdgroup_half8x8 = simdgroup_matrix<half, 8, 8>;
using simdgroup_float8x8 = simdgroup_matrix<float, 8, 8>;

template <typename T, int Columns, int Rows>
simdgroup_matrix<T, Columns, Rows> make_filled_simdgroup_matrix(T value) {
  return {{value, value}};
}

// Where element (row, column) of a matrix in memory lies, for loads and stores alike.
template <Space S, typename T>
Pointer<S, T> element_at(const Pointer<S, T>& base, MatrixPlace place, ulong elements_per_row, const ulong2& origin,
                         bool transpose) {
  const ulong row = transpose ? place.column : place.row, column = transpose ? place.row : place.column;
  return base + static_cast<int64_t>((origin[1] + row) * elements_per_row + origin[0] + column);
}

template <Space S, typename T, typename U>
requires(std::is_same_v<std::remove_const_t<U>, T>) void simdgroup_load(simdgroup_matrix<T, 8, 8>& to,
                                                                        Pointer<S, U> from, ulong elements_per_row = 8,
                                                                        ulong2 origin = ulong2(0, 0),
                                                                        bool transpose = false,
                                                                        const Site& site = Site::current()) {
  note_simd_operation(site);
  const MatrixPlace place = place_of(this_thread().thread_index_in_simdgroup);
  for (uint32_t i = 0; i < 2; ++i)
    to.elements[i] = *element_at(from, {place.row, place.column + i}, elements_per_row, origin, transpose);
}

template <Space S, typename T>
void simdgroup_store(const simdgroup_matrix<T, 8, 8>& from, Pointer<S, T> to, ulong elements_per_row = 8,
                     ulong2 origin = ulong2(0, 0), bool transpose = false, const Site& site = Site::current()) {
  note_simd_operation(site);
  const MatrixPlace place = place_of(this_thread().thread_index_in_simdgroup);
  for (uint32_t i = 0; i < 2; ++i)
    *element_at(to, {place.row, place.column + i}, elements_per_row, origin, transpose) = from.elements[i];
}

// d = a b + c: products of halves are exact in float, sums are taken in float in the order of k.
template <typename T>
void simdgroup_multiply_accumulate(simdgroup_matrix<float, 8, 8>& d, const simdgroup_matrix<T, 8, 8>& a,
                                   const simdgroup_matrix<T, 8, 8>& b, const simdgroup_matrix<float, 8, 8>& c,
                                   const Site& site = Site::current()) {
  struct Operands {
    float a[2], b[2];
  };
  if (simd_group_size() != kSimdWidth) fault("a matrix product in a SIMD group that is not whole");
  const auto all = exchange_values(Operands{{a.elements[0], a.elements[1]}, {b.elements[0], b.elements[1]}}, site);
  const MatrixPlace mine = place_of(this_thread().thread_index_in_simdgroup);
  float sums[2] = {c.elements[0], c.elements[1]};
  for (uint32_t k = 0; k < 8; ++k) {
    const float a_k = all[lane_of({mine.row, k})].a[k % 2];
    const Operands b_k = all[lane_of({k, mine.column})];
    for (uint32_t i = 0; i < 2; ++i) sums[i] += a_k * b_k.b[i];
  }
  std::copy_n(sums, 2, d.elements);
}

}  // namespace tessera::kernels::emulator::metal
