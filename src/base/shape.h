// The sizes of a tensor: up to 16 dimensions (the program format's limit), row-major, kept inline.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

#include "base/check.h"

namespace tessera {

class Shape {
 public:
  static constexpr int kMaxRank = 16;
  Shape() = default;
  Shape(std::initializer_list<int64_t> dims) : Shape(std::span(dims.begin(), dims.size())) {}
  explicit Shape(std::span<const int64_t> dims) {
    CHECK(dims.size() <= kMaxRank);
    for (int64_t d : dims) push_back(d);
  }
  int rank() const { return rank_; }
  int64_t& operator[](int i) { return dims_[static_cast<size_t>(i)]; }
  int64_t operator[](int i) const { return dims_[static_cast<size_t>(i)]; }
  int64_t back() const { return dims_[static_cast<size_t>(rank_ - 1)]; }
  const int64_t* begin() const { return dims_.data(); }
  const int64_t* end() const { return dims_.data() + rank_; }
  std::span<const int64_t> dims() const { return {dims_.data(), static_cast<size_t>(rank_)}; }
  void push_back(int64_t dim) {
    CHECK(rank_ < kMaxRank);
    dims_[static_cast<size_t>(rank_++)] = dim;
  }
  // Product of all sizes; 1 for a 0-d shape. Sizes are ours or verified, so the product fits.
  int64_t n_elements() const {
    int64_t n = 1;
    for (int64_t d : *this) n *= d;
    return n;
  }
  bool operator==(const Shape& other) const {
    if (rank_ != other.rank_) return false;
    for (int i = 0; i < rank_; ++i)
      if ((*this)[i] != other[i]) return false;
    return true;
  }

 private:
  std::array<int64_t, kMaxRank> dims_{};
  int rank_ = 0;
};

// "[1, 32, 256]"
std::string to_string(const Shape& shape);

}  // namespace tessera
