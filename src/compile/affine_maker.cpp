#include "compile/affine_maker.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <mutex>
#include <optional>
#include <vector>

#include "base/thread_pool.h"
#include "quant/code_words.h"
#include "quant/param_array.h"

namespace tessera::compile {
namespace {

using quant::AffineMatrix;
using quant::AffineRows;
using quant::AffineShape;

constexpr int64_t kGroupSizes[] = {128, 64, 32};
// A matrix whose constants are no larger is kept until the next one: all but embedding tables and heads, of which even
// the parameters alone would be 100 MB.
constexpr int64_t kMaxKeptBytes = int64_t{160} << 20;
constexpr int64_t kBatchValues = int64_t{1} << 22;  // in memory at once of a larger matrix: some 25 MB as f32 and codes
constexpr int64_t kGrainValues = int64_t{1} << 17;  // of one thread

enum Piece { kPacked, kScales, kBiases };

// What the constants of a matrix look like, and how to fill them row by row.
struct Layout {
  AffineShape shape;
  int64_t group_size = 0;  // divides shape.group_size
  DType dtype = DType::kBF16;

  int64_t row_bytes(Piece piece) const {
    if (piece == kPacked) return shape.k * shape.bits / 8;
    return shape.k / group_size * static_cast<int64_t>(size_of(dtype));
  }
  int64_t row_bytes() const { return row_bytes(kPacked) + 2 * row_bytes(kScales); }
};

using Pieces = std::array<std::vector<std::byte>, 3>;

void put(const quant::ParamArray& params, std::vector<std::byte>& out, int64_t offset) {
  std::memcpy(out.data() + offset, params.bytes.data(), params.bytes.size());
}

// Rows that begin at row `at` of the pieces. Biases are computed from the scales as they are stored, so that a code
// equal to the zero point gives zero again, as nearly as one rounding allows.
void fill(const Layout& layout, const AffineRows& rows, int64_t at, Pieces& out) {
  std::vector<uint32_t> words(rows.codes.size() * static_cast<size_t>(layout.shape.bits) / 32);
  quant::pack_codes(rows.codes, layout.shape.bits, words.data());  // rows are whole words
  std::memcpy(out[kPacked].data() + at * layout.row_bytes(kPacked), words.data(), words.size() * sizeof(uint32_t));

  const auto repeats = static_cast<size_t>(layout.shape.group_size / layout.group_size);
  std::vector<float> values(rows.scales.size() * repeats);
  for (size_t i = 0; i < values.size(); ++i) values[i] = rows.scales[i / repeats];
  const quant::ParamArray scales = quant::to_params(values, layout.dtype);
  put(scales, out[kScales], at * layout.row_bytes(kScales));
  for (size_t i = 0; i < values.size(); ++i) values[i] = -scales[i] * rows.zeros[i / repeats];
  put(quant::to_params(values, layout.dtype), out[kBiases], at * layout.row_bytes(kBiases));
}

Result<Pieces> make(const AffineMatrix& matrix, const Layout& layout, int64_t begin, int64_t end, ThreadPool& pool) {
  Pieces out;
  for (const Piece piece : {kPacked, kScales, kBiases})
    out[piece].resize(static_cast<size_t>((end - begin) * layout.row_bytes(piece)));
  std::mutex mutex;
  std::optional<Error> error;
  pool.parallel_for(end - begin, std::max<int64_t>(1, kGrainValues / layout.shape.k), [&](int64_t from, int64_t to) {
    const auto rows = matrix.rows(begin + from, begin + to);
    if (rows) return fill(layout, *rows, from, out);
    std::lock_guard lock(mutex);
    error = rows.error();
  });
  if (error) return *error;
  return out;
}

Result<Layout> layout_of(const AffineShape& shape, DType dtype) {
  for (const int64_t size : kGroupSizes)
    if (shape.group_size % size == 0) return Layout{shape, size, dtype};
  return not_implemented("groups of {} values; a program's matrix kernels need multiples of 32", shape.group_size);
}

}  // namespace

struct AffineMaker::State {
  explicit State(int n_threads) : pool(n_threads) {}

  // The matrix made last, whole.
  Result<const Pieces*> keep(const std::shared_ptr<const AffineMatrix>& matrix, const Layout& layout) {
    if (kept_matrix != matrix) {
      kept = Pieces();  // before the new one takes its place in memory
      kept_matrix = nullptr;
      kept = TRY(make(*matrix, layout, 0, layout.shape.n, pool));
      kept_matrix = matrix;
    }
    return &kept;
  }

  Status write(const std::shared_ptr<const AffineMatrix>& matrix, const Layout& layout, Piece piece,
               const program::DataSource::Sink& sink) {
    std::lock_guard lock(mutex);
    const int64_t n = layout.shape.n;
    if (n * layout.row_bytes() <= kMaxKeptBytes) {
      const Pieces& all = *TRY(keep(matrix, layout));
      return sink(all[piece]);
    }
    const int64_t batch = std::max<int64_t>(1, kBatchValues / layout.shape.k);
    for (int64_t row = 0; row < n; row += batch) {
      const Pieces some = TRY(make(*matrix, layout, row, std::min(n, row + batch), pool));
      TRY(sink(some[piece]));
    }
    return {};
  }

  std::mutex mutex;
  ThreadPool pool;
  std::shared_ptr<const AffineMatrix> kept_matrix;
  Pieces kept;
};

AffineMaker::AffineMaker(int n_threads) : state_(std::make_unique<State>(n_threads)) {}
AffineMaker::~AffineMaker() = default;

Result<AffineData> AffineMaker::data(std::shared_ptr<AffineMaker> maker, const std::string& name,
                                     std::shared_ptr<const AffineMatrix> matrix, DType dtype) {
  const AffineShape& shape = matrix->shape();
  const auto layout = layout_of(shape, dtype);
  if (!layout) return layout.error().in(fmt::format("tensor {}", name));
  const auto lazy = [&](Piece piece) {
    const auto size = static_cast<uint64_t>(shape.n * layout->row_bytes(piece));
    return program::Data::lazy({size, [=, layout = *layout](const program::DataSource::Sink& sink) -> Status {
                                  const Status status = maker->state_->write(matrix, layout, piece, sink);
                                  return status ? status : status.error().in(fmt::format("tensor {}", name));
                                }});
  };
  AffineData out{.bits = shape.bits,
                 .group_size = static_cast<int>(layout->group_size),
                 .dtype = dtype,
                 .n = shape.n,
                 .k = shape.k,
                 .packed = lazy(kPacked),
                 .scales = lazy(kScales)};
  if (!shape.is_centered) out.biases = lazy(kBiases);
  return out;
}

}  // namespace tessera::compile
