#include "os/clock.h"

#include <time.h>

namespace acre::os {
namespace {

uint64_t ReadNs(clockid_t clock) {
  timespec now = {};
  clock_gettime(clock, &now);  // Cannot fail for these clocks, so that errno stays as it is.
  return static_cast<uint64_t>(now.tv_sec) * kNsPerSecond + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace

uint64_t MonotonicNs() { return ReadNs(CLOCK_MONOTONIC); }
uint64_t CoarseMonotonicNs() { return ReadNs(CLOCK_MONOTONIC_COARSE); }
uint64_t ThreadCpuNs() { return ReadNs(CLOCK_THREAD_CPUTIME_ID); }
uint64_t ProcessCpuNs() { return ReadNs(CLOCK_PROCESS_CPUTIME_ID); }

}  // namespace acre::os
