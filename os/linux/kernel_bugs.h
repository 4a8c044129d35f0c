#pragma once

// Which Linux has which bug, and what this process knows of it.

#include <atomic>

#include "os/linux/kernel_release.h"

namespace acre::os {

enum class KernelVerdict : int { kUnknown, kSound, kAffected };

// All zeros at the start of the process. Tests set it back in a forked child.
struct KernelBugState {
  std::atomic<KernelVerdict> verdict;  // Written by whoever asks first; threads that ask at once find the same.
  std::atomic<int> first_lock_error;   // 0 until a lock fails, then never written again. Read in signal handlers.
};

extern KernelBugState kernel_bug_state;

// True for x86 and 5.2.x, 5.3.0 to 5.3.14, 5.4.0 and 5.4.1. 5.2 was never corrected; 5.3.15, 5.4.2 and 5.5 were. A
// kernel whose release is not understood counts as sound.
bool HasSignalVectorBug(const RunningKernel& kernel);

}  // namespace acre::os
