#include "base/npy.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <optional>

#include "base/byte_reader.h"
#include "base/checked_math.h"

namespace tessera {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kAlignment = 64;

struct Row {
  std::string_view descr;
  DType dtype;
};
// One row per dtype, its descr as it is written; '|' and '=' instead of '<' are read as well.
constexpr std::array kRows = {
    Row{"|u1", DType::kU8},   Row{"|i1", DType::kI8},  Row{"<u2", DType::kU16}, Row{"<i2", DType::kI16},
    Row{"<u4", DType::kU32},  Row{"<i4", DType::kI32}, Row{"<i8", DType::kI64}, Row{"<f2", DType::kF16},
    Row{"<V2", DType::kBF16}, Row{"<f4", DType::kF32}, Row{"<f8", DType::kF64}, Row{"|b1", DType::kBool},
};

std::optional<DType> dtype_of(std::string_view descr) {
  if (descr.empty() || descr[0] == '>') return std::nullopt;
  const bool marked = descr[0] == '<' || descr[0] == '|' || descr[0] == '=';
  const std::string_view type = descr.substr(marked ? 1 : 0);
  for (const Row& row : kRows)
    if (row.descr.substr(1) == type) return row.dtype;
  return std::nullopt;
}

// The dictionary, read token by token: only the literals NumPy writes.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, std::string_view source) : text_(text), source_(source) {}

  Result<NpyArray> parse() {
    TRY(expect('{'));
    while (!accept('}')) {
      const std::string_view key = TRY(quoted());
      TRY(expect(':'));
      TRY(value(key));
      if (!accept(',')) {
        TRY(expect('}'));
        break;
      }
    }
    skip_space();
    if (at_ != text_.size()) return fault("the end of the header");
    if (!has_descr_ || !has_order_ || !has_shape_)
      return invalid_format("{}: the header lacks descr, fortran_order or shape", source_);
    return std::move(array_);
  }

 private:
  Error fault(std::string_view expected) const {
    const std::string_view rest = text_.substr(at_, 20);
    return invalid_format("{}: header: expected {}, found '{}'", source_, expected, rest);
  }
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t')) ++at_;
  }
  bool accept(char c) {
    skip_space();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  Status expect(char c) {
    if (!accept(c)) return fault(fmt::format("'{}'", c));
    return {};
  }
  bool accept(std::string_view word) {
    skip_space();
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }
  Result<std::string_view> quoted() {
    const char mark = accept('\'') ? '\'' : '"';
    if (mark == '"' && !accept('"')) return fault("a string");
    const size_t end = text_.find(mark, at_);
    if (end == std::string_view::npos) return fault("a closing quote");
    const std::string_view out = text_.substr(at_, end - at_);
    at_ = end + 1;
    return out;
  }
  Status value(std::string_view key) {
    if (key == "descr") return descr();
    if (key == "fortran_order") return order();
    if (key == "shape") return shape();
    return invalid_format("{}: header: unknown key '{}'", source_, key);
  }
  Status descr() {
    skip_space();
    if (at_ < text_.size() && text_[at_] == '[')
      return not_implemented("{}: an array of records; expected plain numbers", source_);
    const std::string_view text = TRY(quoted());
    const auto dtype = dtype_of(text);
    if (!dtype)
      return not_implemented("{}: element type '{}'; supported: little-endian f2 f4 f8 i1 i2 i4 i8 u1 u2 u4 b1 V2",
                             source_, text);
    array_.dtype = *dtype;
    has_descr_ = true;
    return {};
  }
  Status order() {
    array_.fortran_order = accept("True");
    if (!array_.fortran_order && !accept("False")) return fault("True or False");
    has_order_ = true;
    return {};
  }
  Status shape() {
    TRY(expect('('));
    array_.shape = {};
    while (!accept(')')) {
      skip_space();
      int64_t size = 0;
      const char* begin = text_.data() + at_;
      const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), size);
      if (error != std::errc() || size < 0) return fault("a size");
      if (array_.shape.rank() == Shape::kMaxRank) return fault("at most 16 sizes");
      array_.shape.push_back(size);
      at_ += static_cast<size_t>(end - begin);
      if (!accept(',')) {
        TRY(expect(')'));
        break;
      }
    }
    has_shape_ = true;
    return {};
  }

  std::string_view text_, source_;
  size_t at_ = 0;
  NpyArray array_;
  bool has_descr_ = false, has_order_ = false, has_shape_ = false;
};

