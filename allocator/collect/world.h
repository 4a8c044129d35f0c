#pragma once

// Stopping the mutators of a heap, and where each of them stands.
//
// A collector asks all mutators but its own to stop, and waits until each has. A mutator stops
//   - in the handler of the stop signal, wherever its thread is, unless it is in a region;
//   - at the end of a region, or at a safepoint, by itself;
//   - or counts as stopped, since it is in a blocking call: it must not leave that while the world is stopped.
// A world without a stop signal knows only the last two: its mutators must come to safepoints, or block, often.
//
// A *region* is a piece of code in which a mutator holds locks or has half-finished lists: a thread that is interrupted in
// one does not stop there. The end of the region looks whether it was asked to. Locks that a mutator takes in a region must
// be taken in regions only; locks that the collector needs while the world is stopped it takes before it stops it. Whoever
// waits elsewhere for a lock that is held over a stop takes it by BlockingLock, and counts as stopped while it waits.
//
// Where a stopped mutator's stack ends. A handler on the thread's own stack, like a safepoint, puts the registers on the
// stack, and what is below the stack pointer belongs to nobody. A handler on the signal stack leaves them in the signal
// frame, and the interrupted code's red zone counts. A handler that interrupted one of the application's on the
// application's signal stack knows nothing of where that one was called: then all of the thread's stack counts, besides
// what is on the signal stack.
//
// Several heaps. A thread that waits, for the mutators of one heap or for one of its locks, counts as stopped for all
// other heaps meanwhile: two threads that collect two heaps would wait for each other for ever.
//
// Signal stacks. A thread that has no stack for signals gets one as long as its mutator is attached; but not the first
// mutator of a heap, so that nothing of the kind is seen in a process with one thread: its handlers run on its
// normal stack, as far as the kernel is not one with the bug of os/kernel_bugs.h. A thread has one signal stack for its
// mutators of all heaps: world_signal_stack.cc.
//
// While the world is stopped, the thread that has stopped it calls nothing that takes a lock of the C library or of the
// loader, and no more do threads that help it: a stopped thread may hold it. See os/foreign_locks.h.
//
// Requests carry the number of the stop, so that a late or repeated signal means nothing. A thread that does
// not answer within 10 ms is named on standard error, once, and one thread of a heap a second at most.
//
// Threads: Attach, Detach, Region, Safepoint, Block: the mutator's own. StopOthers and ResumeOthers: one at a time. Cost of a
// region: two stores and a load.

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "allocator/base/list.h"
#include "allocator/base/lock_rank.h"
#include "allocator/collect/mutator_front.h"
#include "os/mutex.h"
#include "os/signal_stack.h"
#include "os/stop_signal.h"
#include "os/thread.h"
#include "os/thread_bounds.h"

namespace acre {

class World;

// A stack that a thread has left, or will run on: words from `pointer` up are in use, and the registers of the code that
// left it are beside them.
struct SavedStack {
  static constexpr size_t kMaxSaved = 32;

  os::StackBounds bounds;
  uintptr_t pointer;
  uintptr_t saved[kMaxSaved];
};

// What the world knows of a mutator.
struct Standing : MutatorFront, os::StopTarget {
  Standing* next_in_world = nullptr;

  enum State : uint32_t { kRunning, kBlocking, kHeld };  // Held: blocking, and must not leave that.
  World* world = nullptr;
  std::atomic<uint32_t> state{kRunning};
  std::atomic<uint64_t> owner{0};  // The serial number of its thread; 0 while it is parked.
  os::Event resumed;
  os::StackBounds stack{};          // That it runs on: running->bounds.
  SavedStack own{};                 // Its thread's.
  SavedStack* running = &own;       // See stacks.h.
  SavedStack* left = nullptr;       // The last one that it ran on before; it still does when a switch is under way.
  void* running_object = nullptr;   // The heap objects that they are parts of, kept by it; null for the thread's own.
  void* left_object = nullptr;
  bool wants_signal_stack = false;  // Its thread's own, or the application's, or another mutator's of the thread will do.
  os::SignalStack signal_stack;     // Created if the thread uses this one. The owner's.
  bool blocks_with_others = false;  // Its thread's: it is blocking because the thread waits for something else.
  std::atomic<bool> was_named{false};  // The collector's: the line about a late answer has been written.

  // While it is stopped: where its stack ends (0: it has none); its frame, if a signal stopped it; and what its registers
  // held, if it is in a blocking call that began elsewhere.
  uintptr_t stack_pointer = 0;
  const os::StopFrame* frame = nullptr;
  uintptr_t saved[SavedStack::kMaxSaved] = {};
  void* fake_stack = nullptr;     // AddressSanitizer's.
  uintptr_t alternate_limit = 0;  // Not 0: stack_pointer is on the application's signal stack, which ends here.
};

class World {
 public:
  // `signal` 0: none is used.
  explicit constexpr World(int signal) : signal_(signal) {}
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // The calling thread's. False if the system refuses the signal, or memory for a signal stack.
  [[nodiscard]] bool Attach(Standing& standing);

  // REQUIRES: not on a signal stack.
  void Detach(Standing& standing);

