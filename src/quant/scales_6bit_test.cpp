#include "quant/scales_6bit.h"

#include <gtest/gtest.h>

#include "test_util.h"

namespace tessera::quant {
namespace {

TEST(Scales6Bit, UnpackTheDocumentedExample) {
  const uint8_t packed[12] = {0x21, 0x53, 0x8a, 0xc7, 0x05, 0x48, 0x9f, 0xe2, 0x37, 0x64, 0xb1, 0x0c};
  const uint8_t expected_scales[8] = {33, 19, 10, 7, 7, 20, 33, 60}, expected_mins[8] = {5, 8, 31, 34, 3, 22, 43, 48};
  uint8_t scales[8], mins[8];
  unpack_scales_6bit(packed, scales, mins);
  for (int j = 0; j < 8; ++j) {
    EXPECT_EQ(scales[j], expected_scales[j]) << j;
    EXPECT_EQ(mins[j], expected_mins[j]) << j;
  }
}

// All 96 bits carry information, so packing undoes unpacking for any bytes.
TEST(Scales6Bit, PackIsTheInverse) {
  auto rng = testing::fresh_rng();
  for (int round = 0; round < 1000; ++round) {
    uint8_t packed[12], scales[8], mins[8], again[12];
    for (uint8_t& byte : packed) byte = static_cast<uint8_t>(rng());
    unpack_scales_6bit(packed, scales, mins);
    for (int j = 0; j < 8; ++j) EXPECT_TRUE(scales[j] < 64 && mins[j] < 64);
    pack_scales_6bit(scales, mins, again);
    ASSERT_EQ(std::memcmp(packed, again, 12), 0);
  }
}

}  // namespace
}  // namespace tessera::quant