Result<size_t> data_bytes(const NpyArray& array, std::string_view source) {
  auto bytes = static_cast<int64_t>(size_of(array.dtype));
  bool empty = false;
  for (const int64_t dim : array.shape) {  // an empty array's other sizes must be sane as well
    empty = empty || dim == 0;
    const auto next = checked_mul(bytes, std::max<int64_t>(dim, 1));
    if (!next) return invalid_format("{}: an array of shape {} is too large", source, to_string(array.shape));
    bytes = *next;
  }
  return empty ? 0 : static_cast<size_t>(bytes);
}

// A byte that is neither false nor true must not be read as a bool.
Status check_bools(std::span<const std::byte> bytes, size_t offset, std::string_view source) {
  const auto bad = std::find_if(bytes.begin(), bytes.end(), [](std::byte b) { return b > std::byte{1}; });
  if (bad == bytes.end()) return {};
  return invalid_format("{}: offset {}: a bool is 0 or 1, found {}", source,
                        offset + static_cast<size_t>(bad - bytes.begin()), static_cast<int>(*bad));
}

}  // namespace

Result<NpyArray> parse_npy(std::span<const std::byte> bytes, std::string_view source) {
  ByteReader reader(bytes, source);
  const auto magic = TRY(reader.take(kMagic.size(), "the magic"));
  if (std::memcmp(magic.data(), kMagic.data(), kMagic.size()) != 0)
    return invalid_format("{}: not a NumPy array (.npy): expected the magic \\x93NUMPY at offset 0", source);
  const auto major = TRY(reader.read<uint8_t>("version"));
  TRY(reader.read<uint8_t>("version"));
  if (major < 1 || major > 3) return not_implemented("{}: .npy version {}; supported: 1, 2, 3", source, major);
  const size_t length =
      major == 1 ? TRY(reader.read<uint16_t>("the header length")) : TRY(reader.read<uint32_t>("the header length"));
  const auto header = TRY(reader.take(length, "the header"));
  const std::string_view text(reinterpret_cast<const char*>(header.data()), header.size());
  NpyArray array = TRY(HeaderParser(text, source).parse());
  const size_t n_bytes = TRY(data_bytes(array, source));
  const size_t begin = reader.offset();
  array.bytes = TRY(reader.take(n_bytes, "the array"));
  if (array.dtype == DType::kBool) TRY(check_bools(array.bytes, begin, source));
  if (reader.remaining() != 0)
    return invalid_format("{}: offset {}: {} bytes after an array {} {}", source, reader.offset(), reader.remaining(),
                          name_of(array.dtype), to_string(array.shape));
  return array;
}

std::vector<std::byte> NpyArray::row_major() const {
  if (!fortran_order) return {bytes.begin(), bytes.end()};
  const size_t size = size_of(dtype);
  std::vector<std::byte> out(bytes.size());
  // `index` counts through the array with the first axis fastest, as the bytes come; `at` is its row-major place.
  std::vector<int64_t> strides(static_cast<size_t>(shape.rank()), 1), index(strides.size(), 0);
  for (size_t axis = strides.size(); axis-- > 1;) strides[axis - 1] = strides[axis] * shape[static_cast<int>(axis)];
  size_t at = 0;
  for (size_t i = 0; i < bytes.size(); i += size) {
    std::memcpy(out.data() + at * size, bytes.data() + i, size);
    for (size_t axis = 0; axis < index.size(); ++axis) {
      at += static_cast<size_t>(strides[axis]);
      if (++index[axis] < shape[static_cast<int>(axis)]) break;
      at -= static_cast<size_t>(strides[axis] * index[axis]);
      index[axis] = 0;
    }
  }
  return out;
}

std::string npy_header(DType dtype, const Shape& shape) {
  std::string_view descr;
  for (const Row& row : kRows)
    if (row.dtype == dtype) descr = row.descr;
  CHECK(!descr.empty());
  std::string sizes;
  for (const int64_t dim : shape) sizes += fmt::format("{}, ", dim);
  if (shape.rank() > 1) sizes.resize(sizes.size() - 2);
  if (shape.rank() == 1) sizes.pop_back();  // "(3,)"
  std::string text = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", descr, sizes);
  const size_t before = kMagic.size() + 2 + sizeof(uint16_t);  // 16 sizes of 19 digits stay far below 64 KiB
  text.resize(align_up(before + text.size() + 1, kAlignment) - before - 1, ' ');
  text += '\n';
  std::string out(kMagic);
  out += {'\1', '\0', static_cast<char>(text.size() & 0xff), static_cast<char>(text.size() >> 8)};
  return out + text;
}

}  // namespace tessera
