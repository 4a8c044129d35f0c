#pragma once

// Where the calling thread's stack lies.

#include <cstdint>

namespace acre::os {

// [low, high). Not all of it need be mapped: the main thread's stack grows down to `low` as it is used, so that only
// what lies at or above the stack pointer may be read.
struct StackBounds {
  uintptr_t low;
  uintptr_t high;
};

// The stack that the thread was started with, also when it runs on another one at the moment (a signal's, a fibre's).
// The main thread's takes a few system calls (1 us) and no memory. Any other's comes from the C library, which knows it
// but also asks the kernel for the thread's CPUs: 1.5 us, and glibc 2.36 calls malloc three times. So not from inside
// of malloc. A main thread that runs on another stack is slow: about 100 us, because the C library then reads the
// memory map of the process. Any thread, its own stack only; keeps errno.
StackBounds CurrentStackBounds();

// How far down a stack is mapped: all of [what is returned, stack.high) may be read, by any thread, as long as the stack's
// thread lives. A system call for each 256 KiB; takes no lock.
uintptr_t LowestMapped(const StackBounds& stack);

// AddressSanitizer, where it looks for uses of a stack after return, keeps the locals whose addresses are taken in frames
// of its own, apart from the stack, which then only points to them. Of the calling thread; null if there are none, as in
// every program without it. Safe in a signal handler.
void* CurrentFakeStack();

// The frame of that stack that a word points into. False: none. Any thread, while the stack's thread is stopped.
bool FindFakeFrame(void* fake_stack, uintptr_t word, uintptr_t* base, uintptr_t* limit);

}  // namespace acre::os
