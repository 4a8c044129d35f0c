#pragma once

// How fast idle memory goes back in the background: a pure function of what it is told, so that tests can simulate it.
//
// To give memory back costs about 0.1 µs an os page, and another 0.3 to 1 µs for each that is needed again. So it may take 1 %
// of one CPU: after each step the thread sleeps 99 times as long as the step has worked. At that pace a GiB is gone in a few
// seconds. Where what is idle would not be gone within 8 s (10 s after a burst, of which it takes one to count as
// idle), steps come faster, just as much as is needed, up to 10 %.

#include <cstddef>
#include <cstdint>

#include "allocator/base/units.h"
#include "os/clock.h"

namespace acre {

inline constexpr size_t kScavengeStepBytes = 4 * kMiB;  // 0.1 to 0.4 ms: a fork, or the heap's end, waits so long.
inline constexpr uint64_t kScavengeTickNs = 250 * os::kNsPerMs;  // Between two looks at whether anything is idle.

struct ScavengeStep {
  size_t released_bytes;
  uint64_t worked_ns;  // CPU time.
  size_t idle_bytes;   // Left to be given back.
};

class ScavengePace {
 public:
  // How long to sleep after the step, which has ended now.
  uint64_t PauseNs(const ScavengeStep& step, uint64_t now_ns) {
    if (step.released_bytes == 0 || step.idle_bytes == 0) {
      due_ns_ = 0;
      return kScavengeTickNs;
    }
    if (due_ns_ <= now_ns) due_ns_ = now_ns + kLimitNs;
    uint64_t pause_ns = step.worked_ns * (kShare - 1);
    const uint64_t steps_left = step.idle_bytes / step.released_bytes + 1;
    const uint64_t lap_ns = (due_ns_ - now_ns) / steps_left;
    if (pause_ns + step.worked_ns > lap_ns) {
      const uint64_t least_lap_ns = step.worked_ns * kLargestShare;
      pause_ns = (lap_ns > least_lap_ns ? lap_ns : least_lap_ns) - step.worked_ns;
    }
    return pause_ns < kScavengeTickNs ? pause_ns : kScavengeTickNs;
  }

 private:
  static constexpr uint64_t kLimitNs = 8 * os::kNsPerSecond;
  static constexpr uint64_t kShare = 100;        // One of so many parts of a CPU,
  static constexpr uint64_t kLargestShare = 10;  // or one of so many where it would take too long.

  uint64_t due_ns_ = 0;  // When what is idle is to be gone; 0: nothing is.
};

}  // namespace acre
