// The machine's slow paths: calls that are not the plain ones, continuations, errors, and the growth of the stacks.

#include <cstdlib>
#include <cstring>

#include "bench/interpreters/scheme/interpreter.h"
#include "bench/interpreters/scheme/printer.h"

namespace scheme {
namespace {

constexpr size_t kFirstWords = 4096, kFirstFrames = 1024;
constexpr size_t kReserveWords = 65536;  // For the handler of the error that says that the stack is at its limit.
constexpr int kBacktraceLines = 8;

template <class T>
T* Resize(T* old, size_t old_count, size_t new_count) {
  T* made = static_cast<T*>(std::calloc(new_count, sizeof(T)));
  if (made == nullptr) OutOfMemory(new_count * sizeof(T));
  // Values may be moved as bytes: neither kind of handle knows its own address.
  if (old_count > 0) std::memcpy(static_cast<void*>(made), static_cast<void*>(old), old_count * sizeof(T));
  std::free(static_cast<void*>(old));
  return made;
}

std::string PluralOf(size_t count, const char* noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

}  // namespace

Vm::Vm(Interpreter& interpreter) : in_(interpreter) {
  stack_ = sp_ = base_ = Resize<Value>(nullptr, 0, kFirstWords);
  capacity_words_ = kFirstWords;
  SetLimit();
  frames_ = frame_top_ = Resize<Frame>(nullptr, 0, kFirstFrames);
  frame_limit_ = frames_ + kFirstFrames;
}

Vm::~Vm() {
  Drop(static_cast<size_t>(sp_ - stack_));
  std::free(static_cast<void*>(stack_));
  std::free(frames_);
}

int Vm::RootRanges(RootRange* ranges) const {
  ranges[0] = {stack_, sp_};
  ranges[1] = {&handlers, &memory_error + 1};
  ranges[2] = {&result_, &result_ + 1};
  return 3;
}

void Vm::Drop(size_t count) {
  for (; count > 0; --count) *--sp_ = Value();
}

void Vm::PushFrame(const uint32_t* next, const Value* base) {
  if (frame_top_ == frame_limit_) {
    size_t count = static_cast<size_t>(frame_limit_ - frames_);
    frames_ = Resize(frames_, count, count * 2);
    frame_top_ = frames_ + count;
    frame_limit_ = frames_ + count * 2;
  }
  // The frame at the bottom has no closure, and nobody reads where it goes on.
  uint32_t offset = base == stack_ ? 0 : static_cast<uint32_t>(next - base[-1].As<Closure>()->GetCode()->text());
  *frame_top_++ = {offset, static_cast<uint32_t>(base - stack_)};
}

// Makes room for `words` values above sp_; the stack may move. At its limit the program gets an error, and a little more
// stack for whoever handles that.
void Vm::Reserve(size_t words) {
  size_t used = static_cast<size_t>(sp_ - stack_), needed = used + words + 1;
  if (needed <= static_cast<size_t>(stack_limit_ - stack_)) return;
  if (needed > AllowedWords()) {
    if (is_overflowing_) throw UncaughtError{"the recursion is too deep, and so is the handler of that error"};
    is_overflowing_ = true;
    Fail("the recursion is too deep: the stack holds " + std::to_string(used) + " values");
  }
  if (needed > capacity_words_) {
    size_t wanted = std::min(std::max(capacity_words_ * 2, needed), most_words + kReserveWords);
    ptrdiff_t base = base_ - stack_;
    stack_ = Resize(stack_, used, wanted);
    sp_ = stack_ + used;
    base_ = stack_ + base;
    capacity_words_ = wanted;
  }
  SetLimit();
}

size_t Vm::AllowedWords() const { return most_words + (is_overflowing_ ? kReserveWords : 0); }

void Vm::SetLimit() { stack_limit_ = stack_ + std::min(capacity_words_, AllowedWords()); }

void Vm::EndOverflow() {
  is_overflowing_ = false;
  SetLimit();
}

std::string Vm::Describe(const Value& callee, ptrdiff_t next) const {
  if (!callee.Is<Closure>()) return {};
  const Code* code = callee.As<Closure>()->GetCode();
  Value file = code->file, lines = code->lines;
  size_t count = lines.As<Bytevector>()->length / sizeof(uint32_t);
  if (file.As<String>()->length == 0 || next < 1 || static_cast<size_t>(next) > count) return {};
  uint32_t line = reinterpret_cast<const uint32_t*>(lines.As<Bytevector>()->bytes())[next - 1];
  std::string text = ToText(file, Style::kDisplay) + ":" + std::to_string(line);
  Value name = code->name;
  return name.Is<Symbol>() ? text + ": in " + SymbolText(name) : text;
}

std::string Vm::Backtrace() const {
  std::string text;
  int lines = 0;
  auto add = [&](const std::string& description) {
    if (!description.empty() && lines++ < kBacktraceLines) text += description + "\n";
  };
  if (base_ > stack_ && base_[-1].Is<Closure>()) {
    add(Describe(base_[-1], next_ - base_[-1].As<Closure>()->GetCode()->text()));
  }
  for (const Frame* frame = frame_top_; frame-- > frames_ + 1 && lines < kBacktraceLines;) {
    if (frame->base > 0) add(Describe(stack_[frame->base - 1], frame->next));
  }
  return text;
}

std::string Vm::Where() const {
  std::string first = Backtrace();
  first.resize(std::min(first.find('\n'), first.size()));
  size_t in = first.find(": in ");
  if (in != std::string::npos) first.resize(in);
  return first.empty() ? first : first + ": ";
}

// An error in a primitive: the machine calls `raise` where the primitive was called.
void Vm::Raise(const SchemeError& error) {
  Value condition = memory_error;
  if (std::string_view(error.kind) == kMemoryError) {
    // Nothing can be made now. Where it happened is told from the stack, if nobody handles it.
    in_.ReleaseReserve();
    error_place = Value::False();
  } else {
    error_place = MakeString(in_.heap, Where());
    Value message = MakeString(in_.heap, error.message);
    condition = Make<Condition>(in_.heap, message, Value::Nil(), in_.Intern(error.kind));
  }
  Reserve(2);
  Value running = base_ > stack_ ? base_[-1] : Value();
  bool is_running = running.Is<Closure>();
  // An error in an Enter may have no running closure any more. `raise` does not return, so anywhere will do to return to.
  PushFrame(next_, is_running ? base_ : stack_);
  Push(in_.Intern("raise").As<Symbol>()->value);
  Push(condition);
}

void Vm::CheckCall(const Value& callee, size_t arguments) const {
  size_t least = 1, most = Builtin::kAnyNumber;
  if (callee.Is<Closure>()) {
    const Code* code = callee.As<Closure>()->GetCode();
    least = code->required;
    if (!code->has_rest) most = least;
  } else if (callee.Is<Builtin>()) {
    least = callee.As<Builtin>()->least;
    most = callee.As<Builtin>()->most;
  } else if (callee.Is<Continuation>()) {
    least = 0;
  } else {
    Fail("this is not a procedure: " + ToShortText(callee));
  }
  if (arguments >= least && arguments <= most) return;
  std::string wanted = PluralOf(least, "argument");
  if (most == Builtin::kAnyNumber) wanted = "at least " + wanted;
  else if (most != least) wanted = std::to_string(least) + " to " + PluralOf(most, "argument");
  Fail(ToShortText(callee) + " wants " + wanted + " but was given " + std::to_string(arguments));
}

// The callee and its arguments lie on top of the stack, and where it returns to is on the frame stack. Goes on until a
// closure runs (true) or the run is over (false).
bool Vm::Enter(size_t arguments) {
  for (;;) {
    Value callee = sp_[-1 - static_cast<ptrdiff_t>(arguments)];
    CheckCall(callee, arguments);
    if (callee.Is<Closure>()) {
      const Code* code = callee.As<Closure>()->GetCode();
      if (code->has_rest) CollectRest(code, arguments);
      Reserve(code->stack_words + 1);
      base_ = sp_ - code->required - (code->has_rest ? 1 : 0);
      next_ = code->text();
      return true;
    }
    if (callee.Is<Continuation>()) return Return(Reinstate(arguments));
    const Builtin* builtin = callee.As<Builtin>();
    if (builtin->special == Special::kApply) {
      arguments = SpreadLastArgument(arguments);
    } else if (builtin->special == Special::kCallWithContinuation) {
      CaptureContinuation();
    } else {
      Value result = builtin->function(in_, {sp_ - arguments, arguments});
      Drop(arguments + 1);
      return Return(static_cast<Value&&>(result));
    }
  }
}

// Gives the result to the frame on top of the frame stack.
bool Vm::Return(Value result) {
  Frame frame = *--frame_top_;
  if (frame_top_ == frames_) {
    result_ = static_cast<Value&&>(result);
    return false;
  }
  base_ = stack_ + frame.base;
  next_ = base_[-1].As<Closure>()->GetCode()->text() + frame.next;
  Push(result);
  return true;
}

void Vm::CollectRest(const Code* code, size_t arguments) {
  Value rest = Value::Nil();
  for (; arguments > code->required; --arguments) {
    rest = Cons(in_.heap, sp_[-1], rest);
    Drop(1);
  }
  Reserve(2);
  Push(rest);
}

// (apply f a b '(c d)): the stack holds apply f a b (c d), and then f a b c d.
size_t Vm::SpreadLastArgument(size_t arguments) {
  Value list = sp_[-1];
  int64_t length = ListLength(list);
  if (length < 0) FailType("apply", list, "a list");
  Drop(1);
  Value* bottom = sp_ - arguments;
  for (size_t i = 0; i + 1 < arguments; ++i) bottom[i] = bottom[i + 1];
  Drop(1);
  Reserve(static_cast<size_t>(length) + 1);
  for (; list.Is<Pair>(); list = Cdr(list)) Push(Car(list));
  return arguments - 2 + static_cast<size_t>(length);
}

// (call/cc f): the stack holds call/cc f, and then f k.
void Vm::CaptureContinuation() {
  size_t count = static_cast<size_t>(sp_ - 2 - stack_);
  Value values = MakeArray<Vector>(in_.heap, count, Value());
  for (size_t i = 0; i < count; ++i) values.As<Vector>()->items()[i] = stack_[i];
  Value frames = MakeBytevector(in_.heap, frames_, static_cast<size_t>(frame_top_ - frames_) * sizeof(Frame));
  Value made = Make<Continuation>(in_.heap, values, frames);
  sp_[-2] = sp_[-1];
  sp_[-1] = made;
}

Value Vm::Reinstate(size_t arguments) {
  Value continuation = sp_[-1 - static_cast<ptrdiff_t>(arguments)], result = sp_[-1];
  if (arguments != 1) {
    result = MakeArray<MultipleValues>(in_.heap, arguments, Value());
    for (size_t i = 0; i < arguments; ++i) result.As<MultipleValues>()->items()[i] = sp_[i - arguments];
  }
  Value values = continuation.As<Continuation>()->values, frames = continuation.As<Continuation>()->frames;
  Drop(static_cast<size_t>(sp_ - stack_));
  EndOverflow();
  const Vector* saved = values.As<Vector>();
  Reserve(saved->length + 1);
  for (size_t i = 0; i < saved->length; ++i) Push(saved->items()[i]);
  // The frame stack never shrinks and was at least this high when the continuation was made.
  std::memcpy(frames_, frames.As<Bytevector>()->bytes(), frames.As<Bytevector>()->length);
  frame_top_ = frames_ + frames.As<Bytevector>()->length / sizeof(Frame);
  return result;
}

}  // namespace scheme
