#pragma once

// The one seam between the interpreter and its heap. The build names the policy's file in SCHEME_HEAP_POLICY; nothing else
// in this folder knows which one it is. A policy file defines, in namespace scheme:
//
//   class Handle     a word held by C++ code: in a local variable, an argument, the VM's stack. Whether copying it counts
//                    a reference or copies a word is the policy's affair.
//   class Field      a word inside a heap object: Load() gives a Handle, operator= stores one, with whatever write
//                    barrier the heap wants. All zero bytes are a valid empty field.
//   class Heap       Made with the most bytes that it may take (SIZE_MAX: no limit; kHasLimit: whether it can keep one).
//                    Create<T>(extra_bytes, arguments...) makes an object with extra bytes behind it and runs its
//                    constructor, or returns null when memory is exhausted. The extra bytes of a type with pointers are
//                    zero; those of a type without are whatever they were.
//                    Declare<T>() is called once for each type, before the first object.
//                    SetRoots(source) names the words outside of the heap that keep objects alive.
//                    AtEnd(object, function, context) has function(context) called some time after the object has died,
//                    by RunEnds(). It returns what CancelEnd wants, or null without memory.
//                    Collect() finds out at once what has died.
//                    kCountsReferences: whether words left behind on the VM's stack must be cleared.
//                    kName, and Report(FILE*) for `--stats`.
//
// An object type says which of its fields are references by one template member:
//
//   template <class Visitor> void Trace(Visitor& visit) const { visit(car); visit(cdr); }
//
// and that it has items behind it, by `static constexpr bool kHasItems = true`. A type without Trace holds no references. The collector marks through it; the counting heap releases through it; the
// conservative heap only asks whether it exists.

#include <cstddef>
#include <cstdio>

#include "bench/interpreters/scheme/word.h"

namespace scheme {

class Handle;

struct IgnoringVisitor {
  void operator()(const auto&) {}
};

template <class T>
inline constexpr bool kHasReferences = requires(const T& object, IgnoringVisitor visit) { object.Trace(visit); };

template <class T>
inline constexpr bool kHasItems = requires { T::kHasItems; };

struct RootRange {
  const Handle* base;
  const Handle* limit;
};

// What lives outside of the heap and keeps objects alive: the VM's stack and registers. Asked during a collection, with
// the interpreter stopped at an allocation.
class RootSource {
 public:
  static constexpr int kMaxRanges = 4;
  virtual int RootRanges(RootRange* ranges) const = 0;

 protected:
  ~RootSource() = default;
};

using EndFunction = void(void* context);

// Raises the error that the program can handle; by then the heap has tried everything. See Interpreter::FailMemory.
[[noreturn]] void FailMemory(size_t bytes);

// Ends the program with a line of text: there is no heap yet, or no stack for the machine.
[[noreturn]] void OutOfMemory(size_t bytes);

}  // namespace scheme

#include SCHEME_HEAP_POLICY
