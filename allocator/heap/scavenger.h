#pragma once

// Gives idle memory back in the background: a thread of the heap's own.
//
// It gives back, step by step and at a bounded pace (scavenge_pace.h), what nobody needed for a second (PageHeap::ReleaseIdle),
// and everything that is free when the system says that memory runs short (os/poller.h). It exists only while there is
// something to do: it is started when 16 MiB or more are free, or about to be, and ends after 5 s without work. Threads are
// visible (unshare(CLONE_NEWUSER) fails, a fork is warned of), so small programs never get one; every signal is blocked in it.
// That it cannot be had is no error: then whoever asked does some of its work.
//
//   S1. state_ is kNone exactly while there is no thread; from kNone only Start takes it, to kNone only the thread itself, as its
//       last access, but for a forked child, where there is no thread any more.
//   S2. The thread touches the heap with work_mutex_ held only, a step at a time. So who forks takes it, and finds no
//       memory half given back.
//   S3. poller_ is opened, rung and closed with work_mutex_ held; it is open from before the thread starts until its end.
//
// Threads: Start and Press by any that holds no lock of the heap; Stop and the destructor by one, when nobody calls Start.

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "allocator/base/lock_rank.h"
#include "allocator/base/units.h"
#include "allocator/heap/scavenge_pace.h"
#include "allocator/heap/span_heap.h"
#include "os/mutex.h"
#include "os/poller.h"

namespace acre {

class Scavenger {
 public:
  static constexpr size_t kSomeBytes = 16 * kMiB;  // Less than this is not worth a thread.
  static constexpr uint64_t kIdleNs = 5'000'000'000;

  explicit Scavenger(SpanHeap& heap, uint64_t idle_ns = kIdleNs, const os::PollCalls& calls = os::SystemPollCalls())
      : heap_(heap), idle_ns_(idle_ns), poller_(calls) {}
  ~Scavenger() { Stop(); }
  Scavenger(const Scavenger&) = delete;
  Scavenger& operator=(const Scavenger&) = delete;

  // Sees to it that there is a thread. False if the system has none to give. May allocate by the C library. Cost: a load if
  // there is one, else about 80 µs.
  bool Start();

  // As if the system had said that memory runs short: the thread, if there is one, gives everything back that is free.
  void Press();

  // Ends the thread, if there is one, and waits for it: at most for a step. None is started any more.
  void Stop();

  // Some of the thread's work, where there is none: at most four times a second, and a bounded amount (5 ms). Any thread that
  // holds no lock of the heap and will not be stopped meanwhile.
  void WorkInstead(uint64_t now_ns);

  bool is_running() const { return state_.load(std::memory_order_acquire) != kNone; }

  // Why nothing will be heard of pressure, or 0 (os/poller.h).
  int pressure_error() const { return poller_.error(); }

  // Around a fork: it is held in both processes.
  os::Mutex& work_mutex() { return work_mutex_; }
  // In the child, with it held: the thread is gone.
  void AfterForkInChild();

 private:
  enum State : uint32_t { kNone, kStarting, kRunning };

  static constexpr size_t kInsteadBytes = 32 * kMiB;

  static void Run(void* self);
  void Work();
  void ReleaseEverything();
  uint64_t ReleaseStep(bool* has_worked);
  bool is_stopping() const { return is_stopping_.load(std::memory_order_relaxed); }

  SpanHeap& heap_;
  const uint64_t idle_ns_;
  std::atomic<uint32_t> state_{kNone};
  std::atomic<bool> is_stopping_{false};
  std::atomic<uint64_t> worked_instead_ns_{0};  // When WorkInstead did something last.
  os::Mutex work_mutex_{kScavengerRank};
  os::Poller poller_;
  ScavengePace pace_;  // The thread's.
};

}  // namespace acre
