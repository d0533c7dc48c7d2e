#include "kernels/cuda/library.h"

#include <dlfcn.h>
#include <limits.h>
#include <unistd.h>

#include <string>
#include <vector>

namespace tessera::kernels::cuda {
namespace {

constexpr const char* kFile = "libtessera_cuda.so";

std::vector<std::string> candidates() {
  std::vector<std::string> out;
  char path[PATH_MAX];
  const ssize_t n = readlink("/proc/self/exe", path, sizeof(path));
  if (n > 0) {
    const std::string program(path, static_cast<size_t>(n));
    const std::string folder = program.substr(0, program.rfind('/') + 1);
    out = {folder + kFile, folder + "../lib/" + kFile};
  }
  out.emplace_back(kFile);
  return out;
}

Result<const Api*> load() {
  void* handle = nullptr;
  std::string reason;
  for (const std::string& path : candidates()) {
    const bool is_there = path.find('/') == std::string::npos || access(path.c_str(), F_OK) == 0;
    if (!is_there) continue;
    handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle) break;
    reason = dlerror();
    if (path.find('/') != std::string::npos) return invalid_format("{}", reason);
  }
  if (!handle)
    return make_error(ErrorCode::kNotFound,
                      "{} is neither beside this program nor in the library path (it is built with -DTESSERA_CUDA=ON): "
                      "{}",
                      kFile, reason);
  const auto function = reinterpret_cast<ApiFunction>(dlsym(handle, kApiSymbol));
  const Api* api = function ? function() : nullptr;
  if (!api || api->version != kApiVersion)
    return invalid_format("{} is of another version: interface {}, expected {}", kFile, api ? api->version : 0,
                          kApiVersion);
  return api;
}

}  // namespace

Result<const Api*> load_library() {
  static const Result<const Api*> loaded = load();
  return loaded;
}

}  // namespace tessera::kernels::cuda
