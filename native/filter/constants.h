// What tests and calculations give for numbers that are known before any frame is.
#pragma once

#include <cstdint>

#include "filter/graph.h"

namespace carom {

inline bool holds(TestKind kind, uint32_t a, uint32_t b) {
  switch (kind) {
    case TestKind::equal:
      return a == b;
    case TestKind::above:
      return a > b;
    case TestKind::at_least:
      return a >= b;
    case TestKind::bits:
      return (a & b) != 0;
  }
  __builtin_unreachable();
}

// Of a calculation whose divisor is not zero.
inline uint32_t result(ValueKind kind, uint32_t a, uint32_t b) {
  switch (kind) {
    case ValueKind::add:
      return a + b;
    case ValueKind::subtract:
      return a - b;
    case ValueKind::multiply:
      return a * b;
    case ValueKind::divide:
      return a / b;
    case ValueKind::modulo:
      return a % b;
    case ValueKind::bit_and:
      return a & b;
    case ValueKind::bit_or:
      return a | b;
    case ValueKind::bit_xor:
      return a ^ b;
    case ValueKind::shift_left:
      return b < 32 ? a << b : 0;
    default:
      return b < 32 ? a >> b : 0;  // shift_right
  }
}

}  // namespace carom
