#include "program/hints.h"

#include "program/wire.h"

namespace tessera::program {

std::vector<std::byte> encode(const Hints& hints) { return wire::encode(hints); }

Result<Hints> decode_hints(std::span<const std::byte> bytes) {
  auto hints = wire::decode<Hints>(bytes);
  if (!hints) return hints.error().in(kHintsKey);
  return hints;
}

}  // namespace tessera::program
