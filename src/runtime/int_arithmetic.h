// The arithmetic of value slots: int32 results computed in 64 bits. Errors: a result outside int32, a zero divisor.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace tessera::runtime {

using IntFn = Result<int32_t> (*)(int64_t a, int64_t b);

Result<int32_t> int_add(int64_t a, int64_t b);
Result<int32_t> int_subtract(int64_t a, int64_t b);
Result<int32_t> int_multiply(int64_t a, int64_t b);
Result<int32_t> int_floor_divide(int64_t a, int64_t b);  // rounds down
Result<int32_t> int_mod(int64_t a, int64_t b);           // takes the divisor's sign

}  // namespace tessera::runtime
