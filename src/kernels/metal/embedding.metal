// out[i, :] = w[ids[i], :]; a row of zeros for an id outside [0, n_rows).
//
//   grid          (K, number of ids, 1), threadgroups of 256: one block of one row each
//   work          the first 16 threads unpack half a chunk each, 16 values; the others have nothing to do. A row is
//                 a few kilobytes, and this way the unpacking is the one the matrix product uses.
namespace gguf {

template <typename F, typename OutT>
inline void embedding(device const uchar* weight, long id, long n_rows, device OutT* out, int K, uint3 position) {
  const int block = int(position.x) / 256, worker = int(position.x) % 256;
  if (worker >= 16) return;
  const int chunk = worker / 2, part = worker % 2;
  float values[16] = {};
  if (id >= 0 && id < n_rows) {
    device const uchar* row = weight + ulong(id) * (ulong(K / 256) * F::kBytes);
    unpack<F>(row + block * F::kBytes, chunk, part, values);
  }
  device OutT* to = out + ulong(position.y) * ulong(K) + ulong(256 * block + F::first(chunk) + 8 * part);
  for (int run = 0; run < 2; ++run)
    for (int i = 0; i < 8; ++i) to[F::kRunStep * run + i] = OutT(values[8 * run + i]);
}

}  // namespace gguf
