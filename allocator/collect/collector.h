#pragma once

// A heap's collector: allocation in runs, roots, and the cycle that finds and frees what is not reachable any more.
//
// A cycle, for now with the world stopped while it marks:
//   1. what earlier cycles left unswept is swept;
//   2. every mutator but the collecting one is stopped (collect/world.h), marks are cleared;
//   3. roots: registered words, ranges and callbacks; each mutator's stack from its stack pointer, less the red zone, and
//      the registers of its frame, vector registers included;
//   4. marking (collect/marker.h);
//   5. the world runs on; spans are swept when they are needed, and in the background (collect/sweeper.h).
//
// Marking begins with the collecting thread alone, which is all that small heaps need; after about a millisecond of it the
// heap's helpers (collect/helpers.h) join in.
//
// Runs outlive cycles: only its owner writes a run's cursor, and nobody takes a run away. Slots that a run has not handed
// out yet have their allocation bits set, but not while marking, so that a stray word cannot revive them; after it they
// are marked, so that sweeping leaves them to their run. A thread that was stopped between reading its cursor
// and storing it goes on with a slot that is still its own.
//
// Threads: a mutator's functions are called by its own thread; the others by any.

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "allocator/collect/ends.h"
#include "allocator/collect/helpers.h"
#include "allocator/collect/kind.h"
#include "allocator/collect/large_pool.h"
#include "allocator/collect/marker.h"
#include "allocator/collect/roots.h"
#include "allocator/collect/run.h"
#include "allocator/collect/span_pool.h"
#include "allocator/collect/stop_histogram.h"
#include "allocator/collect/sweeper.h"
#include "allocator/collect/world.h"
#include "allocator/heap/span_heap.h"
#include "os/debug_options.h"
#include "os/fork.h"
#include "os/mutex.h"

namespace acre {

// What comes of an allocation that finds no memory.
enum class OnShortage : uint8_t { kGiveUp, kRetry };

// Called by the allocating thread, after a full cycle, with no lock of the heap held. It may allocate: at the hard limit
// from the reserve; what fails meanwhile is null at once. One thread of a heap at a time is in one.
struct ShortageCallback {
  OnShortage (*function)(void* context, CollectedMutator& mutator, size_t bytes) = nullptr;
  void* context = nullptr;
};

struct CollectorOptions {
  uint32_t gc_percent = 100;            // When a cycle starts: collect/trigger.h.
  size_t min_trigger_bytes = 4 * kMiB;
  int stop_signal = 23;               // SIGURG. 0: none is installed or sent; mutators must come to safepoints.
  uint32_t mark_workers = 0;          // Threads that mark, the collecting one included; 0: as many as there are CPUs for us.
  // Once the heap holds so much it grows by huge pages: random graphs are marked 1.4 times as fast (docs/marking.md).
  // SIZE_MAX: never.
  size_t huge_page_threshold_bytes = 32 * kMiB;
  bool background = true;             // False, as ACRE_BACKGROUND=0: the heap makes no threads of its own.
  EndPointers end_pointers = EndPointers::kIgnored;
  ValueFormat value_format;
  size_t hard_limit_bytes = SIZE_MAX; // Of memory for objects, free memory that was not given back included.
  size_t reserve_bytes = 0;           // Added to the limit while on_hard_limit runs.
  ShortageCallback on_hard_limit;     // The limit would be exceeded.
  ShortageCallback on_out_of_memory;  // The kernel has refused.
  os::DebugOptions debug;             // Switches that look for bugs: docs/debugging.md.
};

// A live object.
struct FoundObject {
  uintptr_t base = 0;
  size_t bytes = 0;  // Of its slot, or whole pages.
  Kind kind = 0;
  SizeClass size_class = kLargeClass;
};

struct CycleStats {
  uint64_t cycles;
  size_t live_bytes;      // After the last one.
  size_t live_objects;
  size_t freed_bytes;     // By sweeping, in all.
  uint64_t last_stop_ns;
  uint64_t longest_stop_ns;
  uint32_t last_markers;  // Threads that marked in the last one, the collecting one included.
  // What the last stop was spent on; the rest is the roots and the mutators' runs.
  uint64_t last_stopping_ns;
  uint64_t last_clearing_ns;
  uint64_t last_marking_ns;
  uint64_t last_marking_cpu_ns;  // Of all markers together.
  uint64_t last_counting_ns;
  uint64_t mark_cpu_ns;       // Of all cycles.
  uint64_t root_bytes;        // Stacks, registers and ranges that the last one read.
  uint64_t allocated_bytes;   // In all, as slots; exact at the last cycle, whole runs since.
  uint64_t allocated_objects;
  uint64_t freed_objects;     // In all: by cycles, as they found them dead, and by hand.
  uint64_t dead_bytes;        // The same in bytes; freed_bytes, which are swept, come after.
  StopHistogram stops;
};

class Collector {
 public:
  Collector(SpanHeap& heap, const CollectorOptions& options);
  ~Collector();
  Collector(const Collector&) = delete;
  Collector& operator=(const Collector&) = delete;

  // False: no memory for marking. To be called once, before anything else.
  [[nodiscard]] bool Prepare();

  [[nodiscard]] bool Attach(CollectedMutator& mutator);
  void Detach(CollectedMutator& mutator);

  // A zeroed object. Null when there is no memory, also after a cycle.
  [[nodiscard]] void* Allocate(CollectedMutator& mutator, Kind kind, size_t bytes) {
    if (bytes <= kMaxSmallBytes) [[likely]] {
      if (void* object = mutator.Bump(kind, ClassForSize(bytes))) [[likely]] return object;
    }
    return AllocateSlow(mutator, kind, bytes);
  }

