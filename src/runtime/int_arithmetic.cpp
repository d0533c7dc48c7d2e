#include "runtime/int_arithmetic.h"

#include <limits>

namespace tessera::runtime {
namespace {

Result<int32_t> checked(int64_t value, char op, int64_t a, int64_t b) {
  using Limits = std::numeric_limits<int32_t>;
  if (value < Limits::min() || value > Limits::max())
    return make_error(ErrorCode::kOutOfRange, "{} {} {} is outside int32", a, op, b);
  return static_cast<int32_t>(value);
}

}  // namespace

// Operands are int32 values, so that 64 bits hold every intermediate.
Result<int32_t> int_add(int64_t a, int64_t b) { return checked(a + b, '+', a, b); }
Result<int32_t> int_subtract(int64_t a, int64_t b) { return checked(a - b, '-', a, b); }
Result<int32_t> int_multiply(int64_t a, int64_t b) { return checked(a * b, '*', a, b); }

Result<int32_t> int_floor_divide(int64_t a, int64_t b) {
  if (b == 0) return invalid_argument("{} divided by zero", a);
  return checked(a / b - (a % b != 0 && (a < 0) != (b < 0)), '/', a, b);
}

Result<int32_t> int_mod(int64_t a, int64_t b) {
  if (b == 0) return invalid_argument("{} modulo zero", a);
  const int64_t rest = a % b;
  return checked(rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest, '%', a, b);
}

}  // namespace tessera::runtime
