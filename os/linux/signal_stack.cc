#include "os/signal_stack.h"

#include <linux/futex.h>
#include <signal.h>
#include <sys/auxv.h>

#include <atomic>

#include "arch/vector_state.h"
#include "os/check.h"
#include "os/kernel_bugs.h"
#include "os/linux/system_call.h"

namespace acre::os {
namespace {

constexpr size_t kKiB = 1024;
constexpr size_t kLeastStackBytes = 64 * kKiB;
constexpr size_t kAmxReserveBytes = 16 * kKiB;

// AT_MINSIGSTKSZ. The headers of older C libraries lack it, and so do kernels before 5.14 on x86.
constexpr unsigned long kAuxMinSignalStack = 51;

// What a frame holds beside the vector state: general registers, siginfo, mask and return address (under 700 bytes on
// x86-64), the second magic number and alignment to 64.
constexpr size_t kFrameBesideVectorsBytes = 1 * kKiB;

size_t RoundUpToOsPages(size_t bytes) {
  const size_t mask = OsPageBytes() - 1;
  return (bytes + mask) & ~mask;
}

// getauxval sets errno for an entry that is not there.
size_t AuxiliaryValue(unsigned long type) {
  const int callers_errno = errno;
  const size_t value = getauxval(type);
  errno = callers_errno;
  return value;
}

// Not rounded. Where the kernel says what it needs, it is right; the affected kernels do not say it, hence the CPU is
// asked.
size_t FrameBytes() {
  const size_t told = AuxiliaryValue(kAuxMinSignalStack);
  const size_t computed = arch::SavedVectorStateBytes() + kFrameBesideVectorsBytes;
  return told > computed ? told : computed;
}

size_t StackBytes() {
  const size_t needed = FrameBytes() + kAmxReserveBytes;
  return RoundUpToOsPages(needed > kLeastStackBytes ? needed : kLeastStackBytes);
}

Status StatusOf(int error) { return error == ENOMEM || error == EAGAIN ? Status::kOutOfMemory : Status::kRefused; }

// Of the calling thread. False where a sandbox forbids the call.
bool ReadCurrentStack(stack_t* current) { return SystemCall(SYS_sigaltstack, nullptr, current) == 0; }

bool SetCurrentStack(const stack_t& stack) { return SystemCall(SYS_sigaltstack, &stack, nullptr) == 0; }

// Writes without changing anything: the kernel makes an atomic "or" of nothing to the word, for which it brings in the page
// to be written, and answers with an error where there is none: it may have been unmapped meanwhile. The kernels that need
// it do not know MADV_POPULATE_WRITE. Nobody waits at either address, so that nobody is woken.
void TouchWord(uintptr_t word) {
  constexpr uint32_t kOrNothing = FUTEX_OP(FUTEX_OP_OR, 0, FUTEX_OP_CMP_EQ, 0);
  const uint32_t nobody = 0;
  (void)SystemCall(SYS_futex, &nobody, FUTEX_WAKE_OP_PRIVATE, 0, 0, word, kOrNothing);
}

constexpr uintptr_t kWordMask = sizeof(uint32_t) - 1;

}  // namespace

size_t SignalFrameBytes() { return RoundUpToOsPages(FrameBytes()); }

SignalStack::~SignalStack() { ASSERT(!is_created()); }

Status SignalStack::Create(const MemoryCalls& calls) {
  ASSERT(!is_created());
  const size_t guard_bytes = OsPageBytes();
  const size_t stack_bytes = StackBytes();
  const MapResult mapped = calls.map(calls.context, 0, guard_bytes + stack_bytes, Access::kNone, Placement::kHint);
  if (mapped.error != 0) return StatusOf(mapped.error);
  const uintptr_t base = mapped.address + guard_bytes;
  if (const int error = calls.protect(calls.context, base, stack_bytes, Access::kReadWrite); error != 0) {
    (void)calls.unmap(calls.context, mapped.address, guard_bytes + stack_bytes);
    return StatusOf(error);
  }
  calls.name(calls.context, base, stack_bytes, "acre: signal stack");
  calls_ = &calls;
  base_ = base;
  limit_ = base + stack_bytes;
  LockTop();
  return Status::kOk;
}

void SignalStack::Destroy() {
  ASSERT(is_created());
  const size_t guard_bytes = OsPageBytes();
  if (calls_->unmap(calls_->context, base_ - guard_bytes, guard_bytes + (limit_ - base_)) != 0) {
    // No mappings are left for the pieces. The range stays ours for good, its memory goes back as far as it is not
    // locked.
    (void)calls_->advise(calls_->context, base_, limit_ - base_ - locked_bytes_, Advice::kDiscard);
  }
  calls_ = nullptr;
  base_ = limit_ = 0;
  locked_bytes_ = 0;
}

bool SignalStack::Install() {
  ASSERT(is_created());
  stack_t current = {};
  if (!ReadCurrentStack(&current) || (current.ss_flags & SS_DISABLE) == 0) return false;
  stack_t ours = {};
  ours.ss_sp = reinterpret_cast<void*>(base_);
  ours.ss_size = limit_ - base_;
  return SetCurrentStack(ours);
}

bool SignalStack::Uninstall() {
  ASSERT(is_created());
  stack_t current = {};
  if (!ReadCurrentStack(&current)) return false;
  if (reinterpret_cast<uintptr_t>(current.ss_sp) != base_ || (current.ss_flags & SS_DISABLE) != 0) return true;
  if ((current.ss_flags & SS_ONSTACK) != 0) return false;
  stack_t none = {};
  none.ss_flags = SS_DISABLE;
  return SetCurrentStack(none);
}

void SignalStack::TakeOver(SignalStack& other) {
  ASSERT(!is_created());
  ASSERT(other.is_created());
  const uintptr_t limit = other.limit_;
  other.limit_ = 0;
  calls_ = other.calls_;
  base_ = other.base_;
  locked_bytes_ = other.locked_bytes_;
  std::atomic_ref(limit_).store(limit, std::memory_order_release);  // After the other has lost its own.
  other.calls_ = nullptr;
  other.base_ = 0;
  other.locked_bytes_ = 0;
}

void SignalStack::LockAgainAfterFork() {
  ASSERT(is_created());
  locked_bytes_ = 0;
  LockTop();
}

void SignalStack::LockTop() {
  // A limit that is reached once is reached by every later stack too.
  if (!HasSignalVectorBug() || FirstLockError() != 0) return;
  const size_t bytes = SignalFrameBytes();
  const long result = SystemCall(SYS_mlock, limit_ - bytes, bytes);
  if (result == 0) {
    locked_bytes_ = bytes;
  } else {
    KeepLockError(static_cast<int>(-result));
  }
}

SignalStackBounds CurrentSignalStack() {
  stack_t current = {};
  if (!ReadCurrentStack(&current) || (current.ss_flags & SS_DISABLE) != 0) return {};
  const auto base = reinterpret_cast<uintptr_t>(current.ss_sp);
  return {base, base + current.ss_size};
}

void TouchBeforeSignal(SignalStackBounds stack) {
  if (!HasSignalVectorBug()) return;
  const size_t frame_bytes = SignalFrameBytes();
  const size_t page_mask = OsPageBytes() - 1;
  uintptr_t at = stack.limit - stack.base > frame_bytes ? stack.limit - frame_bytes : stack.base;
  for (at = (at + kWordMask) & ~kWordMask; at + sizeof(uint32_t) <= stack.limit; at = (at | page_mask) + 1) TouchWord(at);
}

}  // namespace acre::os
