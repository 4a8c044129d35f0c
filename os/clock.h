#pragma once

// Time in nanoseconds.

#include <cstdint>

namespace acre::os {

inline constexpr uint64_t kNsPerMs = 1'000'000;
inline constexpr uint64_t kNsPerSecond = 1'000'000'000;

uint64_t MonotonicNs();        // CLOCK_MONOTONIC: tens of nanoseconds a call.
uint64_t CoarseMonotonicNs();  // CLOCK_MONOTONIC_COARSE: a few nanoseconds, resolution of milliseconds.
uint64_t ThreadCpuNs();        // CPU time of the calling thread.
uint64_t ProcessCpuNs();       // CPU time of all threads of the process.

}  // namespace acre::os