  // A full cycle, whatever was allocated; everything is swept when it returns.
  void Collect(CollectedMutator& mutator);

  // Frees the object at once, at the caller's risk: nothing points to it any more. Its weak references and ephemerons are
  // cleared, its finalizer is dropped, its cleanups are queued. Null is allowed. Fatal: not the start of an object; freed
  // before or found dead, unless its slot has been taken for another object since. Cost: some tens of ns.
  void Free(CollectedMutator& mutator, void* object);

  // The object that the word points into, anything whatever. False: none, or one that the last cycle found dead. What
  // another thread has taken to allocate from counts as objects.
  [[nodiscard]] bool FindObject(CollectedMutator& mutator, uintptr_t word, FoundObject* found);

  // Calls visit(context, object) for every object that the last cycle kept or that was allocated since, with the world
  // stopped and everything swept: it must use nothing of the heap.
  using ObjectVisitor = void(void* context, const FoundObject& object);
  void ForEachObject(CollectedMutator& mutator, ObjectVisitor* visit, void* context);

  // The calling thread's mutator, or null.
  CollectedMutator* OfThisThread() { return static_cast<CollectedMutator*>(world_.OfThisThread()); }
  bool has_mutators() { return !world_.is_empty(); }

  KindTable& kinds() { return kinds_; }
  os::Mutex& kinds_mutex() { return kinds_mutex_; }
  Roots& roots() { return roots_; }
  Ends& ends() { return ends_; }
  CycleStats stats();
  Helpers& helpers() { return helpers_; }

  // Checks every pool. No other thread uses the heap.
  void CheckInvariants();

 private:
  void* AllocateSlow(CollectedMutator& mutator, Kind kind, size_t bytes);
  void* TryAllocate(CollectedMutator& mutator, Kind kind, size_t bytes);
  bool AskForMemory(CollectedMutator& mutator, size_t bytes);
  [[noreturn]] void ReportBadFree(uintptr_t address) const;
  void CountAtStop(size_t live_bytes, size_t live_objects);
  void CollectForStress(CollectedMutator& mutator);
  void* AllocateLarge(CollectedMutator& mutator, Kind kind, size_t bytes);
  void* Refill(CollectedMutator& mutator, Kind kind, SizeClass size_class);
  void* BumpCleared(Run& run, SizeClass size_class);
  SpanPool* Pool(Kind kind, SizeClass size_class);
  Run* RunOf(CollectedMutator& mutator, Kind kind, SizeClass size_class);
  bool IsDue() const { return allocated_bytes_.load(std::memory_order_relaxed) >= trigger_.load(std::memory_order_relaxed); }
  void CollectIf(CollectedMutator& mutator, uint64_t cycles_seen);
  bool CollectLocked(CollectedMutator& mutator);
  bool Cycle(CollectedMutator& mutator, uintptr_t stack_pointer);
  uint32_t Mark();
  void EnsureHelpers(CollectedMutator& mutator);
  void SweepAll(CollectedMutator& mutator);
  static void SweepInBackground(void* self, uint32_t number);
  void HideRuns(CollectedMutator& mutator);
  void KeepRuns(CollectedMutator& mutator);
  void ScanRoots();
  void VerifyMarks();

  // collector_fork.cc
  bool AddForkUser();
  void EndWorkForFork();
  void LockForFork();
  void UnlockAfterFork();
  void AfterForkInChild();

  static constexpr uint32_t kNoThreads = ~uint32_t{0};

  struct Fork : os::ForkUser {
    bool is_in_shortage = false;  // The forking thread is in a shortage's callback.
    Collector* collector = nullptr;
    bool is_added = false;
    SpanPool* locked[kMaxKinds] = {};  // From before a fork until after it: the rows of pools whose locks are held.
  };

  SpanHeap& heap_;
  const CollectorOptions options_;
  KindTable kinds_;
  os::Mutex kinds_mutex_{kKindsRank};
  Roots roots_;
  World world_;
  LargePool large_pool_;
  Ends ends_;
  Marker marker_;
  Sweeper::Pools pools_ = {};  // A row for each number of a kind; rows are never removed.
  Sweeper sweeper_{heap_.page_heap(), pools_, large_pool_};
  os::Mutex cycle_mutex_{kCycleRank};
  std::atomic<size_t> allocated_bytes_{0};        // Since the last cycle.
  std::atomic<size_t> trigger_;
  std::atomic<uint64_t> cycles_{0};
  std::atomic<uint64_t> stress_allocations_{0};  // Counted for stress=N only.
  std::atomic<uint32_t> mark_workers_{0};  // 0: not known yet, the heap was too small for helpers so far.
  os::Mutex shortage_mutex_{kShortageRank};         // Held while a shortage's callback runs.
  std::atomic<uint64_t> taken_bytes_{0};          // Slots that runs took, and large objects, less what runs gave back.
  std::atomic<uint64_t> taken_objects_{0};
  std::atomic<uint64_t> freed_by_hand_bytes_{0};  // Since the last cycle.
  std::atomic<uint64_t> freed_by_hand_objects_{0};
  uint64_t taken_bytes_at_stop_ = 0;  // Guarded by cycle_mutex_, like the rest.
  uint64_t taken_objects_at_stop_ = 0;
  CycleStats stats_{};
  Fork fork_;
  Helpers helpers_;     // The last: its threads end before anything that they use.
};

}  // namespace acre
