#pragma once

// What the files of primitives share: how they are listed, and the checks of their arguments.

#include "bench/interpreters/scheme/interpreter.h"

namespace scheme {

struct Primitive {
  const char* name;
  uint32_t least, most;
  Builtin::Function function;
  Special special = Special::kNone;
};
inline constexpr uint32_t kAny = Builtin::kAnyNumber;

template <size_t kCount>
void DefineAll(Interpreter& in, const Primitive (&primitives)[kCount]) {
  for (const Primitive& primitive : primitives) {
    in.DefineBuiltin(primitive.name, primitive.function, primitive.least, primitive.most, primitive.special);
  }
}

// The argument as a T, or an error.
template <class T>
T* Expect(const char* who, const Value& value, const char* wanted) {
  if (!value.Is<T>()) FailType(who, value, wanted);
  return value.As<T>();
}

// The argument as a number from 0 to `limit`, both included.
inline size_t ExpectIndex(const char* who, const Value& value, size_t limit) {
  if (!value.IsFixnum()) FailType(who, value, "an exact integer");
  if (value.AsFixnum() < 0 || static_cast<uint64_t>(value.AsFixnum()) > limit) FailType(who, value, "in range");
  return static_cast<size_t>(value.AsFixnum());
}

struct Range {
  size_t begin, end;
};
// The optional arguments `first` and `first` + 1: where a part of something of this length begins and ends.
inline Range ExpectRange(const char* who, Arguments a, size_t first, size_t length) {
  Range range{0, length};
  if (a.count > first + 1) range.end = ExpectIndex(who, a[first + 1], length);
  if (a.count > first) range.begin = ExpectIndex(who, a[first], range.end);
  return range;
}

// Larger objects are an error of the program, not of the machine.
inline constexpr size_t kLargestLength = size_t{1} << 32;

// A predicate for objects of the type T.
template <class T>
Value IsOfType(Interpreter&, Arguments a) {
  return Value::Boolean(a[0].Is<T>());
}

}  // namespace scheme
