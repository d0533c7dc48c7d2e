// What unpackers read: the same bytes of a panel's weight rows, V::kRows of them, rows in lanes.
//
// Packed bytes are put into lanes before they are unpacked, not codes after it: half as many shuffles for codes of four
// bits, and what follows works on all rows at a time.
//
// Memory is asked for one panel or tile ahead of the work: sixteen rows are sixteen short streams, too many for the
// processor's own prefetcher. Requests are spread over the work, half of them over reading and half over the codes that
// come of it, and follow each other in the order of the file: without either, a third of the speed is lost. Rows that
// lie far apart are asked for a little ahead of where each is read.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/unroll.h"

namespace tessera::kernels::cpu {

// Sixteen bytes of each row: vector c holds bytes 4 c .. 4 c + 3.
template <class V>
struct Sixteen {
  typename V::Bits at[4];
};

// One block (formats of 256 values) or eight (of 32 values) of each row.
template <class V>
class Lanes {
 public:
  using Bits = typename V::Bits;

  // `row`: where V::kRows rows begin, to be read from `offset` on. `ahead`: what to ask for meanwhile, n_ahead bytes
  // for each row; any address will do.
  Lanes(const std::byte* const* row, int64_t offset, int64_t n_ahead, const std::byte* ahead)
      : row_(row), offset_(offset), ahead_(ahead), n_lines_((V::kRows * n_ahead + 63) / 64) {}
  // Rows far apart, of which n_bytes of each will be read.
  Lanes(const std::byte* const* row, int64_t offset, int64_t n_bytes)
      : row_(row), offset_(offset), lines_of_row_((n_bytes + 63) / 64), n_lines_(V::kRows * lines_of_row_) {}

  // The bytes from `at` on.
  Sixteen<V> sixteen(int64_t at) const {
    Sixteen<V> x;
    load<2>(at, x.at);
    V::transpose_quarters(x.at);
    return x;
  }
  // Bytes at .. at + 3 of each row; reads sixteen.
  Bits dword(int64_t at) const {
    Bits x[4];
    load<1>(at, x);
    return V::first_dwords(x);
  }

  // Part k4 of 64 of the requests that do not come with reading, after what made `codes`.
  template <int k4>
  void ask(Bits& codes) const {
    for (int64_t i = (n_lines_ + 1) * k4 / 128; i < (n_lines_ + 1) * (k4 + 1) / 128; ++i) request(codes);
  }

 private:
  static constexpr int64_t kBytesAhead = 512;  // in a row

  // Rows c, c + 4 and so on in vector c.
  template <int n_requests>
  void load(int64_t at, Bits (&x)[4]) const {
    at += offset_;
    asm volatile("" : "+r"(at));  // else g++ reads a whole block first and then asks for all of the next one at once
    unroll_flat<4>([&]<int c>() {
      x[c] = V::load_quarters([&](int q) { return row_[c + 4 * q] + at; });
      if constexpr ((c + 1) % (4 / n_requests) == 0) request(x[c]);
    });
  }
  void request(Bits& after) const {
    if (asked_ == n_lines_) return;
    after = V::fetch(after, line(asked_++));
  }
  const std::byte* line(int64_t i) const {
    if (lines_of_row_ == 0) return ahead_ + 64 * i;
    return row_[i / lines_of_row_] + offset_ + kBytesAhead + 64 * (i % lines_of_row_);
  }

  const std::byte* const* row_;
  int64_t offset_;
  const std::byte* ahead_ = nullptr;
  int64_t lines_of_row_ = 0;  // if they are far apart; constant, as what follows
  int64_t n_lines_;
  mutable int64_t asked_ = 0;  // of these lines; constant wherever it is used, once all is inlined
};

// Bits of each dword moved from bit `from` to bit `to`; those of other places come along.
template <class V, int from, int to>
inline typename V::Bits move_bits(typename V::Bits x) {
  if constexpr (from > to)
    return V::template shift_right32<from - to>(x);
  else if constexpr (from < to)
    return V::template shift_left32<to - from>(x);
  else
    return x;
}

// Bytes of each dword in another order: byte i of `order` is the number of the one that comes to lie at i.
template <class V, uint32_t order>
inline typename V::Bits order_bytes(typename V::Bits x) {
  return V::shuffle_bytes(x, V::quarters(order, order + 0x04040404, order + 0x08080808, order + 0x0c0c0c0c));
}
// Byte t of each dword in all of its bytes.
template <class V, int t>
inline typename V::Bits splat_byte(typename V::Bits x) {
  return order_bytes<V, 0x01010101 * t>(x);
}

// The low or the high nibble of each byte.
template <class V, bool high>
inline typename V::Bits nibbles(typename V::Bits x) {
  if constexpr (high) x = V::template shift_right<4>(x);
  return x & V::splat8(15);
}
// The nibbles of the lower or the upper half of each dword as its bytes: of each byte the low one, then the high one.
template <class V, int half>
inline typename V::Bits four_nibbles(typename V::Bits x) {
  const auto twice = order_bytes<V, 0x01010000 + 0x02020202 * half>(x);
  const auto high = V::template shift_right<4>(twice) & V::splat32(0x0f000f00);
  return V::and_or(twice, V::splat32(0x000f000f), high);
}
// Four codes at the low end of each dword as its bytes; those of fewer than eight bits.
template <class V, int bits>
inline typename V::Bits spread_codes(typename V::Bits x) {
  constexpr uint32_t kOne = (1u << bits) - 1, kTwo = (1u << (2 * bits)) - 1;
  const auto twos = V::and_or(V::template shift_left32<16 - 2 * bits>(x), V::splat32(kTwo << 16), x & V::splat32(kTwo));
  return V::and_or(V::template shift_left32<8 - bits>(twos), V::splat32(kOne << 8 | kOne << 24),
                   twos & V::splat32(kOne | kOne << 16));
}

}  // namespace tessera::kernels::cpu
