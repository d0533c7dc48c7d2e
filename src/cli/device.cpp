#include "cli/device.h"

#include <charconv>

#include "cli/command.h"
#include "cli/model_file.h"
#include "kernels/cuda/library.h"

namespace tessera::cli {

namespace {

// -1: the CPU.
int parse_ordinal(const std::string& device) {
  if (device == "cpu") return -1;
  const std::string prefix = "cuda";
  int ordinal = device == prefix ? 0 : -1;
  if (device.starts_with(prefix + ":")) {
    const char* end = device.data() + device.size();
    const auto parsed = std::from_chars(device.data() + prefix.size() + 1, end, ordinal);
    if (parsed.ec != std::errc() || parsed.ptr != end) ordinal = -1;
  }
  if (ordinal < 0) throw Failure{fmt::format("device '{}': expected cpu, cuda or cuda:N", device)};
  return ordinal;
}

std::shared_ptr<kernels::cuda::Gpu> open_gpu(const std::string& device, int ordinal) {
  if (ordinal < 0) return nullptr;
  const auto open = [&]() -> Result<std::shared_ptr<kernels::cuda::Gpu>> {
    return kernels::cuda::Gpu::open(*TRY(kernels::cuda::load_library()), ordinal);
  };
  auto gpu = open();
  if (!gpu) throw Failure{fmt::format("device '{}': {}", device, gpu.error().message)};
  return std::move(*gpu);
}

}  // namespace

std::future<std::shared_ptr<kernels::cuda::Gpu>> open_device(const std::string& device) {
  const int ordinal = parse_ordinal(device);
  const auto policy = ordinal < 0 ? std::launch::deferred : std::launch::async;
  return std::async(policy, [device, ordinal] { return open_gpu(device, ordinal); });
}

std::unique_ptr<runtime::StepSession> open_session(const LoadedModel& loaded) {
  if (loaded.device) return need(runtime::DeviceSession::create(loaded.device));
  return need(runtime::Session::create(loaded.model));
}

}  // namespace tessera::cli
