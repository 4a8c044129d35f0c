#pragma once

// Everything that an interpreter consists of, in the order in which the parts need each other. There is no global state.

#include "bench/interpreters/scheme/objects.h"
#include "bench/interpreters/scheme/vm.h"

namespace scheme {

// How C++ code reports an error of the program: by a C++ exception that carries text only. No value may ride in it, because
// the memory of an exception in flight is the C++ library's, where no collector looks.
struct SchemeError {
  std::string message;
  const char* kind = "error";
};
inline constexpr char kMemoryError[] = "memory";  // The kind of the error that the heap is full.
[[noreturn]] void Fail(std::string message);
// "`what`: `value` is not `wanted`"
[[noreturn]] void FailType(const char* what, const Value& value, const char* wanted);

class Interpreter final : private RootSource {
 public:
  // The heap's objects take at most so many bytes.
  explicit Interpreter(size_t most_heap_bytes);
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  Value Intern(std::u32string_view name);
  Value Intern(std::string_view name) { return Intern(FromUtf8(name)); }

  void Define(const char* name, const Value& value) { Intern(name).As<Symbol>()->value = value; }
  void DefineBuiltin(const char* name, Builtin::Function function, uint32_t least, uint32_t most,
                     Special special = Special::kNone);

  // Reads, compiles and runs every form of the text. Uncaught errors come out as UncaughtError.
  void RunText(std::string_view text, std::string_view file);
  // Runs one form and returns its value.
  Value Evaluate(const Value& form, const Value& file);

  // Memory kept for those who handle the error that there is none: released when it is raised, and taken again when the
  // next handler is set.
  void ReleaseReserve() { reserve_ = Value(); }
  void TakeReserve();

  Heap heap;
  Vm vm{*this};

 private:
  int RootRanges(RootRange* ranges) const override;

  Value symbols_;  // A vector of lists of symbols.
  Value reserve_;
  size_t symbol_count_ = 0;
};

// Thrown out of the VM when no handler wanted a raised object.
constexpr int kExitError = 1, kExitUsage = 2, kExitOutOfMemory = 3;
struct UncaughtError {
  std::string text;  // For people: "file:line: message", and where it was called from.
  int status = kExitError;
};

// Thrown by `exit`.
struct ExitRequest {
  int status;
};

// The parts of the library of primitives, each in its file.
void DefineLists(Interpreter& in);
void DefineNumbers(Interpreter& in);
void DefineText(Interpreter& in);
void DefineVectors(Interpreter& in);
void DefineTables(Interpreter& in);
void DefinePorts(Interpreter& in);
void DefineControl(Interpreter& in);
void DefineSyntax(Interpreter& in);  // In analyze.cc.

extern const std::string_view kPrelude;  // prelude.scm.

}  // namespace scheme
