// libtessera_cuda.so, loaded when it is asked for.
#pragma once

#include "base/result.h"
#include "kernels/cuda/api.h"

namespace tessera::kernels::cuda {

// Looks beside the running program, in ../lib of it, then where the system looks; loaded once and kept. Errors:
// kNotFound without the library, kInvalidFormat for one of another version.
Result<const Api*> load_library();

}  // namespace tessera::kernels::cuda
