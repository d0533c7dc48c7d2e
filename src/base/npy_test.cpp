#include "base/npy.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace tessera {
namespace {

std::vector<std::byte> file(const std::string& dictionary, const std::string& data, char major = 1) {
  std::string text = "\x93NUMPY";
  text += {major, '\0', static_cast<char>(dictionary.size()), '\0'};
  if (major > 1) text += {'\0', '\0'};
  text += dictionary + data;
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

std::string error_of(const std::vector<std::byte>& bytes) {
  const auto array = parse_npy(bytes, "a.npy");
  return array ? "no error" : array.error().message;
}

const std::string kPair = "{'descr': '|u1', 'fortran_order': False, 'shape': (2,), }\n";

TEST(Npy, EveryDtypeAndShapeComesBack) {
  for (const DType dtype : {DType::kU8, DType::kI8, DType::kU16, DType::kI16, DType::kU32, DType::kI32, DType::kI64,
                            DType::kF16, DType::kBF16, DType::kF32, DType::kF64, DType::kBool}) {
    for (const Shape& shape : {Shape{}, Shape{3}, Shape{2, 3}, Shape{2, 0, 4}, Shape{1, 1, 1, 1, 1}}) {
      const std::string header = npy_header(dtype, shape);
      EXPECT_EQ(header.size() % 64, 0u);
      std::string text = header;
      const size_t n = static_cast<size_t>(shape.n_elements()) * size_of(dtype);
      for (size_t i = 0; i < n; ++i) text += static_cast<char>(dtype == DType::kBool ? i % 2 : i);
      const auto array = parse_npy(std::as_bytes(std::span(text)), "a.npy");
      ASSERT_TRUE(array) << array.error().message;
      EXPECT_EQ(array->dtype, dtype);
      EXPECT_EQ(array->shape, shape);
      EXPECT_FALSE(array->fortran_order);
      ASSERT_EQ(array->bytes.size(), n);
      const auto elements = array->row_major();
      EXPECT_TRUE(std::equal(elements.begin(), elements.end(), array->bytes.begin(), array->bytes.end()));
    }
  }
}

TEST(Npy, TheHeaderIsWhatNumpyWrites) {
  const std::string header = npy_header(DType::kF32, {2, 3});
  EXPECT_EQ(header.size(), 128u);
  EXPECT_EQ(header.substr(0, 10), std::string("\x93NUMPY\x01\x00\x76\x00", 10));
  EXPECT_EQ(header.substr(10, 58), "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), ");
  EXPECT_EQ(header.back(), '\n');
  EXPECT_NE(npy_header(DType::kBool, {3}).find("'|b1', 'fortran_order': False, 'shape': (3,), }"), std::string::npos);
  EXPECT_NE(npy_header(DType::kI64, {}).find("'shape': (), }"), std::string::npos);
}

TEST(Npy, ReadsVersionsTwoAndThreeAndLooseSpelling) {
  for (const char major : {'\2', '\3'}) {
    const auto bytes = file("{\"shape\": (1,2), \"descr\": \"=i1\", \"fortran_order\": False}", "ab", major);
    const auto array = parse_npy(bytes, "a.npy");
    ASSERT_TRUE(array) << array.error().message;
    EXPECT_EQ(array->dtype, DType::kI8);
    EXPECT_EQ(array->shape, (Shape{1, 2}));
  }
}

TEST(Npy, FortranOrderIsTurned) {
  const auto bytes = file("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3, 2), }\n", "abcdefghijkl");
  const auto array = parse_npy(bytes, "a.npy");
  ASSERT_TRUE(array) << array.error().message;
  // Element (i, j, k) lies at i + 2 j + 6 k.
  const auto turned = array->row_major();
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(turned.data()), turned.size()), "agciekbhdjfl");
}

TEST(Npy, RefusesWhatItCannotRead) {
  const auto with = [](const std::string& from, const std::string& to) {
    std::string text = kPair;
    text.replace(text.find(from), from.size(), to);
    return error_of(file(text, "xy"));
  };
  EXPECT_EQ(error_of(file(kPair, "xy")), "no error");
  EXPECT_NE(with("|u1", ">f4").find("element type '>f4'; supported: little-endian"), std::string::npos);
  EXPECT_NE(with("|u1", "<c8").find("element type '<c8'"), std::string::npos);
  EXPECT_NE(with("'|u1'", "[('a', '<f4')]").find("array of records"), std::string::npos);
  EXPECT_NE(with("False", "None").find("expected True or False, found 'None"), std::string::npos);
  EXPECT_NE(with("(2,)", "(-2,)").find("expected a size"), std::string::npos);
  EXPECT_NE(with("(2,)", "(3,)").find("the array needs 3 bytes, 2 left"), std::string::npos);
  EXPECT_NE(with("(2,)", "(1,)").find("1 bytes after an array u8 [1]"), std::string::npos);
  EXPECT_NE(with("(2,)", "(4294967296, 4294967296, 0)").find("too large"), std::string::npos);
  EXPECT_NE(with("(2,)", "(1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,2)").find("at most 16 sizes"), std::string::npos);
  EXPECT_NE(with("'shape': (2,), ", "").find("lacks descr, fortran_order or shape"), std::string::npos);
  EXPECT_NE(with("'shape'", "'size'").find("unknown key 'size'"), std::string::npos);
  EXPECT_NE(with("}", "} 1").find("the end of the header"), std::string::npos);
  EXPECT_NE(error_of(file(kPair, "xy", 9)).find(".npy version 9"), std::string::npos);
  EXPECT_NE(error_of(std::vector<std::byte>(40)).find("not a NumPy array"), std::string::npos);
}

TEST(Npy, ABoolIsZeroOrOne) {
  const std::string header = npy_header(DType::kBool, {3});
  const auto with = [&](std::string_view data) {
    const std::string text = header + std::string(data);
    const auto bytes = std::as_bytes(std::span(text));
    return error_of({bytes.begin(), bytes.end()});
  };
  EXPECT_EQ(with({"\0\1\1", 3}), "no error");
  EXPECT_EQ(with({"\1\0\2", 3}), fmt::format("a.npy: offset {}: a bool is 0 or 1, found 2", header.size() + 2));
  EXPECT_NE(with({"\xff\0\1", 3}).find("found 255"), std::string::npos);
}

TEST(Npy, EveryTruncationIsAnError) {
  const auto whole = file(kPair, "xy");
  for (size_t n = 0; n < whole.size(); ++n)
    EXPECT_NE(error_of({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n)}), "no error") << n;
}

}  // namespace
}  // namespace tessera
