#pragma once

// A heap's collector: allocation in runs, roots, and the cycle that finds and frees what is not reachable any more.
//
// A stopped cycle:
//   1. what earlier cycles left unswept is swept;
//   2. every mutator but the collecting one is stopped (collect/world.h);
//   3. roots: registered words, ranges and callbacks; each mutator's stack from its stack pointer, less the red zone, and
//      the registers of its frame, vector registers included;
//   4. marking (collect/marker.h);
//   5. the world runs on; spans are swept when they are needed, and in the background (collect/sweeper.h).
//
// A concurrent cycle (Tracker::kBarrier; collector_concurrent.cc) marks what could be reached when it began: that is its
// snapshot. In a first stop roots are read and every mutator's `barrier` is set; the world runs on, and a helper marks.
// From then on each pointer that a store overwrites in the heap is shaded: noted for the marker. So whatever could be
// reached in the beginning is found, wherever it has moved since. What is allocated meanwhile is black, and never looked at: it can
// only point to what was there in the beginning, or is black too. Nothing but what is noted is read again, no stack and
// no root: a second stop, short, finds the last notes, decides the ends of objects, and turns to sweeping.
//
// (Yuasa, Real-time garbage collection on general-purpose machines, 1990. With a snapshot in one stop nothing has to be
// shaded that is stored, and no stack is read twice.)
//
//   S1. While marking, an object of the snapshot is white, or black, or grey, or noted in a mutator's shades or in the bag.
//   S2. Weak references, ephemerons and look-ups of addresses shade what they give out: they need not be of the snapshot.
//   S3. No span is swept and nothing is freed while marking: explicit frees are put off to the last stop. Whatever the tracker.
//   S4. The phase changes in stops only, so that a region sees one phase. Whatever the tracker.
//
// A cycle that watches pages (Tracker::kPages; collector_watch.cc) needs nothing of stores. A helper first arms every page that
// may hold pointers; then comes a first stop, which reads the roots, and the helper marks. When all is marked, it asks which
// pages were written, arms them again unless they are few, and scans the marked objects there once more: a round. Rounds go on until
// one is short; where they do not shrink, those who allocate are slowed. In the last stop the pages that are written are scanned once more, and all roots; if
// that is much, it is but one more round. So what can be reached in the last stop is marked, wherever it was before: either
// it was reached on its way, or it was stored on a page that counts as written.
//
//   W1. Pages are armed before marking begins; who asks for written ones reads them after the call.
//   W2. What is allocated while marking is black until its owner's note of it is read, then white. Its pages count as written,
//       so that nothing is lost if it stays black; white it is found, or dies, like everything else.
//   W3. White bits are written by who marks only. Slots that no mutator has handed out may be marked by stale words: those
//       of kinds with a trace function are therefore cleared before they count as allocated.
//   W4. A call that fails may have lost what it would have told: the cycle ends by marking all anew in its stop.
//
// (Boehm, Demers, Shenker, Mostly parallel garbage collection, 1991, had pages from mprotect; there the last stop scans all that
// was written since the beginning.)
//
// Where marks are kept from one cycle to the next (minor_collections; "sticky mark bits"), what has lived through a cycle is old,
// and what was allocated since is white. A minor cycle marks from the roots and from old objects on pages that count as
// written since the last cycle looked at them, and sweeps what is white; old objects that have died stay until a full cycle.
//
//   O1. When a cycle has ended, all that old objects point to is old. So afterwards an old object that points to a white one
//       lies on a page that counts as written: of which a minor cycle arms and reads all that have old objects.
//   O2. Only pages with old objects are armed between cycles, and nothing is allocated where little room is left between them
//       (span_pool.h): a write to an armed page costs 0.7 µs.
//   O3. Objects whose trace functions read other memory are traced in every minor cycle: put_off_ keeps them until a full one.
//   O4. A full cycle makes everything white first: in its stop, or in the time in which pages are armed.
//
// (Demers, Weiser, Hayes, Boehm, Bobrow, Shenker, Combining generational and conservative garbage collection, 1990.)
//
// Marking begins with the collecting thread alone, which is all that small heaps need; after about a millisecond of it the
// heap's helpers (collect/helpers.h) join in.
//
// Runs and their holes (collect/run.h) outlive cycles: only its owner writes a run, and nobody takes one away. Slots that
// were taken and not handed out yet have their allocation bits set, but not while marking in a stop, so that a stray word
// cannot revive them; they are not white then, so that sweeping leaves them to their mutator. A thread that was stopped between reading
// its cursor and storing it goes on with a slot that is still its own; it is not stopped on its way to the next hole.
//
// Threads: a mutator's functions are called by its own thread; the others by any.

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "allocator/collect/ends.h"
#include "allocator/collect/heap_watch.h"
#include "allocator/collect/helpers.h"
#include "allocator/collect/kind.h"
#include "allocator/collect/large_pool.h"
#include "allocator/collect/marker.h"
#include "allocator/collect/memory_limit.h"
#include "allocator/collect/pacer.h"
#include "allocator/collect/roots.h"
#include "allocator/collect/run.h"
#include "allocator/collect/span_pool.h"
#include "allocator/collect/stop_histogram.h"
#include "allocator/collect/sweeper.h"
#include "allocator/collect/word_bag.h"
#include "allocator/collect/world.h"
#include "allocator/heap/scavenger.h"
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

