#include "os/thread_bounds.h"

#include <errno.h>
#include <pthread.h>
#include <sys/resource.h>

#include <cstddef>

#include "os/check.h"
#include "os/linux/system_call.h"
#include "os/memory_calls.h"
#include "os/thread.h"

// The dynamic loader's (in a static program, the C library's) note of where the main thread's stack began. Above it lie
// only the arguments, the environment and the auxiliary vector.
extern "C" void* __libc_stack_end;

// Of AddressSanitizer, if the program has it; the library need not be built with it.
extern "C" [[gnu::weak]] void* __asan_get_current_fake_stack();
extern "C" [[gnu::weak]] void* __asan_addr_is_in_fake_stack(void* fake_stack, void* address, void** base, void** limit);

namespace acre::os {
namespace {

// Where a stack without limit is said to end: so far down that no program gets there, and yet above where Linux puts
// mappings first when the limit is off (a third of the address space, going up).
constexpr uintptr_t kUnlimitedStackBytes = uintptr_t{1} << 44;

constexpr size_t kStepBytes = 256 * 1024;
constexpr size_t kLeastPageBytes = 4 * 1024;

uintptr_t StackLimitBytes() {
  struct rlimit limit;
  const long result = SystemCall(SYS_prlimit64, 0, int{RLIMIT_STACK}, nullptr, &limit);
  if (result < 0 || limit.rlim_cur > kUnlimitedStackBytes) return kUnlimitedStackBytes;
  return limit.rlim_cur;
}

StackBounds MainStackBounds() {
  const auto high = reinterpret_cast<uintptr_t>(__libc_stack_end);
  const uintptr_t bytes = StackLimitBytes();
  return {bytes < high ? high - bytes : 0, high};
}

// Whether this is the main thread, on the stack that the kernel gave it. The thread whose number is the process's is
// not always that: in the child of a fork it is whichever thread forked, on that thread's stack. But other threads'
// stacks hold their thread control block, above all frames, where the main thread's control block is never on the
// stack.
bool IsOnMainStack(StackBounds main) {
  if (CurrentThreadId() != CurrentProcessId()) return false;
  const auto here = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  if (here < main.low || here >= main.high) return false;
  const auto control_block = static_cast<uintptr_t>(pthread_self());
  return control_block < here || control_block >= main.high;
}

StackBounds BoundsFromCLibrary() {
  const int callers_errno = errno;
  pthread_attr_t attributes;
  const int error = pthread_getattr_np(pthread_self(), &attributes);
  if (error != 0) Fatal("the bounds of a thread's stack cannot be had: error ", error);
  void* low = nullptr;
  size_t bytes = 0;
  CHECK(pthread_attr_getstack(&attributes, &low, &bytes) == 0);
  pthread_attr_destroy(&attributes);
  errno = callers_errno;
  return {reinterpret_cast<uintptr_t>(low), reinterpret_cast<uintptr_t>(low) + bytes};
}

// Whether every page of the range is mapped: mincore says nothing else of a range with holes.
bool IsMapped(uintptr_t base, size_t bytes) {
  unsigned char residency[kStepBytes / kLeastPageBytes];
  return SystemCall(SYS_mincore, base, bytes, residency) == 0;
}

}  // namespace

uintptr_t LowestMapped(const StackBounds& stack) {
  const size_t page_bytes = OsPageBytes();
  const uintptr_t bottom = (stack.low + page_bytes - 1) & ~(page_bytes - 1);
  uintptr_t lowest = stack.high & ~(page_bytes - 1);
  for (size_t step : {kStepBytes, page_bytes}) {
    while (lowest - bottom >= step && lowest > bottom && IsMapped(lowest - step, step)) lowest -= step;
  }
  return lowest;
}

void* CurrentFakeStack() {
  return &__asan_get_current_fake_stack == nullptr ? nullptr : __asan_get_current_fake_stack();
}

bool FindFakeFrame(void* fake_stack, uintptr_t word, uintptr_t* base, uintptr_t* limit) {
  void* from = nullptr;
  void* to = nullptr;
  if (__asan_addr_is_in_fake_stack(fake_stack, reinterpret_cast<void*>(word), &from, &to) == nullptr) return false;
  *base = reinterpret_cast<uintptr_t>(from);
  *limit = reinterpret_cast<uintptr_t>(to);
  return true;
}

StackBounds CurrentStackBounds() {
  const StackBounds main = MainStackBounds();
  return IsOnMainStack(main) ? main : BoundsFromCLibrary();
}

}  // namespace acre::os
