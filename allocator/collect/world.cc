#include "allocator/collect/world.h"

#include "arch/context.h"
#include "os/check.h"
#include "os/clock.h"
#include "os/foreign_locks.h"

namespace acre {
namespace {

constexpr uint64_t kFirstWaitNs = 20'000;
constexpr uint64_t kLastWaitNs = 1'000'000;
// Many times what a thread takes that has a processor; less than what a person notices.
constexpr uint64_t kLateNs = 10'000'000;
// On a machine with more to do than processors every thread is late now and then: one line a second says as much.
constexpr uint64_t kBetweenNamesNs = 1'000'000'000;

}  // namespace

bool World::Attach(Standing& standing) {
  if (signal_ != 0 && !os::StopSignal::Install(signal_)) return false;
  standing.world = this;
  standing.on_stop = &World::OnSignal;
  standing.own.bounds = os::CurrentStackBounds();
  standing.stack = standing.own.bounds;
  standing.owner = os::ThreadSerial();
  standing.wants_signal_stack = WantsSignalStack();
  if (!InstallSignalStack(standing)) return false;  // Before it is registered: senders of signals learn of it there.
  const BlockingLock lock(mutex_);
  standing.requested.store(stop_, std::memory_order_relaxed);
  standing.acknowledged.store(stop_, std::memory_order_relaxed);
  os::StopSignal::Register(standing);
  standing.next_in_world = first_;
  first_ = &standing;
  mutators_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

void World::Detach(Standing& standing) {
  {
    // Who waits here for the end of a stop counts as stopped.
    const BlockingLock lock(mutex_);
    Standing** place = &first_;
    while (*place != &standing) place = &(*place)->next_in_world;
    *place = standing.next_in_world;
    os::StopSignal::Unregister(standing);
    mutators_.fetch_sub(1, std::memory_order_relaxed);
  }
  LeaveSignalStack(standing);
  if (standing.signal_stack.is_created()) standing.signal_stack.Destroy();
}

void World::StopOthers(Standing* self) {
  if (self != nullptr) BlockAllOfThread(self, self->stack_pointer);
  mutex_.Lock();
  os::ForbidForeignLocks();
  ++stop_;
  ForEach([&](Standing& standing) {
    if (&standing != self) standing.requested.store(stop_, std::memory_order_seq_cst);
  });
  if (signal_ != 0) os::StopSignal::Verify();
  AskAndWait(self);
}

// Signals go out again to whoever has not stopped: it may have been in a region.
void World::AskAndWait(Standing* self) {
  const uint64_t began_ns = os::MonotonicNs();
  for (uint64_t wait_ns = kFirstWaitNs;; wait_ns = 2 * wait_ns < kLastWaitNs ? 2 * wait_ns : kLastWaitNs) {
    const uint64_t now_ns = os::MonotonicNs();
    const bool is_late = now_ns - began_ns > kLateNs && now_ns - named_ns_ >= kBetweenNamesNs;
    bool all_stopped = true;
    ForEach([&](Standing& standing) {
      if (&standing == self || HasStopped(standing)) return;
      all_stopped = false;
      Ask(standing);
      if (is_late && now_ns != named_ns_ && !standing.was_named) {
        named_ns_ = now_ns;
        Name(standing);
      }
    });
    // Whoever acknowledges wakes us; the others are waited for until it is time to ask again.
    if (all_stopped) return;
    while (acknowledged_.Wait(wait_ns)) {
      bool is_done = true;
      ForEach([&](Standing& standing) { is_done = is_done && (&standing == self || HasStopped(standing)); });
      if (is_done) return;
    }
  }
}

void World::Ask(Standing& standing) {
  if (signal_ == 0) return;
  // One that has been parked since has no thread; it may have been taken up again by now, and is asked in the next round.
  if (!os::StopSignal::Send(standing) && os::StopSignal::IsGone(standing)) {
    os::Fatal("thread ", standing.thread_id.load(std::memory_order_relaxed), " ended without giving up its mutator");
  }
}

void World::Name(Standing& standing) {
  standing.was_named = true;
  os::Line line;
  line << "thread " << standing.thread_id.load(std::memory_order_relaxed) << " has not stopped for a collection within "
       << kLateNs / 1'000'000 << " ms: ";
  line << (signal_ == 0 ? "it comes to no safepoint, and is in no blocking call"
                        : "it has no processor, or waits for a new process or for signals outside of a blocking call");
  line.Write();
}

bool World::HasStopped(Standing& standing) {
  if (standing.acknowledged.load(std::memory_order_acquire) == stop_) return true;
  uint32_t state = Standing::kBlocking;
  return standing.state.compare_exchange_strong(state, Standing::kHeld, std::memory_order_acquire) ||
         state == Standing::kHeld;
}

void World::ResumeOthers(Standing* self) {
  resumed_.store(stop_, std::memory_order_seq_cst);
  ForEach([&](Standing& standing) {
    if (&standing == self) return;
    if (standing.state.load(std::memory_order_relaxed) == Standing::kHeld) {
      // It never saw the request, and need not obey it any more.
      standing.acknowledged.store(stop_, std::memory_order_relaxed);
      standing.state.store(Standing::kBlocking, std::memory_order_release);
    }
    standing.resumed.Signal();
  });
  os::AllowForeignLocks();
  mutex_.Unlock();
  if (self != nullptr) UnblockAllOfThread();
}

void World::OnSignal(os::StopTarget* target, const os::StopFrame& frame) {
  auto& standing = *static_cast<Standing*>(target);
  if (standing.world->signal_ == 0) return;  // The signal is another heap's.
  if (!IsAsked(standing) || standing.in_region.load(std::memory_order_relaxed) != 0) return;
  if (standing.state.load(std::memory_order_relaxed) != Standing::kRunning) return;
  if (!frame.is_on_alternate_stack) {
    // Everything that counts, the frame included, lies above here. Sanitizers call handlers late, from the thread's own
    // code, with a frame that says nothing any more: then too.
    StopOnThisStack(standing, frame.alternate_base, frame.alternate_limit);
    return;
  }
  standing.frame = &frame;
  standing.stack_pointer = frame.stack_pointer;
  standing.fake_stack = os::CurrentFakeStack();
  standing.alternate_limit = 0;
  AcknowledgeAndWait(standing);
  standing.frame = nullptr;
}

void World::StopHere(Standing& standing) {
  // The handler must not begin what is under way here.
  standing.in_region.store(1, std::memory_order_relaxed);
  std::atomic_signal_fence(std::memory_order_seq_cst);
  StopOnThisStack(standing, 0, 0);
  std::atomic_signal_fence(std::memory_order_seq_cst);
  standing.in_region.store(0, std::memory_order_relaxed);
}

void World::StopOnThisStack(Standing& standing, uintptr_t alternate_base, uintptr_t alternate_limit) {
  struct Call {
    Standing& standing;
    uintptr_t alternate_base;
    uintptr_t alternate_limit;
  } call{standing, alternate_base, alternate_limit};
  arch::WithSpilledRegisters(
      [](void* argument, uintptr_t stack_pointer) {
        const auto& [self, base, limit] = *static_cast<Call*>(argument);
        if (!IsAsked(self)) return;
        self.frame = nullptr;
        self.stack_pointer = stack_pointer;
        self.fake_stack = os::CurrentFakeStack();
        self.alternate_limit = stack_pointer - base < limit - base ? limit : 0;
        AcknowledgeAndWait(self);
      },
      &call);
}

void World::AcknowledgeAndWait(Standing& standing) {
  World& world = *standing.world;
  const uint32_t stop = standing.requested.load(std::memory_order_acquire);
  // A read-modify-write: stores that bypass the caches are ordered before it too.
  standing.acknowledged.exchange(stop, std::memory_order_seq_cst);
  world.acknowledged_.Signal();
  while (static_cast<int32_t>(world.resumed_.load(std::memory_order_acquire) - stop) < 0) {
    standing.resumed.Wait(UINT64_MAX);
  }
}

void World::EnterBlocking(Standing& standing, uintptr_t stack_pointer) {
  // A handler that stopped the thread in between would leave its own in their place.
  standing.in_region.store(1, std::memory_order_relaxed);
  std::atomic_signal_fence(std::memory_order_seq_cst);
  standing.frame = nullptr;
  standing.stack_pointer = stack_pointer;
  standing.fake_stack = os::CurrentFakeStack();
  standing.alternate_limit = 0;
  standing.state.store(Standing::kBlocking, std::memory_order_release);
  std::atomic_signal_fence(std::memory_order_seq_cst);
  standing.in_region.store(0, std::memory_order_relaxed);
  if (IsAsked(standing)) standing.world->acknowledged_.Signal();
}

void World::Block(Standing& standing, void (*body)(void* argument), void* argument) {
  struct Call {
    Standing& standing;
    void (*body)(void*);
    void* argument;
  } call{standing, body, argument};
  arch::WithSpilledRegisters(
      [](void* data, uintptr_t stack_pointer) {
        const auto& [self, function, value] = *static_cast<Call*>(data);
        EnterBlocking(self, stack_pointer);
        function(value);
        LeaveBlocking(self);
      },
      &call);
}

Standing* World::OfThisThread() {
  Standing* found = nullptr;
  ForEachOfThread([&](Standing& standing) {
    if (standing.world == this) found = &standing;
  });
  return found;
}

void World::BlockAllOfThread(const Standing* except, uintptr_t stack_pointer) {
  ForEachOfThread([&](Standing& standing) {
    if (&standing == except || standing.state.load(std::memory_order_relaxed) != Standing::kRunning) return;
    standing.blocks_with_others = true;
    EnterBlocking(standing, stack_pointer);
  });
}

void World::UnblockAllOfThread() {
  ForEachOfThread([](Standing& standing) {
    if (!standing.blocks_with_others) return;
    LeaveBlocking(standing);
    standing.blocks_with_others = false;
  });
}

void World::Lock(os::Mutex& mutex) {
  if (mutex.TryLock()) return;
  WaitAsStopped([](void* argument) { static_cast<os::Mutex*>(argument)->Lock(); }, &mutex);
}

void World::WaitAsStopped(void (*wait)(void* argument), void* argument) {
  struct Call {
    void (*wait)(void*);
    void* argument;
  } call{wait, argument};
  arch::WithSpilledRegisters(
      [](void* data, uintptr_t stack_pointer) {
        const auto& [function, value] = *static_cast<Call*>(data);
        BlockAllOfThread(nullptr, stack_pointer);
        function(value);
        UnblockAllOfThread();
      },
      &call);
}

Standing* World::AfterForkInChild() {
  ForEachOfThread([](Standing& standing) { standing.thread_id.store(os::CurrentThreadId()); });
  const uint64_t serial = os::ThreadSerial();
  Standing* standing = first_;
  first_ = nullptr;
  Standing* lost = nullptr;
  uint32_t kept = 0;
  while (standing != nullptr) {
    Standing* const next = standing->next_in_world;
    const uint64_t owner = standing->owner.load(std::memory_order_relaxed);
    const bool is_parked = owner == 0 && standing->state.load(std::memory_order_relaxed) == Standing::kBlocking;
    os::SignalStack& signal_stack = standing->signal_stack;
    if (is_parked || owner == serial) {
      standing->next_in_world = first_;
      first_ = standing;
      ++kept;
      if (signal_stack.is_created()) signal_stack.LockAgainAfterFork();
    } else {
      standing->next_in_world = lost;
      lost = standing;
      if (signal_stack.is_created()) signal_stack.Destroy();
    }
    standing = next;
  }
  mutators_.store(kept, std::memory_order_relaxed);
  return lost;
}

}  // namespace acre
