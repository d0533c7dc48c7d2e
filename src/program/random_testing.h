// Random values for any field type of any wire table, so that tests cover every node without listing one.
#pragma once

#include <optional>
#include <random>
#include <string>
#include <vector>

#include "program/nodes.h"

namespace tessera::program::testing {

class Randomiser {
 public:
  explicit Randomiser(std::mt19937_64& rng) : rng_(rng) {}

  // Never 0, so never a default.
  uint32_t number(uint32_t limit = 1000) { return 1 + static_cast<uint32_t>(rng_() % limit); }
  bool coin() { return rng_() % 2 == 0; }

  void fill(Tid& slot) { slot.idx = number(); }
  void fill(Vid& slot) { slot.idx = number(); }
  void fill(IntOrVid& value) { value = coin() ? IntOrVid(Vid{number()}) : IntOrVid(integer()); }
  void fill(FloatOrVid& value) { value = coin() ? FloatOrVid(Vid{number()}) : FloatOrVid(real()); }
  void fill(VidOrTid& value) { value = coin() ? VidOrTid(Vid{number()}) : VidOrTid(Tid{number()}); }
  void fill(IntOrVidOrTid& value) {
    switch (rng_() % 3) {
      case 0:
        value = IntOrVidOrTid(integer());
        break;
      case 1:
        value = IntOrVidOrTid(Vid{number()});
        break;
      default:
        value = IntOrVidOrTid(Tid{number()});
    }
  }
  void fill(String& text) { text = String("text " + std::to_string(rng_() % 5)); }
  void fill(bool& value) { value = !value; }  // away from the default
  void fill(float& value) { value = static_cast<float>(real()); }
  void fill(DType& value) {
    static constexpr DType kTypes[] = {DType::kI8, DType::kI32, DType::kBF16, DType::kU32, DType::kBool};
    value = kTypes[rng_() % std::size(kTypes)];
  }
  void fill(int8_t& value) { value = static_cast<int8_t>(number(127)); }
  void fill(int32_t& value) { value = coin() ? static_cast<int32_t>(number()) : -static_cast<int32_t>(number()); }
  void fill(uint32_t& value) { value = number(); }
  void fill(uint64_t& value) { value = uint64_t{number()} << 40; }
  template <typename T>
  void fill(std::optional<T>& value) {
    if (coin()) return value.reset();
    fill(value.emplace());
    if constexpr (std::is_arithmetic_v<T>)
      if (coin()) value = T{};  // an optional 0 is not an absent one
  }
  template <typename T>
  void fill(std::vector<T>& list) {
    list.resize(rng_() % 4);
    for (T& item : list) fill(item);
  }
  template <typename T>
  void fill(RequiredVector<T>& list) {
    fill(static_cast<std::vector<T>&>(list));
  }

  // A node of the kind with this index in NodeVariant.
  Node node(size_t kind);

 private:
  int64_t integer() { return static_cast<int64_t>(rng_() >> 1) * (coin() ? 1 : -1) | 1; }
  double real() { return std::uniform_real_distribution<>(-100, 100)(rng_) + 200; }

  std::mt19937_64& rng_;
};

}  // namespace tessera::program::testing
