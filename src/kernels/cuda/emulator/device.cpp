#include "kernels/cuda/emulator/device.h"

#include <cstdio>
#include <cstring>

#include "base/check.h"
#include "kernels/cuda/operations.cuh"

namespace tessera::kernels::cuda {

// The recorded work, in order.
struct Graph {
  std::vector<std::function<int(Failure*)>> work;
};

int fail(Failure* failure, const char* message) {
  std::snprintf(failure->message, sizeof(failure->message), "%s", message);
  return 1;
}
int enter(Device&, Failure*) { return 0; }

int enqueue(Device& device, std::function<int(Failure*)> work, Failure* failure) {
  if (!device.capturing) return work(failure);
  device.capturing->work.push_back(std::move(work));
  return 0;
}

int run_emulated(const Launch& shape, const std::function<void()>& kernel, Failure* failure) {
  const Status status = launch_emulated(shape.blocks, shape.threads, shape.shared_bytes, kernel);
  return status ? 0 : fail(failure, status.error().message.c_str());
}

namespace {

constexpr uint64_t kCardBytes = uint64_t{1} << 30;

int open_device(int ordinal, Device** out, DeviceInfo* info, Failure* failure) {
  if (ordinal != 0) return fail(failure, "there is one emulated device");
  *out = new Device;
  *info = {};
  std::snprintf(info->name, sizeof(info->name), "emulated");
  info->free_bytes = info->total_bytes = kCardBytes;
  info->n_multiprocessors = (*out)->n_multiprocessors;
  info->shared_bytes = (*out)->shared_bytes;
  return 0;
}
void close_device(Device* device) { delete device; }

// Each of its own, so that a kernel that leaves one is found.
int allocate(Device* device, const uint64_t* bytes, uint64_t n, Address* addresses, Failure* failure) {
  uint64_t total = 0;
  for (uint64_t i = 0; i < n; ++i)
    if (bytes[i] > kCardBytes || (total += bytes[i]) > kCardBytes) return fail(failure, "device memory: out of memory");
  for (uint64_t i = 0; i < n; ++i) addresses[i] = device->memory.allocate(bytes[i]);
  return 0;
}
void release(Device* device, const Address* addresses, uint64_t n) {
  for (uint64_t i = 0; i < n; ++i) device->memory.release(addresses[i]);
}

int upload(Device* device, const UploadPart* parts, uint64_t n, Failure* failure) {
  for (uint64_t i = 0; i < n; ++i) {
    const UploadPart& part = parts[i];
    std::byte* place = device->memory.bytes_at(part.to, part.bytes);
    if (!place || device->capturing) return fail(failure, "upload outside an allocation, or while capturing");
    if (part.bytes > 0) std::memcpy(place, part.from, part.bytes);
  }
  return 0;
}
int download(Device* device, void* to, Address from, uint64_t bytes, Failure* failure) {
  const std::byte* place = device->memory.bytes_at(from, bytes);
  if (!place || device->capturing) return fail(failure, "download outside an allocation, or while capturing");
  std::memcpy(to, place, bytes);
  return 0;
}
int copy(Device* device, const CopyArgs* args, Failure* failure) {
  return enqueue(
      *device,
      [device, args = *args](Failure* to) {
        const std::byte* source = device->memory.bytes_at(args.from, args.bytes);
        std::byte* target = device->memory.bytes_at(args.to, args.bytes);
        if (!source || !target) return fail(to, "copy outside an allocation");
        std::memcpy(target, source, args.bytes);
        return 0;
      },
      failure);
}
int synchronize(Device*, Failure*) { return 0; }

int begin_capture(Device* device, Failure*) {
  CHECK(!device->capturing);
  device->capturing = new Graph;
  return 0;
}
int end_capture(Device* device, Graph** graph, Failure*) {
  *graph = device->capturing;
  device->capturing = nullptr;
  return 0;
}
int replay(Device*, Graph* graph, Failure* failure) {
  for (const auto& work : graph->work)
    if (work(failure)) return 1;
  return 0;
}
void release_graph(Device*, Graph* graph) { delete graph; }

int mark(Device*, int, Failure*) { return 0; }
int seconds_between_marks(Device*, double*, Failure* failure) { return fail(failure, "an emulator has no clock"); }

Api make_api() {
  Api api{.version = kApiVersion,
          .open = open_device,
          .close = close_device,
          .allocate = allocate,
          .release = release,
          .upload = upload,
          .download = download,
          .synchronize = synchronize,
          .begin_capture = begin_capture,
          .end_capture = end_capture,
          .replay = replay,
          .release_graph = release_graph,
          .mark = mark,
          .seconds_between_marks = seconds_between_marks,
          .copy = copy};
  fill_operations(api);
  return api;
}

}  // namespace

const Api& emulated_api() {
  static const Api api = make_api();
  return api;
}

}  // namespace tessera::kernels::cuda
