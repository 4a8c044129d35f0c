#pragma once

// GMP's integers on both sides of a computation: operands are read where they lie in the heap, without a copy; a result is
// computed into GMP's own memory, and then copied into an object of the right size.

#include "bench/interpreters/scheme/objects.h"

namespace scheme {

// An exact integer seen as GMP's mpz_t. The value stays in the caller's hands: the view does not keep it alive.
class IntegerView {
 public:
  explicit IntegerView(const Value& integer) {
    if (integer.IsFixnum()) {
      int64_t number = integer.AsFixnum();
      limb_ = number < 0 ? -static_cast<mp_limb_t>(number) : static_cast<mp_limb_t>(number);
      mpz_roinit_n(view_, &limb_, number < 0 ? -1 : number > 0 ? 1 : 0);
    } else {
      mpz_roinit_n(view_, integer.As<Bignum>()->limbs(), integer.As<Bignum>()->size);
    }
  }
  IntegerView(const IntegerView&) = delete;
  IntegerView& operator=(const IntegerView&) = delete;
  operator mpz_srcptr() const { return view_; }  // NOLINT: that is what it is for.

 private:
  mpz_t view_;
  mp_limb_t limb_ = 0;
};

// A result in the making.
class Integer {
 public:
  Integer() { mpz_init(number_); }
  ~Integer() { mpz_clear(number_); }
  Integer(const Integer&) = delete;
  Integer& operator=(const Integer&) = delete;
  operator mpz_ptr() { return number_; }  // NOLINT

  Value ToValue(Heap& heap) const;

 private:
  mpz_t number_;
};

// Exact integers and fractions, as GMP's mpq_t.
class Rational {
 public:
  Rational() { mpq_init(number_); }
  explicit Rational(const Value& number);
  ~Rational() { mpq_clear(number_); }
  Rational(const Rational&) = delete;
  Rational& operator=(const Rational&) = delete;
  operator mpq_ptr() { return number_; }  // NOLINT

  Value ToValue(Heap& heap) const;

 private:
  mpq_t number_;
};

Value IntegerToValue(Heap& heap, mpz_srcptr number);

}  // namespace scheme
