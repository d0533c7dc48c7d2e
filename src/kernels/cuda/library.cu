// libtessera_cuda.so: the table of api.h over the CUDA runtime, which is linked into it.
#include <cstdio>
#include <new>

#include "kernels/cuda/machine.h"
#include "kernels/cuda/operations.cuh"

namespace tessera::kernels::cuda {

struct Graph {
  cudaGraphExec_t exec = nullptr;
};

int fail(Failure* failure, const char* message) {
  std::snprintf(failure->message, sizeof(failure->message), "%s", message);
  return 1;
}

int check(cudaError_t error, const char* what, Failure* failure) {
  if (error == cudaSuccess) return 0;
  std::snprintf(failure->message, sizeof(failure->message), "%s: %s (%s)", what, cudaGetErrorString(error),
                cudaGetErrorName(error));
  cudaGetLastError();  // the next call starts clean
  return 1;
}

int enter(Device& device, Failure* failure) { return check(cudaSetDevice(device.ordinal), "device", failure); }

namespace {

int check_machine(int ordinal, Failure* failure) {
  Machine machine{};
  if (cudaDriverGetVersion(&machine.driver) != cudaSuccess) machine.driver = 0;
  cudaRuntimeGetVersion(&machine.runtime);
  cudaError_t error = cudaSuccess;
  if (machine.driver != 0) error = cudaGetDeviceCount(&machine.n_devices);
  machine.is_driver_too_old = error == cudaErrorInsufficientDriver;
  if (!machine.is_driver_too_old && error != cudaErrorNoDevice && check(error, "looking for GPUs", failure)) return 1;
  return check_machine(machine, ordinal, failure);
}

void close_device(Device* device) {
  if (!device) return;
  cudaSetDevice(device->ordinal);
  device->transfers.reset();
  for (const cudaEvent_t mark : device->marks)
    if (mark) cudaEventDestroy(mark);
  if (device->stream) cudaStreamDestroy(device->stream);
  delete device;
}

int prepare(Device& device, DeviceInfo& info, Failure* failure) {
  cudaDeviceProp properties{};
  if (enter(device, failure)) return 1;
  if (check(cudaGetDeviceProperties(&properties, device.ordinal), "properties", failure)) return 1;
  device.n_multiprocessors = properties.multiProcessorCount;
  device.major = properties.major;
  device.shared_bytes = static_cast<int>(properties.sharedMemPerBlockOptin);
  cudaFuncAttributes code{};
  const bool has_code = cudaFuncGetAttributes(&code, advance_kernel) != cudaErrorNoKernelImageForDevice;
  cudaGetLastError();
  if (check_capability({properties.name, properties.major, properties.minor, has_code}, failure)) return 1;
  if (check(cudaStreamCreateWithFlags(&device.stream, cudaStreamNonBlocking), "stream", failure)) return 1;
  for (cudaEvent_t& mark : device.marks)
    if (check(cudaEventCreate(&mark), "event", failure)) return 1;
  device.transfers = Transfers::create(device.ordinal, device.stream, failure);
  if (!device.transfers) return 1;
  size_t free_bytes = 0, total_bytes = 0;
  if (check(cudaMemGetInfo(&free_bytes, &total_bytes), "memory", failure)) return 1;
  info = {};
  std::snprintf(info.name, sizeof(info.name), "%s", properties.name);
  info.free_bytes = free_bytes;
  info.total_bytes = total_bytes;
  info.n_multiprocessors = properties.multiProcessorCount;
  info.shared_bytes = device.shared_bytes;
  info.major = properties.major;
  info.minor = properties.minor;
  return 0;
}

int open_device(int ordinal, Device** out, DeviceInfo* info, Failure* failure) {
  if (check_machine(ordinal, failure)) return 1;
  auto* device = new (std::nothrow) Device;
  if (!device) return fail(failure, "out of memory");
  device->ordinal = ordinal;
  if (prepare(*device, *info, failure)) {
    close_device(device);
    return 1;
  }
  *out = device;
  return 0;
}

// One cudaMalloc for all: each costs as much as a small one or more.
int allocate(Device* device, const uint64_t* bytes, uint64_t n, Address* addresses, Failure* failure) {
  uint64_t total = 0;
  for (uint64_t i = 0; i < n; ++i) {
    addresses[i] = total;
    if (bytes[i] > UINT64_MAX / 2 - kPlacement - total) return fail(failure, "device memory: a size without sense");
    total += (bytes[i] + kPlacement - 1) / kPlacement * kPlacement;
  }
  void* data = nullptr;
  if (enter(*device, failure) || check(cudaMalloc(&data, total), "device memory", failure)) return 1;
  for (uint64_t i = 0; i < n; ++i) addresses[i] += reinterpret_cast<Address>(data);
  return 0;
}
void release(Device* device, const Address* addresses, uint64_t) {
  cudaSetDevice(device->ordinal);
  cudaFree(reinterpret_cast<void*>(addresses[0]));
}

int upload(Device* device, const UploadPart* parts, uint64_t n, Failure* failure) {
  return enter(*device, failure) || device->transfers->upload({parts, n}, failure);
}

int synchronize(Device* device, Failure* failure) {
  return enter(*device, failure) || check(cudaStreamSynchronize(device->stream), "running", failure);
}
int download(Device* device, void* to, Address from, uint64_t bytes, Failure* failure) {
  return enter(*device, failure) || device->transfers->download(to, from, bytes, failure);
}
int copy(Device* device, const CopyArgs* args, Failure* failure) {
  return enter(*device, failure) ||
         check(cudaMemcpyAsync(reinterpret_cast<void*>(args->to), reinterpret_cast<const void*>(args->from),
                               args->bytes, cudaMemcpyDeviceToDevice, device->stream),
               "copy", failure);
}

int begin_capture(Device* device, Failure* failure) {
  return enter(*device, failure) ||
         check(cudaStreamBeginCapture(device->stream, cudaStreamCaptureModeThreadLocal), "capture", failure);
}
int end_capture(Device* device, Graph** out, Failure* failure) {
  cudaGraph_t graph = nullptr;
  if (enter(*device, failure) || check(cudaStreamEndCapture(device->stream, &graph), "capture", failure)) return 1;
  cudaGraphExec_t exec = nullptr;
  const int failed = check(cudaGraphInstantiate(&exec, graph, 0), "graph", failure);
  cudaGraphDestroy(graph);
  if (failed) return 1;
  *out = new (std::nothrow) Graph{exec};
  return *out ? 0 : fail(failure, "out of memory");
}
int replay(Device* device, Graph* graph, Failure* failure) {
  return enter(*device, failure) || check(cudaGraphLaunch(graph->exec, device->stream), "graph", failure);
}
void release_graph(Device* device, Graph* graph) {
  cudaSetDevice(device->ordinal);
  cudaGraphExecDestroy(graph->exec);
  delete graph;
}

int mark(Device* device, int which, Failure* failure) {
  return enter(*device, failure) || check(cudaEventRecord(device->marks[which], device->stream), "mark", failure);
}
int seconds_between_marks(Device* device, double* seconds, Failure* failure) {
  float milliseconds = 0;
  if (enter(*device, failure) || check(cudaEventSynchronize(device->marks[1]), "mark", failure) ||
      check(cudaEventElapsedTime(&milliseconds, device->marks[0], device->marks[1]), "mark", failure))
    return 1;
  *seconds = static_cast<double>(milliseconds) / 1e3;
  return 0;
}

Api make_api() {
  Api api{};
  api.version = kApiVersion;
  api.open = open_device;
  api.close = close_device;
  api.allocate = allocate;
  api.release = release;
  api.upload = upload;
  api.download = download;
  api.synchronize = synchronize;
  api.begin_capture = begin_capture;
  api.end_capture = end_capture;
  api.replay = replay;
  api.release_graph = release_graph;
  api.mark = mark;
  api.seconds_between_marks = seconds_between_marks;
  api.copy = copy;
  fill_operations(api);
  return api;
}

}  // namespace
}  // namespace tessera::kernels::cuda

extern "C" __attribute__((visibility("default"))) const tessera::kernels::cuda::Api* tessera_cuda_api() {
  static const tessera::kernels::cuda::Api api = tessera::kernels::cuda::make_api();
  return &api;
}
