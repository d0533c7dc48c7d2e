// --device: where a model runs.
#pragma once

#include <future>
#include <memory>
#include <string>

#include "runtime/device/device_session.h"

namespace tessera::cli {

struct LoadedModel;

// "cpu" gives null; "cuda" and "cuda:1" open that GPU, which takes a third of a second: on a thread of its own, while
// the program is read. Failure, at once: any other word; at get(): no library, no driver, no such GPU.
std::future<std::shared_ptr<kernels::cuda::Gpu>> open_device(const std::string& device);

// A session where the model is: on its GPU, or on the CPU.
std::unique_ptr<runtime::StepSession> open_session(const LoadedModel& loaded);

}  // namespace tessera::cli
