#include "program/random_testing.h"

#include <utility>
#include <variant>

namespace tessera::program::testing {
namespace {

template <typename N>
Node make(Randomiser& random) {
  N out;
  out.with_fields([&](auto&... fields) { (random.fill(fields), ...); });
  return out;
}

}  // namespace

Node Randomiser::node(size_t kind) {
  return [&]<size_t... I>(std::index_sequence<I...>) {
    using Make = Node (*)(Randomiser&);
    static constexpr Make kMakers[] = {&make<std::variant_alternative_t<I, NodeVariant>>...};
    return kMakers[kind](*this);
  }
  (std::make_index_sequence<std::variant_size_v<NodeVariant>>());
}

}  // namespace tessera::program::testing
