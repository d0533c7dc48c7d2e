#include "kernels/metal/emulator/gguf_arguments.h"

namespace tessera::kernels::emulator {
namespace {

template <typename Format, typename OutT>
void thread(const Arguments& a) {
  const Pointer<Space::kDevice, const uchar> weight(&a.weight, 0);
  const Pointer<Space::kConstant, const int> weight_shape(&a.weight_shape, 0);
  const AnyInts indices{&a.input, a.input_dtype};
  const auto out = a.out_as<OutT>();
  const int K = a.k;
  const uint3 thread_position_in_grid = this_thread().thread_position_in_grid;
#include "embedding_body_generated.h"
}

}  // namespace

ThreadBody embedding_thread(quant::GgmlType format, const Arguments& a) {
  return with_format(format, [&]<typename Format>() {
    return with_float(a.out_dtype, [&]<typename OutT>() -> ThreadBody { return [&a] { thread<Format, OutT>(a); }; });
  });
}

}  // namespace tessera::kernels::emulator
