#pragma once

// For programs that run with a limit on locked memory, whoever starts them. They end with 77 and a reason where it cannot
// be had.

#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "os/memory_calls.h"

namespace acre::testing {

inline constexpr int kCannotShow = 77;

[[noreturn]] inline void Give(int code, const char* reason) {
  std::fprintf(stderr, "%s\n", reason);
  std::_Exit(code);
}

inline void DropLockPrivilege() {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  if (syscall(SYS_capget, &header, data) != 0) Give(kCannotShow, "skipped: capget does not work here");
  const uint32_t bit = CAP_TO_MASK(CAP_IPC_LOCK);
  data[CAP_TO_INDEX(CAP_IPC_LOCK)].effective &= ~bit;
  if (syscall(SYS_capset, &header, data) != 0) Give(kCannotShow, "skipped: capset does not work here");
}

inline void SetLimit(size_t bytes) {
  rlimit limit = {};
  getrlimit(RLIMIT_MEMLOCK, &limit);
  if (bytes > limit.rlim_max)
    Give(kCannotShow, "skipped: the hard limit on locked memory is lower than the test needs");
  limit.rlim_cur = bytes;
  if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0) Give(kCannotShow, "skipped: the limit on locked memory cannot be set");
}

// The test means something only where the limit is enforced.
inline void RequireThatLimitIsEnforced(size_t bytes) {
  const size_t page_bytes = os::OsPageBytes();
  void* page = mmap(nullptr, page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  // Not by mlock, which sanitizers make do nothing.
  const bool is_locked = syscall(SYS_mlock, page, page_bytes) == 0;
  munmap(page, page_bytes);
  if (is_locked && bytes < page_bytes) Give(kCannotShow, "skipped: mlock succeeds beyond the limit here");
  if (!is_locked && bytes >= page_bytes) Give(kCannotShow, "skipped: mlock fails below the limit here");
}

inline void LimitLockedMemory(size_t bytes) {
  const rlimit no_core = {};
  setrlimit(RLIMIT_CORE, &no_core);
  DropLockPrivilege();
  SetLimit(bytes);
  RequireThatLimitIsEnforced(bytes);
}

}  // namespace acre::testing
