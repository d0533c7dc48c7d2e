#include "quant/bit_planes.h"

#include <gtest/gtest.h>

#include <array>

#include "test_util.h"

namespace tessera::quant {
namespace {

// Packs random codes and takes them apart again: the bits under the mask return, all others stay zero.
template <size_t kPackedBytes, typename Pack, typename Unpack>
void expect_round_trip(Pack pack, Unpack unpack, size_t n_codes, uint8_t mask) {
  auto rng = testing::fresh_rng();
  std::vector<uint8_t> codes(n_codes), again(n_codes);
  for (uint8_t& code : codes) code = static_cast<uint8_t>(rng());
  std::array<uint8_t, kPackedBytes + 1> packed;
  packed.fill(0xa5);
  pack(codes.data(), packed.data());
  EXPECT_EQ(packed.back(), 0xa5) << "wrote past the end";
  unpack(packed.data(), again.data());
  for (size_t i = 0; i < n_codes; ++i) ASSERT_EQ(again[i], codes[i] & mask) << i;
}

TEST(BitPlanes, RoundTrip) {
  expect_round_trip<16>(pack_nibbles<16>, unpack_nibbles<16>, 32, 0x0f);
  expect_round_trip<64>(pack_nibbles<64>, unpack_nibbles<64>, 128, 0x0f);
  expect_round_trip<64>(pack_bit_pairs<0>, unpack_bit_pairs<0>, 256, 0x03);
  expect_round_trip<64>(pack_bit_pairs<4>, unpack_bit_pairs<4>, 256, 0x30);
  expect_round_trip<32>(pack_bits<2>, unpack_bits<2>, 256, 0x04);
  expect_round_trip<32>(pack_bits<4>, unpack_bits<4>, 256, 0x10);
  expect_round_trip<4>(pack_word_bits<4>, unpack_word_bits<4>, 32, 0x10);
}

}  // namespace
}  // namespace tessera::quant
