#pragma once

// The instructions of the VM. An instruction is a 32-bit word: the operation in the low 8 bits, an operand above; a few
// are followed by more words. It is a stack machine: "push" and "pop" speak of the value stack, whose slots from the
// frame's base on hold first the arguments, then the local variables, then what is being computed. The compiler knows
// each slot's number.

#include <cstdint>

namespace scheme {

enum class Op : uint8_t {
  kConstant,      // push constants[n]
  kLocal,         // push slot n
  kLocalBox,      // push what the box in slot n holds
  kCaptured,      // push the closure's captured value n
  kCapturedBox,   // push what the box in captured value n holds
  kSelf,          // push the closure that runs
  kGlobal,        // push the value of the symbol constants[n]
  kSetSlot,       // pop into slot n
  kSetLocalBox,   // pop into the box in slot n
  kSetCapturedBox,
  kSetGlobal,     // pop into the symbol constants[n], which must be bound
  kDefineGlobal,  // the same, bound or not
  kMakeBox,       // slot n := a box with the value of slot n
  kClosure,       // push a closure of the code constants[n]; one more word: how many it captures; then a word for each
  kPatch,         // the closure in slot n captures, as its value (next word >> 16), slot (next word & 0xffff)
  kPop,           // drop n values
  kSlide,         // drop n values below the top one
  kJump,          // go on at word n of the code
  kJumpIfFalse,   // pop; if it is #f, jump
  kJumpIfTrueElsePop,  // if the top is true, jump and keep it; else drop it
  kCall,          // call the procedure below the n arguments on top; they are replaced by the result
  kTailCall,      // the same in place of the frame that runs
  kReturn,        // pop the result and go back
  // Primitives without a call, as long as the program has not redefined them. Operands from the stack, result onto it.
  kCar, kCdr, kCons, kIsNull, kIsPair, kNot, kIsEq, kIsEqv, kSetCar, kSetCdr, kVectorRef, kVectorSet,
  kAdd, kSubtract, kMultiply, kEqual, kLess, kGreater, kLessOrEqual, kGreaterOrEqual,
  kAddFixnum,     // top := top + n, n being signed
  kNone,          // no operation has this number
};

constexpr unsigned kOperandShift = 8;
constexpr uint32_t kLargestOperand = (1u << 24) - 1;
constexpr int32_t kLargestSignedOperand = (1 << 23) - 1;
constexpr unsigned kPatchShift = 16;
constexpr uint32_t kPatchMask = 0xffff;

constexpr uint32_t Encode(Op op, uint32_t operand = 0) { return operand << kOperandShift | static_cast<uint32_t>(op); }
constexpr Op OperationOf(uint32_t word) { return static_cast<Op>(word & 0xff); }
constexpr uint32_t OperandOf(uint32_t word) { return word >> kOperandShift; }
constexpr int32_t SignedOperandOf(uint32_t word) {
  return static_cast<int32_t>(word) >> static_cast<int>(kOperandShift);
}

// Where a new closure finds a value to capture: a word after kClosure.
enum class CaptureFrom : uint8_t { kSlot, kCaptured, kSelf };
constexpr uint32_t EncodeCapture(CaptureFrom from, uint32_t index) {
  return index << kOperandShift | static_cast<uint32_t>(from);
}

// The instruction for a primitive, and how many operands it takes; kNone if there is none.
struct Inlined {
  const char* name;
  Op op;
  uint32_t operands;
};
inline constexpr Inlined kInlined[] = {
    {"car", Op::kCar, 1},          {"cdr", Op::kCdr, 1},         {"cons", Op::kCons, 2},
    {"null?", Op::kIsNull, 1},     {"pair?", Op::kIsPair, 1},    {"not", Op::kNot, 1},
    {"eq?", Op::kIsEq, 2},         {"eqv?", Op::kIsEqv, 2},      {"set-car!", Op::kSetCar, 2},
    {"set-cdr!", Op::kSetCdr, 2},  {"vector-ref", Op::kVectorRef, 2},
    {"vector-set!", Op::kVectorSet, 3},
    {"+", Op::kAdd, 2},            {"-", Op::kSubtract, 2},      {"*", Op::kMultiply, 2},
    {"=", Op::kEqual, 2},          {"<", Op::kLess, 2},          {">", Op::kGreater, 2},
    {"<=", Op::kLessOrEqual, 2},   {">=", Op::kGreaterOrEqual, 2},
};

}  // namespace scheme
