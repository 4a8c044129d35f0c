#include "os/linux/kernel_bugs.h"

#include "os/check.h"
#include "os/debug_options.h"
#include "os/kernel_bugs.h"

// Where the build installs the page that the notes name.
#if !defined(ACRE_DOC_DIR)
#error "ACRE_DOC_DIR must name the folder that the documentation is installed in"
#endif

namespace acre::os {

constinit KernelBugState kernel_bug_state = {};

bool HasSignalVectorBug(const RunningKernel& kernel) {
  constexpr uint32_t kFirstSound53 = 15;
  constexpr uint32_t kFirstSound54 = 2;
  if (!kernel.is_x86 || kernel.release.major != 5) return false;
  switch (kernel.release.minor) {
    case 2:
      return true;
    case 3:
      return kernel.release.patch < kFirstSound53;
    case 4:
      return kernel.release.patch < kFirstSound54;
    default:
      return false;
  }
}

bool HasSignalVectorBug() {
  KernelVerdict verdict = kernel_bug_state.verdict.load(std::memory_order_relaxed);
  if (verdict == KernelVerdict::kUnknown) [[unlikely]] {
    const bool is_affected = ReadDebugOptions().counts_kernel_as_buggy || HasSignalVectorBug(ReadRunningKernel());
    verdict = is_affected ? KernelVerdict::kAffected : KernelVerdict::kSound;
    kernel_bug_state.verdict.store(verdict, std::memory_order_relaxed);
  }
  return verdict == KernelVerdict::kAffected;
}

void KeepLockError(int error) {
  ASSERT(error != 0);
  int none = 0;
  (void)kernel_bug_state.first_lock_error.compare_exchange_strong(none, error, std::memory_order_relaxed);
}

int FirstLockError() { return kernel_bug_state.first_lock_error.load(std::memory_order_relaxed); }

void WriteKernelBugNotes() {
  const int error = FirstLockError();
  if (error == 0) return;
  const auto write = [](const auto&... parts) {
    Line line;
    (line << ... << parts).Write();
  };
  write("note: your Linux kernel may be buggy");
  write("note: see docs/kernel-signal-vector-bug.md (installed as ", ACRE_DOC_DIR, "/kernel-signal-vector-bug.md)");
  write("note: mlock workaround for kernel bug failed with errno ", error);
}

}  // namespace acre::os
