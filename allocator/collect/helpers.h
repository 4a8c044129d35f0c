#pragma once

// Threads of the heap's own that help its collector: they mark beside the collecting thread, and sweep after it.
//
// They are made when there is much to collect, sleep between jobs and end after 5 s without one: threads are visible
// (unshare(CLONE_NEWUSER) fails, a fork is warned of), so small programs never get any, and none is made where
// ACRE_BACKGROUND=0 forbids it. Every signal is blocked in them. That a thread cannot be had is no error: whoever asks for
// helpers goes on with those that there are.
//
// A job is given in two steps, because marking must know how many take part before the first one begins:
//
//   helpers.Ensure(n);                        before the world is stopped: making a thread takes locks of the C library
//   const uint32_t count = helpers.Claim(n);  from here on they are ours, 1 to count
//   helpers.Start(job, context);              job(context, number) in each
//   helpers.Join();                           waits until they are free again; not needed for jobs that end by themselves
//
// States: none -> starting -> idle -> claimed -> busy -> idle … -> none. Only the maker leaves `none` and `starting`, only
// who claims leaves `idle` but for the helper itself, which ends by exchanging it for `none`: its last access.
//
// Threads: Claim, Start and Join by one thread at a time (the cycle's lock); Ensure by any that holds no lock of the heap.

#include <array>
#include <atomic>
#include <cstdint>

#include "allocator/base/lock_rank.h"
#include "allocator/collect/mark_pool.h"
#include "os/mutex.h"
#include "os/thread.h"

namespace acre {

class Helpers {
 public:
  using Job = void(void* context, uint32_t number);
  static constexpr uint32_t kMax = kMaxMarkers - 1;
  static constexpr uint64_t kIdleNs = 5'000'000'000;  // After so long without a job a thread ends.

  explicit Helpers(uint64_t idle_ns = kIdleNs);
  ~Helpers();  // Waits until every thread has ended. REQUIRES: no job is under way that needs the caller.
  Helpers(const Helpers&) = delete;
  Helpers& operator=(const Helpers&) = delete;

  // Makes threads until there are `wanted` (at most kMax), as far as they can be had; returns at once where another
  // thread is making some. May allocate by the C library. Cost: about 50 µs a thread that is made.
  void Ensure(uint32_t wanted);

  // Takes up to `most` helpers that have no job; returns how many.
  uint32_t Claim(uint32_t most);

  // Gives the claimed ones their job, with numbers from 1 on.
  void Start(Job* job, void* context);

  // Waits until no helper has a job.
  void Join();

  // How many threads there are.
  uint32_t count() const;

  // Held by a helper while it holds locks of the heap outside of a cycle: who forks takes it, with the cycle's lock, so
  // that the child finds every lock free.
  os::Mutex& work_mutex() { return work_mutex_; }

  // In a forked child: there are no threads any more. The caller has locked the cycle and work_mutex before the fork.
  void AfterForkInChild();

 private:
  enum State : uint32_t { kNone, kStarting, kIdle, kClaimed, kBusy };

  struct Helper {
    std::atomic<uint32_t> state{kNone};
    os::Event wake;
    // Written by Claim and Start, read by the helper once it is busy.
    uint32_t number = 0;
    Job* job = nullptr;
    void* context = nullptr;
    Helpers* owner = nullptr;
  };

  static void Run(void* helper);

  const uint64_t idle_ns_;
  std::array<Helper, kMax> helpers_;
  os::Event done_;  // A job was done.
  std::atomic<bool> is_ending_{false};
  std::atomic<bool> is_making_{false};
  os::Mutex work_mutex_{kHelpersRank};
};

}  // namespace acre
