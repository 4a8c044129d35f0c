#pragma once

#include "bench/interpreters/scheme/numbers.h"

namespace scheme {

// The same object, or the same number of the same exactness.
bool IsEqvSlow(const Value& a, const Value& b);
inline bool IsEqv(const Value& a, const Value& b) {
  return a == b || (a.IsPointer() && b.IsPointer() && IsEqvSlow(a, b));
}

// The same structure. Fails on data nested too deeply to compare.
bool IsEqual(const Value& a, const Value& b);

uint64_t HashEqv(const Value& key);
uint64_t HashEqual(const Value& key);

}  // namespace scheme
