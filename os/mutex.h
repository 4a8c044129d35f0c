#pragma once

// A mutual-exclusion lock with a rank.
//
// Four bytes of state on a futex; no allocation, no initialisation, usable before main and in a forked child. In builds
// with asserts each thread's held ranks are kept: acquiring a lock whose rank is not above every held one is fatal, and
// so is releasing one that is not held. Locks of equal rank may not nest.

#include <atomic>
#include <cstdint>

namespace acre::os {

class Mutex {
 public:
  explicit constexpr Mutex(uint8_t rank) : rank_(rank) {}
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void Lock();    // Spins briefly, then sleeps. One compare-and-swap when free.
  bool TryLock();
  void Unlock();

  // Around a fork, in which a thread takes every lock of every heap: without a look at ranks.
  void LockForFork();
  void UnlockAfterFork();

  // In the child of a fork, by the only thread there is: free, whoever held it.
  void ResetAfterFork();

  uint8_t rank() const { return rank_; }

 private:
  void Acquire();
  void Release();

  // 0 free, 1 held, 2 held and somebody sleeps. Acquire on locking pairs with release on unlocking.
  std::atomic<uint32_t> state_{0};
  const uint8_t rank_;
};

class MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) : mutex_(mutex) { mutex_.Lock(); }
  ~MutexLock() { mutex_.Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

}  // namespace acre::os
