#pragma once

// Sets of blocked signals as the kernel takes them: one bit a signal, bit 0 for signal 1.
//
// The C library's type has room for 1024 signals, of which a signal frame holds only these.

#include <signal.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "os/linux/system_call.h"

namespace acre::os {

using KernelSignalMask = uint64_t;

inline KernelSignalMask SignalBit(int signal) { return KernelSignalMask{1} << (signal - 1); }

inline KernelSignalMask ToKernelMask(const sigset_t& set) {
  KernelSignalMask mask;
  static_assert(sizeof mask <= sizeof set);
  std::memcpy(&mask, &set, sizeof mask);
  return mask;
}

inline KernelSignalMask SetSignalMask(KernelSignalMask mask) {
  KernelSignalMask before = 0;
  (void)SystemCall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, &before, sizeof mask);
  return before;
}

// While it lives, no handler interrupts the calling thread: for locks that handlers, or what they call, may want.
class AllSignalsBlocked {
 public:
  AllSignalsBlocked() : before_(SetSignalMask(~KernelSignalMask{0})) {}
  ~AllSignalsBlocked() { (void)SetSignalMask(before_); }
  AllSignalsBlocked(const AllSignalsBlocked&) = delete;
  AllSignalsBlocked& operator=(const AllSignalsBlocked&) = delete;

 private:
  const KernelSignalMask before_;
};

}  // namespace acre::os