// Called by an allocating thread, with no lock of the heap held, when a cycle has found that what lives (`live_bytes`, records
// included) has passed the soft limit; not again before a cycle has found that it is back below. It may allocate and collect, set
// another limit, and need not return.
struct LimitCallback {
  void (*function)(void* context, CollectedMutator& mutator, size_t live_bytes) = nullptr;
  void* context = nullptr;
};

// How a cycle learns what mutators write while it marks.
enum class Tracker : uint8_t {
  kStopped,  // They do not write: the world is stopped.
  kBarrier,  // Every pointer store in the heap tells it: Store, acre_write.
  kPages,    // The kernel tells which pages were written: heap_watch.h.
};

struct CollectorOptions {
  Tracker tracker = Tracker::kStopped;
  bool minor_collections = false;     // Marks are kept, where pages are watched: most cycles look at new objects only.
  size_t helped_bytes = 32 * kMiB;    // A heap that holds less is collected without helpers, and with the world stopped.
  uint32_t gc_percent = 100;            // When a cycle starts: collect/pacer.h.
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
  uint32_t pause_target_us = kDefaultPauseTargetUs;  // Of the last stop of a cycle beside mutators: collect/pacer.h.
  size_t memory_limit_bytes = kNoMemoryLimit;  // Of all memory, softly: collect/memory_limit.h.
  LimitCallback on_memory_limit;
  bool yields_at_memory_limit = true;  // False, for tests: cycles begin there whatever share of the time they have taken.
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
  uint64_t concurrent_cycles;  // Of these.
  uint64_t minor_cycles;       // Of all: that marked new objects only.
  uint64_t repeated_stops;     // That did not end a marking, since too much was left.
  size_t live_bytes;      // After the last one; about right after a concurrent one.
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
  uint64_t written_bytes;     // Of pages with old objects that the last minor cycle found written.
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

  // Stores a word that may be a pointer into an object.
  void Store(CollectedMutator& mutator, uint64_t* field, uint64_t word) {
    Region region(mutator);
    if (mutator.barrier.load(std::memory_order_relaxed) != 0) [[unlikely]] ShadeOverwritten(mutator, field, 1);
    __atomic_store_n(field, word, __ATOMIC_RELEASE);
  }

  // What stands in the fields will be overwritten: the marker is told of it. In the same region as the store.
  void ShadeOverwritten(CollectedMutator& mutator, const uint64_t* fields, size_t count);

  // While marking: the object that the word means lives through this cycle. In a region.
  void Shade(CollectedMutator& mutator, uint64_t word) {
    if (mutator.barrier.load(std::memory_order_relaxed) != 0) [[unlikely]] ShadeWord(mutator, word);
  }

  // Whether objects are being marked while mutators run.
  bool is_marking_beside() const { return is_marking_beside_.load(std::memory_order_relaxed); }

  // For the trace function of an object that refers to other memory than its own, which nobody watches: true if that is not to
  // be read now, but in the stop that comes. `*noted` is a word of the object's, zero at first, that is used for this only.
  bool PutOff(uintptr_t object, uint64_t* noted);

  // From now on every cycle is a stopped one, if the tracker is the barrier.
  void ForbidConcurrent() { is_concurrent_forbidden_.store(true, std::memory_order_relaxed); }

  // From now on [base, limit) of an object may be written by who tells nobody, and the object lives; until Unpin, which comes after
  // the last such write, by any thread. The record holds the range; Pin fills in the rest. Fatal: it is not in one object.
  void Pin(CollectedMutator& mutator, RootPin& pin);
  void Unpin(RootPin& pin);

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

