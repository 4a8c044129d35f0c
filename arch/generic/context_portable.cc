#include "arch/context.h"

namespace acre::arch {
namespace {

// A frame of its own, below the one that holds the registers: its address is lower than all of that frame, wherever in
// it the compiler has put them.
[[gnu::noinline]] void CallFromLowerFrame(SpilledBody body, void* argument) {
  body(argument, reinterpret_cast<uintptr_t>(__builtin_frame_address(0)));
  asm volatile("" ::: "memory");  // No tail call, which would give this frame up.
}

}  // namespace

[[gnu::noinline]] void WithSpilledRegistersPortably(SpilledBody body, void* argument) {
  __builtin_unwind_init();  // The compiler's own way to say: each callee-saved register goes to this frame.
  CallFromLowerFrame(body, argument);
  asm volatile("" ::: "memory");
}

}  // namespace acre::arch
