#include "bench/interpreters/scheme/numbers.h"

#include <cmath>

#include "bench/interpreters/scheme/integers.h"
#include "bench/interpreters/scheme/interpreter.h"

namespace scheme {

Value IntegerToValue(Heap& heap, mpz_srcptr number) {
  if (mpz_fits_slong_p(number)) {
    int64_t small = mpz_get_si(number);
    if (small >= kFixnumMin && small <= kFixnumMax) return Value::Fixnum(small);
  }
  size_t count = mpz_size(number);
  mp_size_t size = static_cast<mp_size_t>(count);
  Value made = MakeExtra<Bignum>(heap, count * sizeof(mp_limb_t), mpz_sgn(number) < 0 ? -size : size);
  std::copy_n(mpz_limbs_read(number), count, made.As<Bignum>()->limbs());
  return made;
}

Value Integer::ToValue(Heap& heap) const { return IntegerToValue(heap, number_); }

Rational::Rational(const Value& number) {
  mpq_init(number_);
  if (number.Is<Ratnum>()) {
    mpz_set(mpq_numref(number_), IntegerView(number.As<Ratnum>()->numerator));
    mpz_set(mpq_denref(number_), IntegerView(number.As<Ratnum>()->denominator));
  } else {
    mpz_set(mpq_numref(number_), IntegerView(number));
  }
}

Value Rational::ToValue(Heap& heap) const {
  Value numerator = IntegerToValue(heap, mpq_numref(number_));
  if (mpz_cmp_ui(mpq_denref(number_), 1) == 0) return numerator;
  return Make<Ratnum>(heap, numerator, IntegerToValue(heap, mpq_denref(number_)));
}

bool IsExactInteger(const Value& value) { return value.IsFixnum() || value.Is<Bignum>(); }
bool IsExact(const Value& value) { return IsExactInteger(value) || value.Is<Ratnum>(); }
bool IsNumber(const Value& value) { return IsExact(value) || value.Is<Flonum>(); }
bool IsIntegral(const Value& value) {
  if (!value.Is<Flonum>()) return IsExactInteger(value);
  double number = value.As<Flonum>()->number;
  return std::isfinite(number) && std::trunc(number) == number;
}

double ToDouble(const char* who, const Value& a) {
  if (a.IsFixnum()) return static_cast<double>(a.AsFixnum());
  if (a.Is<Flonum>()) return a.As<Flonum>()->number;
  if (a.Is<Bignum>()) return mpz_get_d(IntegerView(a));
  if (a.Is<Ratnum>()) return mpq_get_d(Rational(a));
  FailType(who, a, "a number");
}

namespace {

using FlonumOperation = double (*)(double, double);
using IntegerOperation = void (*)(mpz_ptr, mpz_srcptr, mpz_srcptr);
using RationalOperation = void (*)(mpq_ptr, mpq_srcptr, mpq_srcptr);

// The dispatch that all operations share: the widest type of the two operands decides.
Value Compute(Heap& heap, const char* who, const Value& a, const Value& b, FlonumOperation flonum,
              IntegerOperation integer, RationalOperation rational) {
  if (a.Is<Flonum>() || b.Is<Flonum>()) return MakeFlonum(heap, flonum(ToDouble(who, a), ToDouble(who, b)));
  if (!IsExact(a)) FailType(who, a, "a number");
  if (!IsExact(b)) FailType(who, b, "a number");
  if (integer != nullptr && !a.Is<Ratnum>() && !b.Is<Ratnum>()) {
    Integer result;
    integer(result, IntegerView(a), IntegerView(b));
    return result.ToValue(heap);
  }
  Rational result;
  rational(result, Rational(a), Rational(b));
  return result.ToValue(heap);
}

bool IsExactZero(const Value& value) { return value == Value::Fixnum(0); }

Order OrderOf(int sign) { return sign < 0 ? Order::kLess : sign > 0 ? Order::kGreater : Order::kEqual; }

}  // namespace

Value AddSlow(Heap& heap, const Value& a, const Value& b) {
  return Compute(heap, "+", a, b, [](double x, double y) { return x + y; }, mpz_add, mpq_add);
}
Value SubtractSlow(Heap& heap, const Value& a, const Value& b) {
  return Compute(heap, "-", a, b, [](double x, double y) { return x - y; }, mpz_sub, mpq_sub);
}
Value MultiplySlow(Heap& heap, const Value& a, const Value& b) {
  return Compute(heap, "*", a, b, [](double x, double y) { return x * y; }, mpz_mul, mpq_mul);
}
Value Divide(Heap& heap, const Value& a, const Value& b) {
  if (IsExactZero(b) && IsNumber(a)) Fail("/: division by zero");
  return Compute(heap, "/", a, b, [](double x, double y) { return x / y; }, nullptr, mpq_div);
}

Order CompareSlow(const char* who, const Value& a, const Value& b) {
  if (a.Is<Flonum>() || b.Is<Flonum>()) {
    double x = ToDouble(who, a), y = ToDouble(who, b);
    if (std::isnan(x) || std::isnan(y)) return Order::kUnordered;
    return x < y ? Order::kLess : x > y ? Order::kGreater : Order::kEqual;
  }
  if (!IsExact(a)) FailType(who, a, "a number");
  if (!IsExact(b)) FailType(who, b, "a number");
  if (a.Is<Ratnum>() || b.Is<Ratnum>()) return OrderOf(mpq_cmp(Rational(a), Rational(b)));
  return OrderOf(mpz_cmp(IntegerView(a), IntegerView(b)));
}

QuotientAndRemainder DivideIntegers(Heap& heap, const char* who, const Value& a, const Value& b, Rounding rounding) {
  bool is_floor = rounding == Rounding::kFloor;
  if (!IsIntegral(a)) FailType(who, a, "an integer");
  if (!IsIntegral(b)) FailType(who, b, "an integer");
  if (a.Is<Flonum>() || b.Is<Flonum>()) {
    double x = ToDouble(who, a), y = ToDouble(who, b);
    if (y == 0) Fail(std::string(who) + ": division by zero");
    double quotient = is_floor ? std::floor(x / y) : std::trunc(x / y);
    return {MakeFlonum(heap, quotient), MakeFlonum(heap, x - y * quotient)};
  }
  if (IsExactZero(b)) Fail(std::string(who) + ": division by zero");
  if (a.IsFixnum() && b.IsFixnum() && b.AsFixnum() != -1) {
    int64_t x = a.AsFixnum(), y = b.AsFixnum(), quotient = x / y, remainder = x % y;
    if (is_floor && remainder != 0 && (remainder < 0) != (y < 0)) --quotient, remainder += y;
    return {Value::Fixnum(quotient), Value::Fixnum(remainder)};
  }
  Integer quotient, remainder;
  (is_floor ? mpz_fdiv_qr : mpz_tdiv_qr)(quotient, remainder, IntegerView(a), IntegerView(b));
  Value first = quotient.ToValue(heap);
  return {first, remainder.ToValue(heap)};
}

Value Round(Heap& heap, const char* who, const Value& a, Rounding rounding) {
  if (IsExactInteger(a)) return a;
  if (a.Is<Flonum>()) {
    double x = a.As<Flonum>()->number;
    switch (rounding) {
      case Rounding::kFloor: return MakeFlonum(heap, std::floor(x));
      case Rounding::kCeiling: return MakeFlonum(heap, std::ceil(x));
      case Rounding::kTruncate: return MakeFlonum(heap, std::trunc(x));
      case Rounding::kNearest: return MakeFlonum(heap, std::nearbyint(x));
    }
  }
  if (!a.Is<Ratnum>()) FailType(who, a, "a number");
  IntegerView top(a.As<Ratnum>()->numerator), bottom(a.As<Ratnum>()->denominator);
  Integer result;
  if (rounding == Rounding::kNearest) {
    // The floor of a + 1/2; a tie, which only the denominator 2 has, goes to the even neighbour.
    Integer doubled;
    mpz_mul_ui(doubled, top, 2);
    mpz_add(doubled, doubled, bottom);
    Integer divisor;
    mpz_mul_ui(divisor, bottom, 2);
    mpz_fdiv_q(result, doubled, divisor);
    if (mpz_cmp_ui(static_cast<mpz_srcptr>(bottom), 2) == 0 && mpz_odd_p(static_cast<mpz_ptr>(result))) mpz_sub_ui(result, result, 1);
  } else {
    auto divide = rounding == Rounding::kFloor ? mpz_fdiv_q : rounding == Rounding::kCeiling ? mpz_cdiv_q : mpz_tdiv_q;
    divide(result, top, bottom);
  }
  return result.ToValue(heap);
}

Value Gcd(Heap& heap, const Value& a, const Value& b) {
  if (!IsExactInteger(a)) FailType("gcd", a, "an exact integer");
  if (!IsExactInteger(b)) FailType("gcd", b, "an exact integer");
  Integer result;
  mpz_gcd(result, IntegerView(a), IntegerView(b));
  return result.ToValue(heap);
}

Value Power(Heap& heap, const Value& base, const Value& exponent) {
  if (!IsExact(base) || !exponent.IsFixnum()) {
    return MakeFlonum(heap, std::pow(ToDouble("expt", base), ToDouble("expt", exponent)));
  }
  int64_t count = exponent.AsFixnum();
  uint64_t times = count < 0 ? -static_cast<uint64_t>(count) : static_cast<uint64_t>(count);
  Rational number(base);
  // GMP ends the process when a number outgrows its limits.
  if (times * mpz_sizeinbase(mpq_numref(static_cast<mpq_ptr>(number)), 2) > uint64_t{1} << 32 && times > 1 &&
      mpz_cmpabs_ui(mpq_numref(static_cast<mpq_ptr>(number)), 1) > 0) {
    Fail("expt: the result is too large");
  }
  Rational result;
  mpz_pow_ui(mpq_numref(static_cast<mpq_ptr>(result)), mpq_numref(static_cast<mpq_ptr>(number)), times);
  mpz_pow_ui(mpq_denref(static_cast<mpq_ptr>(result)), mpq_denref(static_cast<mpq_ptr>(number)), times);
  if (count < 0) {
    if (IsExactZero(base)) Fail("expt: division by zero");
    mpq_inv(result, result);
  }
  return result.ToValue(heap);
}

QuotientAndRemainder IntegerSquareRoot(Heap& heap, const Value& a) {
  if (!IsExactInteger(a) || mpz_sgn(static_cast<mpz_srcptr>(IntegerView(a))) < 0) {
    FailType("exact-integer-sqrt", a, "an exact integer of at least 0");
  }
  Integer root, rest;
  mpz_sqrtrem(root, rest, IntegerView(a));
  Value first = root.ToValue(heap);
  return {first, rest.ToValue(heap)};
}

Value SquareRoot(Heap& heap, const Value& a) {
  if (IsExactInteger(a) && Compare("sqrt", a, Value::Fixnum(0)) != Order::kLess) {
    QuotientAndRemainder root = IntegerSquareRoot(heap, a);
    if (IsExactZero(root.remainder)) return root.quotient;
  }
  return MakeFlonum(heap, std::sqrt(ToDouble("sqrt", a)));
}

Value ToExact(Heap& heap, const Value& a) {
  if (!a.Is<Flonum>()) {
    if (!IsExact(a)) FailType("exact", a, "a number");
    return a;
  }
  double number = a.As<Flonum>()->number;
  if (!std::isfinite(number)) FailType("exact", a, "finite");
  Rational result;
  mpq_set_d(result, number);
  return result.ToValue(heap);
}

}  // namespace scheme