  // Sets the soft limit anew. Any thread.
  void SetMemoryLimit(size_t bytes);
  size_t memory_limit_bytes() const { return limit_.bytes.load(std::memory_order_relaxed); }

  // Memory that objects hold elsewhere has become more, or less. Its growth counts as allocation. Any thread, in a region or
  // not. False: the sum would not be one of bytes, and is taken for 0 or for the most.
  bool AdjustExternal(ptrdiff_t delta);
  size_t external_bytes() const { return limit_.external_bytes.load(std::memory_order_relaxed); }

  // What counts for the soft limit, and free memory.
  size_t HeldBytes() const;

  // The calling thread's mutator, or null.
  CollectedMutator* OfThisThread() { return static_cast<CollectedMutator*>(world_.OfThisThread()); }
  bool has_mutators() { return !world_.is_empty(); }

  KindTable& kinds() { return kinds_; }
  os::Mutex& kinds_mutex() { return kinds_mutex_; }
  Roots& roots() { return roots_; }
  Ends& ends() { return ends_; }
  CycleStats stats();
  Helpers& helpers() { return helpers_; }
  Scavenger& scavenger() { return scavenger_; }

  // Checks every pool. No other thread uses the heap.
  void CheckInvariants();

 private:
  void* AllocateSlow(CollectedMutator& mutator, Kind kind, size_t bytes);
  void* AllocateAnew(CollectedMutator& mutator, Kind kind, size_t bytes);
  void* TryAllocate(CollectedMutator& mutator, Kind kind, size_t bytes);
  bool AskForMemory(CollectedMutator& mutator, size_t bytes);
  [[noreturn]] void ReportBadFree(uintptr_t address) const;
  void CountAtStop(size_t live_bytes, size_t live_objects);
  void CollectForStress(CollectedMutator& mutator);
  void* AllocateLarge(CollectedMutator& mutator, Kind kind, size_t bytes);
  void* Refill(CollectedMutator& mutator, Kind kind, SizeClass size_class);
  bool TakeSlots(SpanPool& pool, Run& run, Holes& holes, SizeClass size_class);
  void* BumpCleared(Run& run, SizeClass size_class);
  SpanPool* Pool(Kind kind, SizeClass size_class);
  void FreeRows(CollectedMutator& mutator);
  RunRow* RowOf(CollectedMutator& mutator, Kind kind);
  // In a region.
  Birth birth() const { return is_marking_.load(std::memory_order_relaxed) ? Birth::kMarked : Birth::kWhite; }
  bool IsDue() const { return allocated_bytes_.load(std::memory_order_relaxed) >= trigger_.load(std::memory_order_relaxed); }
  void CollectIf(CollectedMutator& mutator, uint64_t cycles_seen);
  bool CollectLocked(CollectedMutator& mutator, Extent extent);
  bool Cycle(CollectedMutator& mutator, uintptr_t stack_pointer);
  void StopForCycle(CollectedMutator* mutator, uintptr_t stack_pointer);
  void ResumeAfterCycle(CollectedMutator* mutator);
  void NoteAllocationRate();
  void BeginMarking();
  void ForgetMarks();
  bool EndMarking();
  MarkCount CountLive(const MarkCount& freed);
  void PlanNextCycle();
  void CountStop(uint64_t began_ns);
  uint32_t Mark();
  static void HelpMark(void* marker, uint32_t number);
  void EnsureHelpers(CollectedMutator& mutator);
  void NoteGarbage(size_t live_bytes);
  void Scavenge(CollectedMutator& mutator);
  void SweepAll(CollectedMutator& mutator);
  void SweepBeside();
  static void SweepInBackground(void* self, uint32_t number);
  static void HideRuns(const CollectedMutator& mutator);
  static void HideUnused(const CollectedMutator& mutator);
  static void KeepRuns(const CollectedMutator& mutator);
  void ScanRoots();
  void VerifyMarks();

  // collector_watch.cc
  bool watches_pages() const { return options_.tracker == Tracker::kPages; }
  bool keeps_marks() const { return watches_pages() && options_.minor_collections; }
  Extent PlannedExtent() const;
  void WhitenAll();
  bool RenewWatch();
  bool ArmOld(HeapWatch::Among among);
  MarkCount CountKeptMarks();
  NextCycle PlanWithMinor(size_t reached_bytes, size_t growth_bytes);
  void OpenWatch();
  void CountWatchFailure();
  bool StartArming(CollectedMutator& mutator);
  static void ArmInBackground(void* self, uint32_t number);
  void NoteBirths(const SlotSet& slots);
  void WhitenBirths();
  bool MarkWritten();
  bool ScanWritten(HeapWatch::Among among, os::PageWatch::Then then, size_t* pages);
  void FindLastWritten();
  void RestoreUnused();

