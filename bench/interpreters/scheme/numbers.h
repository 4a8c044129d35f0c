#pragma once

// The numeric tower: fixnums, bignums, fractions in lowest terms, and double-precision flonums. Fixnum arithmetic is
// inline; the rest is in numbers.cc. Operands that are no numbers are reported in the name of the primitive `who`.

#include <string>
#include <string_view>

#include "bench/interpreters/scheme/objects.h"

namespace scheme {

bool IsNumber(const Value& value);
bool IsExactInteger(const Value& value);
bool IsExact(const Value& value);
bool IsIntegral(const Value& value);  // Flonums like 2.0 too.

Value AddSlow(Heap& heap, const Value& a, const Value& b);
Value SubtractSlow(Heap& heap, const Value& a, const Value& b);
Value MultiplySlow(Heap& heap, const Value& a, const Value& b);
Value Divide(Heap& heap, const Value& a, const Value& b);

enum class Rounding : uint8_t { kFloor, kCeiling, kTruncate, kNearest };
struct QuotientAndRemainder {
  Value quotient, remainder;
};
// Integer division; the rounding is kFloor or kTruncate.
QuotientAndRemainder DivideIntegers(Heap& heap, const char* who, const Value& a, const Value& b, Rounding rounding);
Value Round(Heap& heap, const char* who, const Value& a, Rounding rounding);
Value Gcd(Heap& heap, const Value& a, const Value& b);
Value Power(Heap& heap, const Value& base, const Value& exponent);
// The largest integer whose square is at most a, and what is left over.
QuotientAndRemainder IntegerSquareRoot(Heap& heap, const Value& a);
Value SquareRoot(Heap& heap, const Value& a);
Value ToExact(Heap& heap, const Value& a);
double ToDouble(const char* who, const Value& a);

// Whether the comparison holds: -1 for a < b, 0, 1; kUnordered if one of them is not a number in IEEE's sense.
enum class Order : int8_t { kLess = -1, kEqual = 0, kGreater = 1, kUnordered = 2 };
Order CompareSlow(const char* who, const Value& a, const Value& b);

std::string NumberToText(const Value& number, int radix);
// Nothing (see Value::IsNothing) if the text is not a number.
Value ParseNumber(Heap& heap, std::string_view text, int radix);
bool LooksLikeNumber(std::string_view text);  // In decimal.

inline Value Add(Heap& heap, const Value& a, const Value& b) {
  int64_t sum;
  // Two fixnum words, one of them without its tag, add up to the tagged sum.
  if (a.IsFixnum() && b.IsFixnum() &&
      !__builtin_add_overflow(static_cast<int64_t>(a.word()), static_cast<int64_t>(b.word() - 1), &sum)) {
    return Value(static_cast<Word>(sum));
  }
  return AddSlow(heap, a, b);
}

inline Value Subtract(Heap& heap, const Value& a, const Value& b) {
  int64_t difference;
  if (a.IsFixnum() && b.IsFixnum() &&
      !__builtin_sub_overflow(static_cast<int64_t>(a.word()), static_cast<int64_t>(b.word() - 1), &difference)) {
    return Value(static_cast<Word>(difference));
  }
  return SubtractSlow(heap, a, b);
}

inline Value Multiply(Heap& heap, const Value& a, const Value& b) {
  int64_t product;
  if (a.IsFixnum() && b.IsFixnum() &&
      !__builtin_mul_overflow(static_cast<int64_t>(a.word() - 1), b.AsFixnum(), &product)) {
    return Value(static_cast<Word>(product) | 1);
  }
  return MultiplySlow(heap, a, b);
}

inline Order Compare(const char* who, const Value& a, const Value& b) {
  if (a.IsFixnum() && b.IsFixnum()) {
    int64_t left = static_cast<int64_t>(a.word()), right = static_cast<int64_t>(b.word());
    return left < right ? Order::kLess : left > right ? Order::kGreater : Order::kEqual;
  }
  return CompareSlow(who, a, b);
}

}  // namespace scheme
