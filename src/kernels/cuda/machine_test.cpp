#include "kernels/cuda/machine.h"

#include <gtest/gtest.h>

#include <string>

namespace tessera::kernels::cuda {
namespace {

std::string lack_of(const Machine& machine, int ordinal = 0) {
  Failure failure{};
  return check_machine(machine, ordinal, &failure) == 0 ? "" : failure.message;
}
std::string lack_of(const Capability& device) {
  Failure failure{};
  return check_capability(device, &failure) == 0 ? "" : failure.message;
}

TEST(Machine, EachLackIsNamed) {
  Machine machine{.driver = 13000, .runtime = 13000, .is_driver_too_old = false, .n_devices = 2};
  EXPECT_EQ(lack_of(machine), "");
  EXPECT_EQ(lack_of(machine, 1), "");
  EXPECT_EQ(lack_of(machine, 2), "GPU 2 of 2: the last one is cuda:1");
  machine.n_devices = 0;
  EXPECT_NE(lack_of(machine).find("no NVIDIA GPU"), std::string::npos);
  machine.is_driver_too_old = true, machine.driver = 12040;
  EXPECT_EQ(lack_of(machine), "the NVIDIA driver is too old: it knows CUDA 12.4, this library needs 13.0");
  machine.driver = 0;
  EXPECT_NE(lack_of(machine).find("no NVIDIA driver"), std::string::npos);
}

TEST(Machine, OldAndUnknownDevicesAreNamed) {
  EXPECT_EQ(lack_of(Capability{"X", 9, 0, true}), "");
  EXPECT_EQ(lack_of(Capability{"X", 7, 5, true}), "X has compute capability 7.5; 8.0 or later is needed");
  EXPECT_NE(lack_of(Capability{"X", 12, 0, false}).find("was not built"), std::string::npos);
}

}  // namespace
}  // namespace tessera::kernels::cuda
