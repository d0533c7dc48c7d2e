// Any bytes as a .pte, and as a .pte's data file, hints and external references: an error, or a program that verifies.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/check.h"
#include "program/container.h"
#include "program/external.h"
#include "program/hints.h"
#include "program/printer.h"
#include "program/pte_loader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tessera::program;
  auto owner = std::make_shared<const std::vector<uint8_t>>(data, data + size);
  const auto bytes = std::as_bytes(std::span(*owner));
  const auto program = load_pte(bytes, owner, "fuzz.pte");
  if (program) {
    CHECK(verify(*program).has_value());
    CHECK(!to_text(*program).empty());
  }
  static_cast<void>(PtdFile::open(bytes).has_value());
  static_cast<void>(decode_hints(bytes).has_value());
  static_cast<void>(open_external(bytes, "").has_value());
  return 0;
}
