#pragma once

// Copies that take as long as one likes, with everything in vector registers meanwhile. For tests of whoever may touch
// a thread's registers while it is interrupted; not part of the library.

#include <cstddef>
#include <cstdint>
#include <span>

#include "arch/cpu.h"

namespace acre::arch {

struct VectorHold {
  const char* registers;  // What a message calls one of them: "ymm".
  size_t register_bytes;
  size_t register_count;  // All that the CPU has.
  bool (*runs_on)(const CpuFeatures& cpu);
  // Loads every register from `from`, turns an empty loop `spins` times (at least 1), and stores every register at
  // `to`. Both hold register_bytes × register_count bytes; no alignment is needed.
  void (*copy)(void* to, const void* from, uint64_t spins);

  constexpr size_t bytes() const { return register_bytes * register_count; }
};

inline constexpr size_t kMostHeldBytes = 2048;

// All of this port, narrowest first; empty for a CPU without any.
std::span<const VectorHold> VectorHolds();

}  // namespace acre::arch
