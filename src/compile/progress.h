// How the long tools of this room report: called now and then with bytes written and bytes in all.
#pragma once

#include <cstdint>
#include <functional>

namespace tessera::compile {

using Progress = std::function<void(uint64_t done, uint64_t total)>;

}  // namespace tessera::compile
