#pragma once

// What a thread's registers hold, put where a scan of its stack sees it. The bytes below the stack pointer that belong
// to a leaf are kRedZoneBytes, in arch/cpu.h.

#include <cstdint>

namespace acre::arch {

// What the calls below run: `stack_pointer` is the lowest address that has to be scanned.
using SpilledBody = void (*)(void* argument, uintptr_t stack_pointer);

// Calls body(argument, stack_pointer) with every register that a callee has to preserve on the stack, at or above
// stack_pointer: who scans the stack from there finds what the callers' registers hold. The other registers need no
// care: over a call, the ABI leaves nothing in them that a caller still reads. Any thread; allocates nothing.
void WithSpilledRegisters(SpilledBody body, void* argument);

// The same by the compiler's means alone: the port to a CPU without a folder, and the reference for the others.
void WithSpilledRegistersPortably(SpilledBody body, void* argument);

}  // namespace acre::arch
