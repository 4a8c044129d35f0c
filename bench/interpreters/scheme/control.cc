// Primitives about the flow of control, errors and evaluation. What the prelude builds on has a % before its name.

#include <chrono>

#include "bench/interpreters/scheme/compile.h"
#include "bench/interpreters/scheme/primitives.h"
#include "bench/interpreters/scheme/printer.h"

namespace scheme {
namespace {

Value Unreachable(Interpreter&, Arguments) { return Value::Unspecified(); }

Value Values(Interpreter& in, Arguments a) {
  if (a.count == 1) return a[0];
  Value made = MakeArray<MultipleValues>(in.heap, a.count, Value());
  for (size_t i = 0; i < a.count; ++i) made.As<MultipleValues>()->items()[i] = a[i];
  return made;
}

Value ValuesToList(Interpreter& in, Arguments a) {
  if (!a[0].Is<MultipleValues>()) return Cons(in.heap, a[0], Value::Nil());
  const MultipleValues* values = a[0].As<MultipleValues>();
  Value list = Value::Nil();
  for (size_t i = values->length; i-- > 0;) list = Cons(in.heap, values->items()[i], list);
  return list;
}

// The object that `error` raises. Where() is asked here, while the program's own call is still on the stack.
Value MakeCondition(Interpreter& in, Arguments a) {
  in.vm.error_place = MakeString(in.heap, in.vm.Where());
  Value irritants = Value::Nil();
  for (size_t i = a.count; i-- > 1;) irritants = Cons(in.heap, a[i], irritants);
  return Make<Condition>(in.heap, a[0], irritants, in.Intern("error"));
}

Condition* ExpectCondition(const char* who, const Value& value) {
  return Expect<Condition>(who, value, "an error object");
}

Value IsConditionOf(Interpreter& in, Arguments a) {
  return Value::Boolean(a[0].Is<Condition>() && Value(a[0].As<Condition>()->kind) == in.Intern(SymbolText(a[1])));
}

std::string Message(const Value& raised) {
  if (!raised.Is<Condition>()) return "uncaught: " + ToText(raised, Style::kWrite);
  const Condition* condition = raised.As<Condition>();
  std::string text = "error: " + ToText(condition->message, Style::kDisplay);
  for (Value rest = condition->irritants; rest.Is<Pair>(); rest = Cdr(rest)) {
    text += " " + ToText(Car(rest), Style::kWrite);
  }
  return text;
}

[[noreturn]] Value Uncaught(Interpreter& in, Arguments a) {
  Value place = in.vm.error_place;
  std::string where = a[0].Is<Condition>() && place.Is<String>() ? ToText(place, Style::kDisplay) : in.vm.Where();
  std::string text = where + Message(a[0]);
  std::string backtrace = in.vm.Backtrace();
  for (size_t begin = 0, end; (end = backtrace.find('\n', begin)) != std::string::npos; begin = end + 1) {
    text += "\n  at " + backtrace.substr(begin, end - begin);
  }
  throw UncaughtError{text, a[0] == in.vm.memory_error ? kExitOutOfMemory : kExitError};
}

[[noreturn]] Value Exit(Interpreter&, Arguments a) {
  if (a.count == 0 || a[0].word() == kTrueWord) throw ExitRequest{0};
  throw ExitRequest{a[0].IsFixnum() ? static_cast<int>(a[0].AsFixnum() & 0xff) : 1};
}

Value Compile(Interpreter& in, Arguments a) {
  return CompileToplevel(in, a[0], a.count > 1 ? a[1] : MakeString(in.heap, std::string_view("eval")));
}

Value CurrentJiffy(Interpreter&, Arguments) {
  auto now = std::chrono::steady_clock::now().time_since_epoch();
  return Value::Fixnum(std::chrono::duration_cast<std::chrono::microseconds>(now).count());
}

const Primitive kPrimitives[] = {
    {"apply", 2, kAny, Unreachable, Special::kApply},
    {"%call/cc", 1, 1, Unreachable, Special::kCallWithContinuation},
    {"values", 0, kAny, Values},
    {"%values->list", 1, 1, ValuesToList},
    {"%make-condition", 1, kAny, MakeCondition},
    {"error-object?", 1, 1, IsOfType<Condition>},
    {"error-object-message", 1, 1,
     [](Interpreter&, Arguments a) { return Value(ExpectCondition("error-object-message", a[0])->message); }},
    {"error-object-irritants", 1, 1,
     [](Interpreter&, Arguments a) { return Value(ExpectCondition("error-object-irritants", a[0])->irritants); }},
    {"%condition-of?", 2, 2, IsConditionOf},
    {"%handlers", 0, 0, [](Interpreter& in, Arguments) { return in.vm.handlers; }},
    {"%set-handlers!", 1, 1,
     [](Interpreter& in, Arguments a) {
       // A new handler needs something to run in when the heap is full.
       if (a[0].Is<Pair>() && Cdr(a[0]) == in.vm.handlers) in.TakeReserve();
       in.vm.handlers = a[0];
       return Value::Unspecified();
     }},
    {"%uncaught", 1, 1, Uncaught},
    {"emergency-exit", 0, 1, Exit},
    {"%compile", 1, 2, Compile},
    {"current-jiffy", 0, 0, CurrentJiffy},
    {"heap-name", 0, 0, [](Interpreter& in, Arguments) { return MakeString(in.heap, std::string_view(Heap::kName)); }},
};

}  // namespace

void DefineControl(Interpreter& in) { DefineAll(in, kPrimitives); }

}  // namespace scheme
