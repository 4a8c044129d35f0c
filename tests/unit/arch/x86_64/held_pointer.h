#pragma once

// Functions that hold a pointer in one place only, and spin there until they are told to go on.
//
// They get it disguised (every bit flipped) and undo that in assembly, after which the disguised copy is all that the
// caller has: whoever finds the pointer has found it where the function keeps it. All clean up behind them.

#include <cstdint>

namespace acre::testing {

// How the two threads meet. Read and written by assembly, so plain words.
struct Hold {
  volatile uint32_t is_held = 0;      // Set by the holder.
  volatile uint32_t is_released = 0;  // Set by the other thread.
};

using Holder = void (*)(uintptr_t disguised, Hold* hold);

#define ACRE_TEST_SPIN_UNTIL_RELEASED \
  "  xor %edi, %edi\n"                \
  "  movl $1, (%rsi)\n"               \
  "1:\n"                              \
  "  pause\n"                         \
  "  cmpl $0, 4(%rsi)\n"              \
  "  je 1b\n"

// Below the stack pointer, as a leaf may.
[[gnu::naked, gnu::noinline, maybe_unused]] static void HoldInRedZone(uintptr_t, Hold*) {
  asm("  not %rdi\n"
      "  mov %rdi, -64(%rsp)\n" ACRE_TEST_SPIN_UNTIL_RELEASED
      "  movq $0, -64(%rsp)\n"
      "  ret\n");
}

// In a register that callees preserve.
[[gnu::naked, gnu::noinline, maybe_unused]] static void HoldInCalleeSavedRegister(uintptr_t, Hold*) {
  asm("  push %r13\n"
      "  mov %rdi, %r13\n"
      "  not %r13\n" ACRE_TEST_SPIN_UNTIL_RELEASED
      "  pop %r13\n"
      "  ret\n");
}

// In the lower half of a YMM register, which is an XMM register of which every CPU's frame has room.
[[gnu::naked, gnu::noinline, maybe_unused]] static void HoldInXmm(uintptr_t, Hold*) {
  asm("  not %rdi\n"
      "  movq %rdi, %xmm9\n" ACRE_TEST_SPIN_UNTIL_RELEASED
      "  pxor %xmm9, %xmm9\n"
      "  ret\n");
}

// In the upper half of a YMM register. REQUIRES: AVX2.
[[gnu::naked, gnu::noinline, maybe_unused]] static void HoldInYmm(uintptr_t, Hold*) {
  asm("  not %rdi\n"
      "  vmovq %rdi, %xmm1\n"
      "  vpxor %xmm0, %xmm0, %xmm0\n"
      "  vinserti128 $1, %xmm1, %ymm0, %ymm0\n"
      "  vpxor %xmm1, %xmm1, %xmm1\n" ACRE_TEST_SPIN_UNTIL_RELEASED
      "  vzeroall\n"
      "  ret\n");
}

// In the upper half of one of the registers that only AVX-512 has. REQUIRES: AVX-512F.
[[gnu::naked, gnu::noinline, maybe_unused]] static void HoldInZmm(uintptr_t, Hold*) {
  asm("  not %rdi\n"
      "  vmovq %rdi, %xmm1\n"
      "  vpxorq %zmm21, %zmm21, %zmm21\n"
      "  vinserti64x4 $1, %ymm1, %zmm21, %zmm21\n"
      "  vpxor %xmm1, %xmm1, %xmm1\n" ACRE_TEST_SPIN_UNTIL_RELEASED
      "  vpxorq %zmm21, %zmm21, %zmm21\n"
      "  vzeroall\n"
      "  ret\n");
}

#undef ACRE_TEST_SPIN_UNTIL_RELEASED

// Puts six values into rbx, rbp and r12 to r15 (the pointer, and five that are `step` apart from each other above it),
// calls call(argument), and checks nothing: who is called looks for them.
using Callee = void (*)(void* argument);
[[gnu::naked, gnu::noinline, maybe_unused]] static void CallWithValuesInCalleeSaved(uintptr_t /* disguised: rdi */,
                                                                                    uintptr_t /* step: rsi */,
                                                                                    Callee /* call: rdx */,
                                                                                    void* /* argument: rcx */) {
  asm("  push %rbx\n  push %rbp\n  push %r12\n  push %r13\n  push %r14\n  push %r15\n  sub $8, %rsp\n"
      "  not %rdi\n"
      "  mov %rdi, %rbx\n"
      "  lea (%rbx,%rsi), %rbp\n"
      "  lea (%rbp,%rsi), %r12\n"
      "  lea (%r12,%rsi), %r13\n"
      "  lea (%r13,%rsi), %r14\n"
      "  lea (%r14,%rsi), %r15\n"
      "  mov %rcx, %rdi\n"
      "  call *%rdx\n"
      "  add $8, %rsp\n  pop %r15\n  pop %r14\n  pop %r13\n  pop %r12\n  pop %rbp\n  pop %rbx\n"
      "  ret\n");
}

}  // namespace acre::testing
