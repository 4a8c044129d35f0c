#include "bench/interpreters/scheme/equality.h"

#include <cstring>

#include "bench/interpreters/scheme/interpreter.h"

namespace scheme {
namespace {

constexpr int kDeepestNesting = 10000;
constexpr int kHashedItems = 16;  // Of a list or vector; the rest makes collisions, not errors.
constexpr int kHashedDepth = 4;

uint64_t Mix(uint64_t hash) {
  // The finisher of MurmurHash3.
  hash = (hash ^ hash >> 33) * 0xff51afd7ed558ccdu;
  hash = (hash ^ hash >> 33) * 0xc4ceb9fe1a85ec53u;
  return hash ^ hash >> 33;
}

uint64_t HashBytes(const void* bytes, size_t count) {
  uint64_t hash = 14695981039346656037u;
  for (size_t i = 0; i < count; ++i) hash = (hash ^ static_cast<const uint8_t*>(bytes)[i]) * 1099511628211u;
  return Mix(hash);
}

bool IsEqualAt(Value a, Value b, int depth) {
  if (depth > kDeepestNesting) Fail("equal?: the data are nested too deeply");
  for (; a.Is<Pair>() && b.Is<Pair>(); a = Cdr(a), b = Cdr(b)) {
    if (a == b) return true;
    if (!IsEqualAt(Car(a), Car(b), depth + 1)) return false;
  }
  if (IsEqv(a, b)) return true;
  if (a.Is<String>() && b.Is<String>()) return a.As<String>()->view() == b.As<String>()->view();
  if (a.Is<Bytevector>() && b.Is<Bytevector>()) {
    size_t length = a.As<Bytevector>()->length;
    return length == b.As<Bytevector>()->length &&
           std::memcmp(a.As<Bytevector>()->bytes(), b.As<Bytevector>()->bytes(), length) == 0;
  }
  if (!a.Is<Vector>() || !b.Is<Vector>() || a.As<Vector>()->length != b.As<Vector>()->length) return false;
  for (size_t i = 0; i < a.As<Vector>()->length; ++i) {
    if (!IsEqualAt(a.As<Vector>()->items()[i], b.As<Vector>()->items()[i], depth + 1)) return false;
  }
  return true;
}

uint64_t HashEqualAt(Value key, int depth) {
  uint64_t hash = 1;
  for (int i = 0; key.Is<Pair>(); key = Cdr(key), ++i) {
    if (i == kHashedItems || depth > kHashedDepth) return hash;
    hash = Mix(hash * 31 + HashEqualAt(Car(key), depth + 1));
  }
  if (key.Is<String>()) {
    std::u32string_view text = key.As<String>()->view();
    return hash ^ HashBytes(text.data(), text.size() * sizeof(char32_t));
  }
  if (key.Is<Bytevector>()) return hash ^ HashBytes(key.As<Bytevector>()->bytes(), key.As<Bytevector>()->length);
  if (!key.Is<Vector>()) return hash ^ HashEqv(key);
  for (size_t i = 0; i < key.As<Vector>()->length && i < kHashedItems && depth <= kHashedDepth; ++i) {
    hash = Mix(hash * 31 + HashEqualAt(key.As<Vector>()->items()[i], depth + 1));
  }
  return hash;
}

}  // namespace

bool IsEqvSlow(const Value& a, const Value& b) {
  if (a.type() != b.type()) return false;
  switch (a.type()) {
    case Type::kFlonum: {
      double x = a.As<Flonum>()->number, y = b.As<Flonum>()->number;
      return std::memcmp(&x, &y, sizeof(x)) == 0;
    }
    case Type::kBignum: case Type::kRatnum: return Compare("eqv?", a, b) == Order::kEqual;
    default: return false;
  }
}

bool IsEqual(const Value& a, const Value& b) { return IsEqualAt(a, b, 0); }

// Objects never move, so an address is as good a key as a number.
uint64_t HashEqv(const Value& key) {
  switch (key.type()) {
    case Type::kFlonum: return HashBytes(&key.As<Flonum>()->number, sizeof(double));
    case Type::kBignum: {
      Bignum* number = key.As<Bignum>();
      return HashBytes(number->limbs(), static_cast<size_t>(std::abs(number->size)) * sizeof(mp_limb_t));
    }
    case Type::kRatnum: return HashEqv(key.As<Ratnum>()->numerator) ^ HashEqv(key.As<Ratnum>()->denominator);
    default: return Mix(key.word());
  }
}

uint64_t HashEqual(const Value& key) { return HashEqualAt(key, 0); }

}  // namespace scheme
