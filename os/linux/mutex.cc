#include "os/mutex.h"

#include <linux/futex.h>
#include <time.h>

#include <array>
#include <bit>
#include <cstddef>

#include "arch/cpu.h"
#include "os/check.h"
#include "os/linux/system_call.h"

namespace acre::os {
namespace {

enum State : uint32_t { kFree = 0, kHeld = 1, kContended = 2 };

// About a microsecond: longer than most critical sections of the heap, shorter than going to sleep and being woken.
constexpr int kSpins = 40;

// A wait with a time limit ends when a signal has been handled, whatever SA_RESTART says; one without begins anew inside
// the kernel. ThreadSanitizer puts off handlers until the thread next calls it, which it does on the way round our loop.
constexpr timespec kWait = {3600, 0};

#if defined(ACRE_ASSERTS)

// The ranks that the calling thread holds, one bit each; a set suffices, as locks of equal rank do not nest. The
// dynamic TLS model would call malloc on first use, from inside of malloc.
constinit thread_local std::array<uint64_t, 4> held_ranks [[gnu::tls_model("initial-exec")]] = {};

constexpr size_t kBits = 64;

int HighestHeldRank() {
  for (size_t word = held_ranks.size(); word-- > 0;) {
    if (held_ranks[word] == 0) continue;
    return static_cast<int>(word * kBits + kBits - 1) - std::countl_zero(held_ranks[word]);
  }
  return -1;
}

void CheckRank(uint8_t rank) {
  const int highest = HighestHeldRank();
  if (highest >= rank) Fatal("lock of rank ", rank, " asked for while rank ", highest, " is held");
}

void AddHeldRank(uint8_t rank) { held_ranks[rank / kBits] |= uint64_t{1} << rank % kBits; }
void RemoveHeldRank(uint8_t rank) { held_ranks[rank / kBits] &= ~(uint64_t{1} << rank % kBits); }
bool IsRankHeld(uint8_t rank) { return (held_ranks[rank / kBits] >> rank % kBits & 1) != 0; }

void CheckIsHeld(uint8_t rank) {
  if (!IsRankHeld(rank)) Fatal("lock of rank ", rank, " released by a thread that does not hold it");
}

#else

inline void CheckRank(uint8_t) {}
inline void AddHeldRank(uint8_t) {}
inline void RemoveHeldRank(uint8_t) {}
inline void CheckIsHeld(uint8_t) {}

#endif

}  // namespace

void Mutex::Acquire() {
  uint32_t state = kFree;
  if (!state_.compare_exchange_strong(state, kHeld, std::memory_order_acquire, std::memory_order_relaxed)) {
    for (int spin = 0; spin < kSpins && state != kContended; ++spin) {
      arch::CpuRelax();
      state = kFree;
      if (state_.compare_exchange_weak(state, kHeld, std::memory_order_acquire, std::memory_order_relaxed)) {
        return;
      }
    }
    // From here on we cannot know whether somebody else sleeps, so we take the lock as contended.
    while (state_.exchange(kContended, std::memory_order_acquire) != kFree) {
      (void)SystemCall(SYS_futex, &state_, FUTEX_WAIT_PRIVATE, uint32_t{kContended}, &kWait);
    }
  }
}

void Mutex::Release() {
  if (state_.exchange(kFree, std::memory_order_release) == kContended) {
    (void)SystemCall(SYS_futex, &state_, FUTEX_WAKE_PRIVATE, 1);
  }
}

void Mutex::Lock() {
  CheckRank(rank_);
  Acquire();
  AddHeldRank(rank_);
}

bool Mutex::TryLock() {
  CheckRank(rank_);
  uint32_t state = kFree;
  if (!state_.compare_exchange_strong(state, kHeld, std::memory_order_acquire, std::memory_order_relaxed)) return false;
  AddHeldRank(rank_);
  return true;
}

void Mutex::Unlock() {
  CheckIsHeld(rank_);
  RemoveHeldRank(rank_);
  Release();
}

void Mutex::LockForFork() { Acquire(); }

void Mutex::UnlockAfterFork() { Release(); }

void Mutex::ResetAfterFork() {
  RemoveHeldRank(rank_);
  state_.store(kFree, std::memory_order_release);
}

}  // namespace acre::os
