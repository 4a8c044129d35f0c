#pragma once

// The machine that runs the code. Values live on its value stack; where to go back to, on its frame stack. A call in tail
// position takes the place of the frame that makes it, so loops written as calls run in constant space, and recursion is
// bounded by the stacks' limit, not by the C++ stack: the machine never calls itself.
//
// The stacks are plain memory outside of the heap, and the heap is told about them: RootRanges names the value stack up to
// sp_. What is above sp_ is no root, so the machine stores sp_ before anything that may allocate.

#include <string>

#include "bench/interpreters/scheme/objects.h"

namespace scheme {

struct SchemeError;

// Where a procedure goes on when the one it called returns. Offsets, so that the stacks may move.
struct Frame {
  uint32_t next;  // The instruction, counted from the beginning of the code.
  uint32_t base;  // The frame's first slot, counted from the bottom of the stack. The closure is in the slot below.
};

class Vm {
 public:
  explicit Vm(Interpreter& interpreter);
  ~Vm();
  Vm(const Vm&) = delete;
  Vm& operator=(const Vm&) = delete;

  // Calls a procedure of no arguments. The only way in, and not from within.
  Value Execute(const Value& thunk);

  int RootRanges(RootRange* ranges) const;

  // "file:line: " of the innermost call that the program's own text made; empty if there is none.
  std::string Where() const;
  // A line for each of the innermost calls.
  std::string Backtrace() const;

  // What `raise` uses: a list of handlers, innermost first, and the text that Where() gave when an error was raised.
  Value handlers = Value::Nil();
  Value error_place = Value::False();
  Value memory_error;  // Made in advance: what is raised when the heap is full.

  size_t most_words = kDefaultMostWords;  // The value stack's limit.
  static constexpr size_t kDefaultMostWords = size_t{16} << 20;

 private:
  struct Registers;

  Value Run();
  bool Enter(size_t arguments);
  bool Return(Value result);
  size_t SpreadLastArgument(size_t arguments);
  void CaptureContinuation();
  Value Reinstate(size_t arguments);
  void CollectRest(const Code* code, size_t arguments);
  void CheckCall(const Value& callee, size_t arguments) const;
  void MoveDown(size_t arguments);
  // Out of the loop's way: what is inlined into it shall not differ from heap to heap.
  [[gnu::noinline]] void MakeBox(Value* slot);
  [[gnu::noinline]] void MakeClosure(const Value& code, const uint32_t* captures, uint32_t count);
  void InlineSlowly(uint32_t word);
  void Raise(const SchemeError& error);

  void Save(const Registers& r);
  void Load(Registers& r) const;
  void Push(const Value& value) { *sp_++ = value; }
  void Drop(size_t count);
  void PushFrame(const uint32_t* next, const Value* base);
  void Reserve(size_t words);
  size_t AllowedWords() const;
  void SetLimit();
  void EndOverflow();
  std::string Describe(const Value& callee, ptrdiff_t next) const;

  Interpreter& in_;
  Value* stack_ = nullptr;
  Value* stack_limit_ = nullptr;  // Where calls must ask for room: the end of the memory, or the allowed part of it.
  size_t capacity_words_ = 0;
  Frame* frames_ = nullptr;
  Frame* frame_top_ = nullptr;
  Frame* frame_limit_ = nullptr;
  bool is_overflowing_ = false;  // The error about the stack's limit is being handled, in what is left above it.

  // The registers as the last operation left them that can allocate or fail.
  Value* sp_ = nullptr;
  Value* base_ = nullptr;
  const uint32_t* next_ = nullptr;
  Value result_;  // What the machine came to, when Enter or Return says that it is done.
};

}  // namespace scheme
