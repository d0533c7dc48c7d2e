#include "kernels/metal/emulator/gguf_arguments.h"

namespace tessera::kernels::emulator {
namespace {

template <typename Format, typename InT, typename OutT, typename Bias>
void thread(const Arguments& a) {
  const auto x = a.input_as<InT>();
  const Pointer<Space::kConstant, const int> x_shape(&a.input_shape, 0);
  const int x_ndim = a.input_rank;
  const Pointer<Space::kDevice, const uchar> weight(&a.weight, 0);
  const auto bias = bias_of<Bias>(a);
  const auto out = a.out_as<OutT>();
  const int N = a.n, K = a.k;
  const uint3 threadgroup_position_in_grid = this_thread().threadgroup_position_in_grid;
  const uint thread_index_in_threadgroup = this_thread().thread_index_in_threadgroup;
  const uint simdgroup_index_in_threadgroup = this_thread().simdgroup_index_in_threadgroup;
#include "matmul_body_generated.h"
}

}  // namespace

ThreadBody matmul_thread(quant::GgmlType format, const Arguments& a) {
  return with_linear_types(format, a, [&]<typename Format, typename InT, typename OutT, typename Bias>() -> ThreadBody {
    return [&a] { thread<Format, InT, OutT, Bias>(a); };
  });
}

}  // namespace tessera::kernels::emulator
