#include "bench/interpreters/scheme/vm.h"

#include <cstdlib>
#include <cstring>

#include "bench/interpreters/scheme/equality.h"
#include "bench/interpreters/scheme/interpreter.h"
#include "bench/interpreters/scheme/numbers.h"
#include "bench/interpreters/scheme/opcodes.h"
#include "bench/interpreters/scheme/printer.h"

namespace scheme {

// What the loop keeps in the CPU's registers. Save writes it where the heap and the slow paths see it.
struct Vm::Registers {
  const uint32_t* next;
  Value* base;
  Value* sp;
  const Closure* closure;  // Held by the slot below base.
  const Field* constants;
};

void Vm::Save(const Registers& r) {
  sp_ = r.sp;
  base_ = r.base;
  next_ = r.next;
}

void Vm::Load(Registers& r) const {
  r.sp = sp_;
  r.base = base_;
  r.next = next_;
  r.closure = base_[-1].As<Closure>();
  r.constants = r.closure->GetCode()->constant_items();
}

namespace {

// Slots above the stack's top hold nothing where references are counted; elsewhere what is left there does not matter,
// because nobody looks.
inline void DropTo(Value*& sp, Value* new_top) {
  if constexpr (Heap::kCountsReferences) {
    while (sp > new_top) *--sp = Value();
  } else {
    sp = new_top;
  }
}

inline Value Pop(Value*& sp) { return static_cast<Value&&>(*--sp); }

inline bool Takes(const Builtin* builtin, size_t arguments) {
  return builtin->special == Special::kNone && arguments >= builtin->least && arguments <= builtin->most;
}

inline bool FitsExactly(const Code* code, size_t arguments) { return code->required == arguments && !code->has_rest; }

inline bool AreFixnums(const Value& a, const Value& b) { return (a.word() & b.word() & 1) != 0; }

}  // namespace

Value Vm::Execute(const Value& thunk) {
  DropTo(sp_, stack_);
  frame_top_ = frames_;
  base_ = stack_;
  handlers = Value::Nil();
  EndOverflow();
  PushFrame(next_, stack_);  // Nobody's: returning to it ends the run.
  Push(thunk);
  size_t arguments = 0;
  for (;;) {
    try {
      if (!Enter(arguments)) return result_;
      return Run();
    } catch (const SchemeError& error) {
      Raise(error);
      arguments = 1;
    }
  }
}

// One case for each instruction. The fast path stands here; what may allocate or fail saves the registers first.
Value Vm::Run() {
  Registers r;
  Load(r);
  for (;;) {
    uint32_t word = *r.next++;
    uint32_t operand = OperandOf(word);
    switch (OperationOf(word)) {
      case Op::kConstant: *r.sp++ = r.constants[operand]; break;
      case Op::kLocal: *r.sp++ = r.base[operand]; break;
      case Op::kLocalBox: case Op::kCapturedBox: {
        const Value box = OperationOf(word) == Op::kLocalBox ? r.base[operand] : Value(r.closure->captured()[operand]);
        *r.sp++ = box.As<Box>()->value;
        if (r.sp[-1].word() == kUnboundWord) {
          Save(r);
          Fail("a local variable is used before its definition");
        }
        break;
      }
      case Op::kCaptured: *r.sp++ = r.closure->captured()[operand]; break;
      case Op::kSelf: *r.sp++ = r.base[-1]; break;
      case Op::kGlobal: {
        const Symbol* symbol = reinterpret_cast<const Symbol*>(r.constants[operand].word());
        *r.sp++ = symbol->value;
        if (!r.sp[-1].IsPointer() && (r.sp[-1].word() == kUnboundWord || r.sp[-1].IsSpecialForm())) {
          Save(r);
          Fail(SymbolText(r.constants[operand]) + " is not defined");
        }
        break;
      }
      case Op::kSetSlot: r.base[operand] = Pop(r.sp); break;
      case Op::kSetLocalBox: r.base[operand].As<Box>()->value = Pop(r.sp); break;
      case Op::kSetCapturedBox: Value(r.closure->captured()[operand]).As<Box>()->value = Pop(r.sp); break;
      case Op::kSetGlobal: {
        Symbol* symbol = reinterpret_cast<Symbol*>(r.constants[operand].word());
        Save(r);
        if (symbol->value.word() == kUnboundWord) Fail("set!: " + SymbolText(symbol) + " is not defined");
        symbol->value = Pop(r.sp);
        break;
      }
      case Op::kDefineGlobal: reinterpret_cast<Symbol*>(r.constants[operand].word())->value = Pop(r.sp); break;
      case Op::kMakeBox:
        Save(r);
        MakeBox(r.base + operand);
        break;
      case Op::kClosure:
        Save(r);
        MakeClosure(r.constants[operand], r.next + 1, r.next[0]);
        r.sp = sp_;
        r.next += 1 + r.next[0];
        break;
      case Op::kPatch:
        r.base[operand].As<Closure>()->captured()[*r.next >> kPatchShift] = r.base[*r.next & kPatchMask];
        ++r.next;
        break;
      case Op::kPop: DropTo(r.sp, r.sp - operand); break;
      case Op::kSlide: {
        Value result = Pop(r.sp);
        DropTo(r.sp, r.sp - operand);
        *r.sp++ = static_cast<Value&&>(result);
        break;
      }
      case Op::kJump: r.next = r.closure->GetCode()->text() + operand; break;
      case Op::kJumpIfFalse:
        if (!Pop(r.sp).IsTrue()) r.next = r.closure->GetCode()->text() + operand;
        break;
      case Op::kJumpIfTrueElsePop:
        if (r.sp[-1].IsTrue()) r.next = r.closure->GetCode()->text() + operand;
        else DropTo(r.sp, r.sp - 1);
        break;

      case Op::kCall: {
        Value& callee = r.sp[-1 - static_cast<ptrdiff_t>(operand)];
        if (callee.Is<Closure>()) {
          const Closure* closure = callee.As<Closure>();
          const Code* code = closure->GetCode();
          bool has_room = stack_limit_ - r.sp > code->stack_words && frame_top_ < frame_limit_;
          if (FitsExactly(code, operand) && has_room) {
            *frame_top_++ = {static_cast<uint32_t>(r.next - r.closure->GetCode()->text()),
                             static_cast<uint32_t>(r.base - stack_)};
            r = {code->text(), r.sp - operand, r.sp, closure, code->constant_items()};
            break;
          }
        }
        Save(r);
        if (callee.Is<Builtin>() && Takes(callee.As<Builtin>(), operand)) {
          Value result = callee.As<Builtin>()->function(in_, {r.sp - operand, operand});
          DropTo(r.sp, r.sp - operand - 1);
          *r.sp++ = static_cast<Value&&>(result);
          break;
        }
        CheckCall(callee, operand);
        PushFrame(r.next, r.base);
        if (!Enter(operand)) return result_;
        Load(r);
        break;
      }
      case Op::kTailCall: {
        Value& callee = r.sp[-1 - static_cast<ptrdiff_t>(operand)];
        if (callee.Is<Closure>()) {
          const Closure* closure = callee.As<Closure>();
          const Code* code = closure->GetCode();
          if (FitsExactly(code, operand) && stack_limit_ - r.sp > code->stack_words) {
            sp_ = r.sp;
            base_ = r.base;
            MoveDown(operand);
            r = {code->text(), r.base, sp_, closure, code->constant_items()};
            break;
          }
        }
        Save(r);
        if (callee.Is<Builtin>() && Takes(callee.As<Builtin>(), operand)) {
          *r.sp++ = callee.As<Builtin>()->function(in_, {r.sp - operand, operand});
          goto return_top;
        }
        CheckCall(callee, operand);
        MoveDown(operand);
        if (!Enter(operand)) return result_;
        Load(r);
        break;
      }
      return_top:
      case Op::kReturn: {
        Value result = Pop(r.sp);
        DropTo(r.sp, r.base - 1);
        Frame frame = *--frame_top_;
        if (frame_top_ == frames_) {
          sp_ = r.sp;
          return result;
        }
        *r.sp++ = static_cast<Value&&>(result);
        r.base = stack_ + frame.base;
        r.closure = r.base[-1].As<Closure>();
        const Code* code = r.closure->GetCode();
        r.next = code->text() + frame.next;
        r.constants = code->constant_items();
        break;
      }

      case Op::kCar: case Op::kCdr:
        if (!r.sp[-1].Is<Pair>()) {
          Save(r);
          FailType(OperationOf(word) == Op::kCar ? "car" : "cdr", r.sp[-1], "a pair");
        }
        r.sp[-1] = OperationOf(word) == Op::kCar ? Car(r.sp[-1]) : Cdr(r.sp[-1]);
        break;
      case Op::kCons:
        Save(r);
        r.sp[-2] = Cons(in_.heap, r.sp[-2], r.sp[-1]);
        DropTo(r.sp, r.sp - 1);
        break;
      case Op::kIsNull: r.sp[-1] = Value::Boolean(r.sp[-1].IsNil()); break;
      case Op::kIsPair: r.sp[-1] = Value::Boolean(r.sp[-1].Is<Pair>()); break;
      case Op::kNot: r.sp[-1] = Value::Boolean(!r.sp[-1].IsTrue()); break;
      case Op::kIsEq:
        r.sp[-2] = Value::Boolean(r.sp[-2] == r.sp[-1]);
        DropTo(r.sp, r.sp - 1);
        break;
      case Op::kAddFixnum: {
        int64_t step = SignedOperandOf(word), sum;
        if (r.sp[-1].IsFixnum() && !__builtin_add_overflow(static_cast<int64_t>(r.sp[-1].word()), step * 2, &sum)) {
          r.sp[-1] = Value(static_cast<Word>(sum));
          break;
        }
        Save(r);
        r.sp[-1] = Add(in_.heap, r.sp[-1], Value::Fixnum(step));
        break;
      }
      case Op::kEqual: case Op::kLess: case Op::kGreater: case Op::kLessOrEqual: case Op::kGreaterOrEqual:
        if (AreFixnums(r.sp[-2], r.sp[-1])) {
          int64_t a = static_cast<int64_t>(r.sp[-2].word()), b = static_cast<int64_t>(r.sp[-1].word());
          bool holds = false;
          switch (OperationOf(word)) {
            case Op::kEqual: holds = a == b; break;
            case Op::kLess: holds = a < b; break;
            case Op::kGreater: holds = a > b; break;
            case Op::kLessOrEqual: holds = a <= b; break;
            default: holds = a >= b; break;
          }
          r.sp[-2] = Value::Boolean(holds);
          DropTo(r.sp, r.sp - 1);
          break;
        }
        [[fallthrough]];
      default:
        Save(r);
        InlineSlowly(word);
        r.sp = sp_;
        break;
    }
  }
}

// Moves the callee and its arguments over the frame that runs, which ends.
void Vm::MoveDown(size_t arguments) {
  Value *to = base_ - 1, *from = sp_ - arguments - 1;
  for (size_t i = 0; i <= arguments; ++i) to[i] = static_cast<Value&&>(from[i]);
  DropTo(sp_, base_ + arguments);
}

void Vm::MakeBox(Value* slot) { *slot = Make<Box>(in_.heap, *slot); }

void Vm::MakeClosure(const Value& code, const uint32_t* captures, uint32_t count) {
  Value made = MakeExtra<Closure>(in_.heap, count * sizeof(Field), code, count);
  Closure* closure = made.As<Closure>();
  const Closure* running = base_[-1].As<Closure>();
  for (uint32_t i = 0; i < count; ++i) {
    uint32_t index = OperandOf(captures[i]);
    switch (static_cast<CaptureFrom>(captures[i] & 0xff)) {
      case CaptureFrom::kSlot: closure->captured()[i] = base_[index]; break;
      case CaptureFrom::kCaptured: closure->captured()[i] = running->captured()[index]; break;
      case CaptureFrom::kSelf: closure->captured()[i] = base_[-1]; break;
    }
  }
  Push(made);
}

// The inlined primitives that allocate, check, or were given something unusual.
void Vm::InlineSlowly(uint32_t word) {
  Op op = OperationOf(word);
  size_t operands = op == Op::kVectorSet ? 3 : 2;
  Value* a = sp_ - operands;
  Value result = Value::Unspecified();
  auto check_item = [&](const char* who) {
    if (!a[0].Is<Vector>()) FailType(who, a[0], "a vector");
    bool is_index = a[1].IsFixnum() && static_cast<uint64_t>(a[1].AsFixnum()) < a[0].As<Vector>()->length;
    if (!is_index) FailType(who, a[1], "an index of the vector");
  };
  switch (op) {
    case Op::kAdd: result = Add(in_.heap, a[0], a[1]); break;
    case Op::kSubtract: result = Subtract(in_.heap, a[0], a[1]); break;
    case Op::kMultiply: result = Multiply(in_.heap, a[0], a[1]); break;
    case Op::kEqual: result = Value::Boolean(Compare("=", a[0], a[1]) == Order::kEqual); break;
    case Op::kLess: result = Value::Boolean(Compare("<", a[0], a[1]) == Order::kLess); break;
    case Op::kGreater: result = Value::Boolean(Compare(">", a[0], a[1]) == Order::kGreater); break;
    case Op::kLessOrEqual: result = Value::Boolean(Compare("<=", a[0], a[1]) <= Order::kEqual); break;
    case Op::kGreaterOrEqual: {
      Order order = Compare(">=", a[0], a[1]);
      result = Value::Boolean(order == Order::kEqual || order == Order::kGreater);
      break;
    }
    case Op::kIsEqv: result = Value::Boolean(IsEqv(a[0], a[1])); break;
    case Op::kSetCar: case Op::kSetCdr: {
      if (!a[0].Is<Pair>()) FailType(op == Op::kSetCar ? "set-car!" : "set-cdr!", a[0], "a pair");
      Pair* pair = a[0].As<Pair>();
      (op == Op::kSetCar ? pair->car : pair->cdr) = a[1];
      break;
    }
    case Op::kVectorRef:
      check_item("vector-ref");
      result = a[0].As<Vector>()->items()[a[1].AsFixnum()];
      break;
    default:
      check_item("vector-set!");
      a[0].As<Vector>()->items()[a[1].AsFixnum()] = a[2];
      break;
  }
  DropTo(sp_, a);
  Push(result);
}

}  // namespace scheme
