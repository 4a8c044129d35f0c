#pragma once

// How much room the CPU's registers take when the kernel saves them in a signal frame.

#include <cstddef>

namespace acre::arch {

// The bytes of the vector and floating-point state that this CPU and operating system save, as CPUID tells it; 0 where
// the CPU does not tell.
size_t SavedVectorStateBytes();

}  // namespace acre::arch