  // collector_limit.cc
  void StoreMemoryLimit(size_t bytes);
  void LimitFreeMemory();
  void LookAtLimitAnew();
  size_t OtherBytes() const;
  size_t LivingBytes() const;
  LimitView ViewLimit() const;
  bool IsNearLimit() const;
  void SetTrigger(size_t percent_trigger_bytes, size_t reached_bytes);
  bool GoesOnAtLimit(CollectedMutator& mutator);
  uint64_t DebtNow() const;
  void AddToDebt(uint64_t stopped_ns);
  uint64_t WaitAtLimit(uint64_t delay_ns);
  void TellOfLimit(CollectedMutator& mutator);

  // collector_concurrent.cc
  bool CanMarkConcurrently() const;
  enum class Attempt : bool { kWithBudget, kWhateverItTakes };
  void LockIdleCycle();
  void EndMarkingBeside();
  bool TakeUnnoticedEnds();
  void CollectBeside(CollectedMutator& mutator, uint64_t cycles_seen);
  bool BeginBeside(CollectedMutator& mutator);
  enum class Began : uint8_t { kNot, kBeside, kAndEnded };
  Began TakeSnapshot(CollectedMutator& mutator, uintptr_t stack_pointer, bool* has_queued_ends);
  bool MarksMinorAtOnce();
  bool EndBeside(CollectedMutator* mutator, Attempt attempt);
  bool AsksForRound();
  bool TryEnd(CollectedMutator* mutator, uintptr_t stack_pointer, Attempt attempt, bool* has_queued_ends);
  void FindLastShades();
  void StartMarkingBeside();
  void StopMarkingBeside();
  static void MarkInBackground(void* self, uint32_t number);
  bool MarkShades();
  void EstimateMarks();
  void AddToEstimate(uint64_t word);
  void TracePutOff();
  MarkCount FreePutOff();
  void KeepPace(CollectedMutator& mutator);
  void SetPaceStep();
  void Slow(uint32_t slowing);
  void ShadeWord(CollectedMutator& mutator, uint64_t word);
  bool IsNews(uint64_t word) const;

  // collector_objects.cc
  bool Look(CollectedMutator& mutator, uintptr_t word, FoundObject* found);
  void FreeNow(uintptr_t object);
  void VisitObjects(ObjectVisitor* visit, void* context);
  FreeResult FreeFound(const FoundObject& found);

  // collector_fork.cc
  bool AddForkUser();
  void EndWorkForFork();
  void LockForFork();
  void UnlockAfterFork();
  void AfterForkInChild();

  // Written with cycle_mutex_ held, unless it says otherwise; what is atomic is read by mutators.
  struct Limit {
    std::atomic<size_t> bytes{kNoMemoryLimit};
    std::atomic<size_t> external_bytes{0};  // Written by any thread.
    std::atomic<bool> is_near{false};     // It may ask for a cycle before gc_percent does.
    std::atomic<size_t> percent_trigger_bytes{0};  // When gc_percent does.
    std::atomic<size_t> runway_bytes{0};  // What is allocated while a cycle marks.
    std::atomic<size_t> low_bytes{0};     // LimitView. Mutators lower it.
    std::atomic<size_t> live_bytes{0};    // LimitView.
    std::atomic<size_t> reached_bytes{0};  // Of these, without what was born while they were marked.
    std::atomic<bool> is_passed{false};   // The embedder is to be told. Mutators take it.
    std::atomic<uint64_t> debt_ns{0};     // At the end of the last stop, which was
    std::atomic<uint64_t> debt_at_ns{0};  // at this time.
    std::atomic<uint64_t> waited_ns{0};   // By mutators, for the marker, since then.
    uint64_t beside_cpu_ns = 0;           // Of who marks, since then.
    uint32_t cpus = 0;                    // 0: there has been no limit.
    bool is_over = false;                 // What lives has passed it.
  };

  struct Fork : os::ForkUser {
    bool is_in_shortage = false;  // The forking thread is in a shortage's callback.
    Collector* collector = nullptr;
    bool is_added = false;
    SpanPool* locked[kMaxKinds] = {};  // From before a fork until after it: the rows of pools whose locks are held.
  };