  // Around a stop: no mutator is attached or detached meanwhile. `self`, whose stack_pointer says how much of its thread's
  // stack counts for other heaps, may be null.
  void StopOthers(Standing* self);
  void ResumeOthers(Standing* self);

  // Every mutator, own ones included. REQUIRES: between StopOthers and ResumeOthers.
  template <class Visit>
  void ForEach(Visit visit) {
    for (Standing* standing = first_; standing != nullptr; standing = standing->next_in_world) visit(*standing);
  }

  // Stops if that was asked for.
  static void Safepoint(Standing& standing) {
    if (IsAsked(standing)) [[unlikely]] StopHere(standing);
  }

  // Calls body(argument) as a blocking call: the heap must not be used in it.
  static void Block(Standing& standing, void (*body)(void* argument), void* argument);

  // The same in two calls, which may come from different frames.
  static void BeginBlocking(Standing& standing);
  static void EndBlocking(Standing& standing);

  // Between these two it belongs to no thread, counts as stopped, and has no stack.
  static void Park(Standing& standing);
  static void Unpark(Standing& standing);

  // To be called on the stack that runs, just before the thread switches to another one. `also` runs in the same region.
  template <class Also>
  static void SwitchStack(Standing& standing, SavedStack& to, Also also);

  // The calling thread's mutator; null if it has none.
  Standing* OfThisThread();

  bool is_empty();

  // How many there are, at about this moment.
  uint32_t mutators() const { return mutators_.load(std::memory_order_relaxed); }

  // Locks. While the calling thread waits, all of its mutators, of any heap, count as stopped. REQUIRES: it is in no
  // region, and the lock is one that the collector does not wait for while the world is stopped.
  static void Lock(os::Mutex& mutex);

  // Calls wait(argument), which does nothing but wait for something: as for Lock.
  static void WaitAsStopped(void (*wait)(void* argument), void* argument);

  // In the child of a fork, with the list's lock held: leaves the calling thread's mutators, and those that are parked.
  // Returns the others, chained by next_in_world, which stand where their threads had them.
  [[nodiscard]] Standing* AfterForkInChild();

  os::Mutex& mutex() { return mutex_; }

 private:
  static bool IsAsked(const Standing& standing) {
    return standing.requested.load(std::memory_order_acquire) != standing.acknowledged.load(std::memory_order_relaxed);
  }
  static void OnSignal(os::StopTarget* target, const os::StopFrame& frame);
  static void StopHere(Standing& standing);
  static void StopOnThisStack(Standing& standing, uintptr_t alternate_base, uintptr_t alternate_limit);
  static void AcknowledgeAndWait(Standing& standing);
  static void EnterBlocking(Standing& standing, uintptr_t stack_pointer);
  static void LeaveBlocking(Standing& standing);
  static void LeaveStack(Standing& standing, SavedStack& to);
  template <class Visit>
  static void ForEachOfThread(Visit visit);  // The calling thread's mutators of all heaps.
  static void BlockAllOfThread(const Standing* except, uintptr_t stack_pointer);
  static void UnblockAllOfThread();
  bool WantsSignalStack() const;
  static bool InstallSignalStack(Standing& standing);
  static void LeaveSignalStack(Standing& standing);
  void Ask(Standing& standing);
  void Name(Standing& standing);
  bool HasStopped(Standing& standing);
  void AskAndWait(Standing* self);

  const int signal_;
  os::Mutex mutex_{kMutatorListRank};
  Standing* first_ = nullptr;           // Guarded by mutex_.
  uint32_t stop_ = 0;                   // Guarded by mutex_. The number of the last stop.
  uint64_t named_ns_ = 0;               // Guarded by mutex_. When the last line about a late thread was written.
  std::atomic<uint32_t> mutators_{0};   // Written with mutex_ held.
  std::atomic<uint32_t> resumed_{0};    // The last stop that has ended.
  os::Event acknowledged_;
};

// See the head of this file. Regions do not nest.
class Region {
 public:
  explicit Region(Standing& standing) : standing_(standing) {
    standing_.in_region.store(1, std::memory_order_relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  ~Region() {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    standing_.in_region.store(0, std::memory_order_relaxed);
    World::Safepoint(standing_);
  }
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;

 private:
  Standing& standing_;
};

// Holds a lock that was taken by World::Lock.
class BlockingLock {
 public:
  explicit BlockingLock(os::Mutex& mutex) : mutex_(mutex) { World::Lock(mutex); }
  ~BlockingLock() { mutex_.Unlock(); }
  BlockingLock(const BlockingLock&) = delete;
  BlockingLock& operator=(const BlockingLock&) = delete;

 private:
  os::Mutex& mutex_;
};

template <class Visit>
void World::ForEachOfThread(Visit visit) {
  for (os::StopTarget* target = os::StopSignal::TargetsOfThread(); target != nullptr;
       target = target->next.load(std::memory_order_relaxed)) {
    if (target->on_stop == &World::OnSignal) visit(*static_cast<Standing*>(target));
  }
}

template <class Also>
void World::SwitchStack(Standing& standing, SavedStack& to, Also also) {
  Region region(standing);
  LeaveStack(standing, to);
  also();
}

}  // namespace acre
