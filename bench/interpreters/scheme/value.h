#pragma once

// A value of the language, as C++ code holds it: a handle of the heap's policy, with the questions one asks of it.

#include <cstddef>

#include "bench/interpreters/scheme/heap.h"

namespace scheme {

struct Object : Header {
  explicit Object(Type object_type) : Header{static_cast<uint8_t>(object_type), 0, 0} {}
  void SetLine(uint32_t number) { line = number & kLargestLine; }
};

class Value : public Handle {
 public:
  Value() = default;
  explicit Value(Word word) : Handle(word) {}
  Value(const Object* object) : Handle(reinterpret_cast<Word>(object)) {}  // NOLINT: an object is a value.
  Value(const Handle& handle) : Handle(handle) {}                          // NOLINT
  Value(Handle&& handle) : Handle(static_cast<Handle&&>(handle)) {}        // NOLINT
  Value(const Field& field) : Handle(field.Load()) {}                      // NOLINT

  static Value Fixnum(int64_t number) { return Value(FixnumWord(number)); }
  static Value Boolean(bool is_true) { return Value(is_true ? kTrueWord : kFalseWord); }
  static Value Character(char32_t code) { return Value(MakeImmediate(Immediate::kCharacter, code)); }
  static Value Nil() { return Value(kNilWord); }
  static Value False() { return Value(kFalseWord); }
  static Value Unspecified() { return Value(kUnspecifiedWord); }

  bool IsTrue() const { return word() != kFalseWord; }
  bool IsNil() const { return word() == kNilWord; }
  bool IsNothing() const { return word() == 0; }
  bool IsFixnum() const { return IsFixnumWord(word()); }
  bool IsPointer() const { return IsPointerWord(word()); }
  bool IsCharacter() const { return IsImmediate(word(), Immediate::kCharacter); }
  bool IsSpecialForm() const { return IsImmediate(word(), Immediate::kSpecialForm); }

  int64_t AsFixnum() const { return FixnumOf(word()); }
  Word AsPayload() const { return word() >> kImmediatePayloadShift; }
  char32_t AsCharacter() const { return static_cast<char32_t>(AsPayload()); }

  Type type() const { return IsPointer() ? static_cast<Type>(AsObject()->type) : Type::kNone; }
  Object* AsObject() const { return reinterpret_cast<Object*>(word()); }

  template <class T>
  bool Is() const {
    return IsPointer() && AsObject()->type == static_cast<uint32_t>(T::kType);
  }
  // REQUIRES: Is<T>().
  template <class T>
  T* As() const {
    return static_cast<T*>(AsObject());
  }

  friend bool operator==(const Value& a, const Value& b) { return a.word() == b.word(); }
};

// Makes an object. It is reachable through the value returned and nothing else: the caller holds it in a local variable
// until it is stored somewhere, and never in memory that the heap does not know.
template <class T, class... Arguments>
Value MakeExtra(Heap& heap, size_t extra_bytes, Arguments&&... arguments) {
  T* object = heap.template Create<T>(extra_bytes, static_cast<Arguments&&>(arguments)...);
  if (object == nullptr) FailMemory(sizeof(T) + extra_bytes);
  return Value(object);
}

template <class T, class... Arguments>
Value Make(Heap& heap, Arguments&&... arguments) {
  return MakeExtra<T>(heap, 0, static_cast<Arguments&&>(arguments)...);
}

}  // namespace scheme