  SpanHeap& heap_;
  const CollectorOptions options_;
  const bool may_make_threads_;
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
  std::atomic<size_t> allocated_bytes_{0};        // Since the last cycle; external memory may make it less.
  std::atomic<size_t> trigger_;  // So much, and a cycle begins, or it is looked how far its marking is; not while arming: SIZE_MAX.
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

  // Concurrent cycles.
  std::atomic<bool> is_marking_{false};          // Written in stops, with cycle_mutex_ held. A helper marks.
  std::atomic<bool> is_marking_beside_{false};   // The same, but in the stops of such a cycle.
  std::atomic<bool> is_concurrent_forbidden_{false};
  std::atomic<bool> is_marker_wanted_{false};    // The helper that marks is to leave the marker to who holds cycle_mutex_.
  std::atomic<bool> is_ready_to_end_{false};     // It has nothing left; and then trigger_ is 0.
  os::Event marker_wanted_;
  os::Event ready_to_end_;                       // Of several that wait one is woken: the others' time limit ends their wait.
  enum class Arming : uint8_t { kNone, kUnderWay, kDone, kFailed };
  std::atomic<Arming> arming_{Arming::kNone};    // Before a marking that watches pages.
  std::atomic<bool> can_watch_{false};
  bool has_unnoticed_ends_ = false;              // Guarded by cycle_mutex_, like the next: ends that Notify was not called for.
  uint32_t attempts_ = 0;                        // To end this marking.
  uint32_t asked_rounds_ = 0;                    // In this marking, by those who came too late to end it.
  std::atomic<uint64_t> ready_ns_{0};            // When is_ready_to_end_ was set.
  WordBag shades_{heap_.metadata()};
  WordBag put_off_{heap_.metadata()};            // Objects that are traced in the stop.
  WordBag put_off_frees_{heap_.metadata()};
  bool has_estimate_ = false;                    // What is marked, counted by the helper outside of the stop.
  bool is_estimate_old_ = false;                 // More was marked since: it is counted anew, if there is time before the stop.
  MarkCount estimate_{};
  size_t scanned_at_estimate_ = 0;
  uint64_t taken_bytes_at_estimate_ = 0;
  uint64_t taken_objects_at_estimate_ = 0;
  size_t goal_bytes_ = 0;                        // Guarded by cycle_mutex_, like the rest: of allocation until the cycle's end.
  size_t allocated_at_snapshot_ = 0;
  size_t scanned_at_snapshot_ = 0;
  size_t born_bytes_ = 0;                        // What was allocated while the last cycle marked.
  uint64_t cycle_ended_ns_ = 0;
  double allocation_rate_ = 0;
  uint64_t dry_ns_ = 0;                          // From the snapshot until nothing was left to be marked. Of who marks.
  MarkingPace pace_{};                           // Mutators read it, which a stop has come to since it was written.
  std::atomic<size_t> scanned_objects_{0};       // By the marker that marks, in all.

  // Of cycles that watch pages.
  HeapWatch watch_{heap_.table(), large_pool_};
  WordBag births_{heap_.metadata()};             // White words, each with the bits of slots that were taken while marking.
  MarkingRound round_{};                         // The last one of this marking; of who marks.
  uint64_t written_page_ns_ = kWrittenPageNs;    // To scan one again. Of who marks.
  std::atomic<uint32_t> slowing_{0};             // Of those who allocate while this marking comes to its end. Of who marks.
  bool is_watch_lost_ = false;                   // A scan has failed in this marking: what was written is not known.
  uint32_t watch_failures_ = 0;                  // Since a cycle had none.
  bool must_renew_watch_ = false;
  Extent extent_ = Extent::kFull;                // Of this cycle.
  Extent next_extent_ = Extent::kFull;           // Where marks are kept: all that lived is black, and nothing has whitened it.
  uint64_t marking_number_ = 1;                  // Of full cycles: what was put off since is known.
  OldGeneration old_{};
  size_t nursery_bytes_ = 0;
  MinorCosts minor_costs_{};
  size_t reached_before_ = 0;                    // By the cycle before this one, kept marks included.
  uint32_t dear_minors_ = 0;                     // One after the other.
  uint32_t full_cycles_left_ = 0;                // Until minor ones are tried.
  uint64_t arming_ns_ = 0;                       // What it took before this marking.

  Limit limit_;
  Fork fork_;
  std::atomic<bool> is_scavenger_wanted_{false};  // A cycle has found enough to give back. Set in stops, taken by who scavenges.
  Scavenger scavenger_{heap_};
  Helpers helpers_;     // The last, with the one before: their threads end before anything that they use.
};

}  // namespace acre
