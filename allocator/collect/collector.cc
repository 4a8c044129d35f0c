#include "allocator/collect/collector.h"

#include <new>
#include <utility>

#include "allocator/collect/clobber.h"
#include "allocator/collect/mark_bits.h"
#include "allocator/collect/mark_verifier.h"
#include "allocator/collect/pacer.h"
#include "allocator/collect/stack_roots.h"
#include "arch/context.h"
#include "arch/memory.h"
#include "os/check.h"
#include "os/clock.h"
#include "os/environment.h"
#include "os/foreign_locks.h"
#include "os/limits.h"

namespace acre {
namespace {

// A mutator's first run of a class takes at most this much, later ones twice as much each up to the second.
constexpr size_t kFirstRunBytes = 1 * kKiB;
constexpr size_t kMaxRunBytes = 8 * kKiB;
// So much of a run is cleared ahead of the cursor: it is still in the first cache when it is used, with several classes in
// use. 1 KiB costs 2 instructions more for each object of 32 bytes, 8 KiB 1.5 fewer.
constexpr size_t kClearBytes = 2 * kKiB;
constexpr size_t kSweepStep = 64;  // Spans between two looks at whether somebody waits.
constexpr size_t kBackgroundSweepStep = 16;  // The same for a helper: mutators want its lock.
constexpr size_t kLonelyRounds = 1000;  // About a millisecond.

Freed FreedIn(const CollectorOptions& options) {
  return options.debug.clobbers_freed ? Freed::kClobbered : Freed::kLeft;
}

bool MayMakeThreads(const CollectorOptions& options) {
  const char* switched = os::EnvironmentValue("ACRE_BACKGROUND");
  return options.background && (switched == nullptr || switched[0] != '0');
}

// The times between its calls.
class Laps {
 public:
  uint64_t Next() {
    const uint64_t now_ns = os::MonotonicNs();
    const uint64_t lap_ns = now_ns - last_ns_;
    last_ns_ = now_ns;
    return lap_ns;
  }

 private:
  uint64_t last_ns_ = os::MonotonicNs();
};

}  // namespace

Collector::Collector(SpanHeap& heap, const CollectorOptions& options)
    : heap_(heap), options_(options), may_make_threads_(MayMakeThreads(options)), world_(options.stop_signal),
      large_pool_(heap.page_heap(), heap.huge_list(), heap.metadata(), FreedIn(options), keeps_marks()),
      ends_(heap.metadata(), heap.space(), heap.table(), large_pool_),
      marker_(heap.space(), heap.table(), kinds_,
              MarkerOptions{.end_pointers = options.end_pointers,
                            .value_format = options.value_format,
                            .huge_objects = large_pool_.huge_objects()}),
      trigger_(options.min_trigger_bytes) {
  heap_.set_huge_page_threshold(options_.huge_page_threshold_bytes);
  // Memory goes back at any time, and any word may be looked up then: by a marker, by FindObject.
  heap_.page_heap().set_keeps_chunks(true);
}

Collector::~Collector() {
  if (fork_.is_added) os::ForkUsers::Remove(fork_);  // First: a fork would end the marking too.
  if (arming_.load(std::memory_order_relaxed) != Arming::kNone) StopMarkingBeside();
  if (is_marking_.load(std::memory_order_relaxed)) {
    StopMarkingBeside();
    marker_.Drain();
    marker_.Finish();
  }
}

bool Collector::Prepare() {
  heap_.page_heap().set_limit_bytes(options_.hard_limit_bytes);
  cycle_ended_ns_ = os::MonotonicNs();
  limit_.debt_at_ns.store(cycle_ended_ns_, std::memory_order_relaxed);
  StoreMemoryLimit(options_.memory_limit_bytes);
  goal_bytes_ = options_.min_trigger_bytes;
  SetTrigger(goal_bytes_, 0);
  if (watches_pages()) OpenWatch();
  return marker_.Prepare(1) == Status::kOk && AddForkUser();
}

bool Collector::Attach(CollectedMutator& mutator) {
  if (!world_.Attach(mutator)) return false;
  Region region(mutator);
  const bool has_barrier = is_marking_.load(std::memory_order_relaxed) && !watches_pages();
  mutator.barrier.store(has_barrier ? 1 : 0, std::memory_order_relaxed);
  return true;
}

void Collector::Detach(CollectedMutator& mutator) {
  {
    Region region(mutator);
    // While marking only: else a fork may come, which does not take the bag's lock.
    if (mutator.shade_count != 0) shades_.Add(mutator.shades, mutator.shade_count);
    mutator.shade_count = 0;
    mutator.ForEachUnused([this](uint32_t number, SizeClass size_class, const SlotSet& unused) {
      // The marker may be about to whiten them, or may have marked them: so they count as objects, that die.
      if (watches_pages() && is_marking_.load(std::memory_order_relaxed)) return;
      taken_bytes_.fetch_sub(unused.count() * kSizeClasses[size_class].slot_bytes, std::memory_order_relaxed);
      taken_objects_.fetch_sub(unused.count(), std::memory_order_relaxed);
      size_t freed = 0;
      SpanPool& pool = pools_[number].load(std::memory_order_acquire)[size_class];
      pool.GiveBack(heap_.page_heap(), unused, birth(), &freed);
      if (freed != 0) sweeper_.AddFreed(freed);
    });
    FreeRows(mutator);
  }
  world_.Detach(mutator);
}

// Each is taken off first, under no lock, and freed under one that a fork takes: so a forked child finds at the mutators
// that it has lost exactly the rows that are not free yet.
void Collector::FreeRows(CollectedMutator& mutator) {
  for (uint32_t number = 0; number < kMaxKinds; ++number) {
    if (!mutator.HasRow(number)) continue;
    RunRow* row = mutator.rows[number];
    mutator.rows[number] = const_cast<RunRow*>(&kNoRuns);
    heap_.metadata().Free(row, sizeof(RunRow));
  }
}

void* Collector::AllocateSlow(CollectedMutator& mutator, Kind kind, size_t bytes) {
  if (bytes <= kMaxSmallBytes && options_.debug.stress_allocations == 0) [[likely]] {
    // The most frequent cases: the run has slots left that are not cleared yet, for which no region is needed, as on the
    // inline path; or there are holes left.
    const SizeClass size_class = ClassForSize(bytes);
    RunRow* row = mutator.rows[NumberOf(kind)];
    Run& run = row->runs[size_class];
    if (run.limit != run.end) [[likely]] return BumpCleared(run, size_class);
    if (Holes& holes = row->holes[size_class]; !holes.is_empty()) [[likely]] {
      {
        Region region(mutator);
        MoveToNextHole(run, holes, size_class);
      }
      return BumpCleared(run, size_class);
    }
  }
  return AllocateAnew(mutator, kind, bytes);
}

void* Collector::AllocateAnew(CollectedMutator& mutator, Kind kind, size_t bytes) {
  if (bytes > static_cast<size_t>(PTRDIFF_MAX)) return nullptr;
  const uint64_t cycles = cycles_.load(std::memory_order_acquire);
  if (IsDue() && !GoesOnAtLimit(mutator)) [[unlikely]] {
    if (options_.tracker == Tracker::kStopped) {
      CollectIf(mutator, cycles);
    } else {
      CollectBeside(mutator, cycles);
    }
  }
  if (limit_.is_passed.load(std::memory_order_relaxed)) [[unlikely]] TellOfLimit(mutator);
  if (options_.debug.stress_allocations != 0) [[unlikely]] CollectForStress(mutator);
  if (void* object = TryAllocate(mutator, kind, bytes)) [[likely]] return object;
  for (;;) {
    // A concurrent cycle that ends now has kept what was alive when it began.
    CollectIf(mutator, options_.tracker == Tracker::kStopped ? cycles_.load(std::memory_order_acquire) : UINT64_MAX);
    SweepAll(mutator);
    if (void* object = TryAllocate(mutator, kind, bytes)) return object;
    if (!AskForMemory(mutator, bytes)) return nullptr;
  }
}

void* Collector::TryAllocate(CollectedMutator& mutator, Kind kind, size_t bytes) {
  return bytes <= kMaxSmallBytes ? Refill(mutator, kind, ClassForSize(bytes)) : AllocateLarge(mutator, kind, bytes);
}

// Whether the embedder says that it has made room.
bool Collector::AskForMemory(CollectedMutator& mutator, size_t bytes) {
  if (mutator.is_in_shortage) return false;
  PageHeap& page_heap = heap_.page_heap();
  const size_t span_bytes =
      bytes <= kMaxSmallBytes ? size_t{kSizeClasses[ClassForSize(bytes)].span_pages} * kPageBytes : bytes;
  const bool is_at_limit = page_heap.ExceedsLimit(span_bytes);
  const ShortageCallback& callback = is_at_limit ? options_.on_hard_limit : options_.on_out_of_memory;
  if (callback.function == nullptr) return false;
  BlockingLock lock(shortage_mutex_);
  mutator.is_in_shortage = true;
  if (is_at_limit) page_heap.set_limit_bytes(options_.hard_limit_bytes + options_.reserve_bytes);
  const OnShortage answer = callback.function(callback.context, mutator, bytes);
  if (is_at_limit) page_heap.set_limit_bytes(options_.hard_limit_bytes);
  mutator.is_in_shortage = false;
  return answer == OnShortage::kRetry;
}

// Every allocation comes by here: runs are cleared slot by slot.
void Collector::CollectForStress(CollectedMutator& mutator) {
  const uint64_t allocations = stress_allocations_.fetch_add(1, std::memory_order_relaxed) + 1;
  if (allocations % options_.debug.stress_allocations == 0) Collect(mutator);
}

void* Collector::AllocateLarge(CollectedMutator& mutator, Kind kind, size_t bytes) {
  Region region(mutator);
  sweeper_.Reclaim(bytes);
  bool is_zeroed;
  size_t taken;
  void* object = large_pool_.Allocate(kind, bytes, watches_pages() ? Birth::kWhite : birth(), &is_zeroed, &taken);
  if (object == nullptr) return nullptr;
  allocated_bytes_.fetch_add(taken, std::memory_order_relaxed);
  taken_bytes_.fetch_add(taken, std::memory_order_relaxed);
  taken_objects_.fetch_add(1, std::memory_order_relaxed);
  if (!is_zeroed) arch::Clear(object, taken);
  return object;
}

// The next slot of the class: from the run there is, from its next hole, or from a new one.
void* Collector::Refill(CollectedMutator& mutator, Kind kind, SizeClass size_class) {
  Region region(mutator);
  RunRow* row = RowOf(mutator, kind);
  SpanPool* pool = Pool(kind, size_class);
  if (row == nullptr || pool == nullptr) return nullptr;
  Run& run = row->runs[size_class];
  Holes& holes = row->holes[size_class];
  if (run.limit == run.end) {
    if (!holes.is_empty()) {
      MoveToNextHole(run, holes, size_class);
    } else if (!TakeSlots(*pool, run, holes, size_class)) {
      return nullptr;
    }
  }
  return BumpCleared(run, size_class);
}

// A new run, with holes, in the place of one that is used up. False: no memory.
bool Collector::TakeSlots(SpanPool& pool, Run& run, Holes& holes, SizeClass size_class) {
  const size_t twice = 2 * run.most_bytes;
  const size_t wanted = twice == 0 ? kFirstRunBytes : twice < kMaxRunBytes ? twice : kMaxRunBytes;
  size_t freed = 0;
  uint32_t slots = 0;
  if (!sweeper_.is_done()) {
    slots = pool.Take(heap_.page_heap(), wanted, SpanPool::Growth::kRefused, birth(), &holes.slots, &freed);
    if (slots == 0) sweeper_.Reclaim(size_t{kSizeClasses[size_class].span_pages} * kPageBytes);
  }
  if (slots == 0) slots = pool.Take(heap_.page_heap(), wanted, SpanPool::Growth::kAllowed, birth(), &holes.slots, &freed);
  if (freed != 0) sweeper_.AddFreed(freed);
  if (slots == 0) return false;
  if (watches_pages() && is_marking_.load(std::memory_order_relaxed)) NoteBirths(holes.slots);
  const size_t bytes = slots * kSizeClasses[size_class].slot_bytes;
  allocated_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  taken_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  taken_objects_.fetch_add(slots, std::memory_order_relaxed);
  run.most_bytes = wanted;
  holes.word = 0;
  while (holes.slots.bits[holes.word] == 0) ++holes.word;
  MoveToNextHole(run, holes, size_class);
  return true;
}

// Clears some more of a run whose cleared part is used up, and takes a slot of it.
void* Collector::BumpCleared(Run& run, SizeClass size_class) {
  const size_t slot_bytes = kSizeClasses[size_class].slot_bytes;
  const bool is_stressed = options_.debug.stress_allocations != 0;
  const size_t slots = slot_bytes < kClearBytes && !is_stressed ? SlotAt(kSizeClasses[size_class], kClearBytes) : 1;
  const size_t piece = slots * slot_bytes;
  const size_t bytes = piece < run.end - run.limit ? piece : run.end - run.limit;
  if (options_.debug.clobbers_freed && !watches_pages()) [[unlikely]] CheckClobbered(run.limit, bytes, slot_bytes);
  arch::Clear(reinterpret_cast<void*>(run.limit), bytes);
  run.limit += bytes;
  const uintptr_t object = run.cursor;
  run.cursor = object + slot_bytes;
  return reinterpret_cast<void*>(object);
}

SpanPool* Collector::Pool(Kind kind, SizeClass size_class) {
  std::atomic<SpanPool*>& place = pools_[NumberOf(kind)];
  SpanPool* row = place.load(std::memory_order_acquire);
  if (row == nullptr) {
    constexpr size_t kBytes = kSizeClassCount * sizeof(SpanPool);
    void* memory = heap_.metadata().Allocate(kBytes);
    if (memory == nullptr) return nullptr;
    auto* fresh = static_cast<SpanPool*>(memory);
    const bool clears = watches_pages() && FormOf(kind) == TraceForm::kFunction;
    for (uint32_t number = 0; number < kSizeClassCount; ++number) {
      new (&fresh[number]) SpanPool(static_cast<SizeClass>(number), kind, FreedIn(options_), clears, keeps_marks());
    }
    if (place.compare_exchange_strong(row, fresh, std::memory_order_acq_rel)) {
      row = fresh;
    } else {
      heap_.metadata().Free(memory, kBytes);
    }
  }
  return &row[size_class];
}

RunRow* Collector::RowOf(CollectedMutator& mutator, Kind kind) {
  RunRow*& row = mutator.rows[NumberOf(kind)];
  if (!mutator.HasRow(NumberOf(kind))) {
    void* memory = heap_.metadata().Allocate(sizeof(RunRow));
    if (memory == nullptr) return nullptr;
    row = new (memory) RunRow();
  }
  return row;
}

void Collector::Collect(CollectedMutator& mutator) { CollectIf(mutator, UINT64_MAX); }

// A cycle, unless another thread has ended one since `cycles_seen` cycles had ended.
void Collector::CollectIf(CollectedMutator& mutator, uint64_t cycles_seen) {
  EnsureHelpers(mutator);
  LockIdleCycle();
  bool has_queued_ends = TakeUnnoticedEnds();
  if (cycles_seen == UINT64_MAX || cycles_.load(std::memory_order_relaxed) == cycles_seen) {
    has_queued_ends |= CollectLocked(mutator, cycles_seen == UINT64_MAX ? Extent::kFull : PlannedExtent());
    if (cycles_seen == UINT64_MAX || options_.debug.clobbers_freed) SweepAll(mutator);
  }
  cycle_mutex_.Unlock();
  Scavenge(mutator);
  if (has_queued_ends) ends_.Notify();
}

// In the stop: sees whether sweeping will leave enough to be given back, unless it is needed again.
void Collector::NoteGarbage(size_t live_bytes) {
  const size_t held_bytes = heap_.page_heap().used_bytes() + heap_.page_heap().dirty_bytes();
  const bool is_much = held_bytes >= live_bytes && held_bytes - live_bytes >= Scavenger::kSomeBytes;
  is_scavenger_wanted_.store(is_much, std::memory_order_relaxed);
}

// After a cycle, with no lock held.
void Collector::Scavenge(CollectedMutator& mutator) {
  if (!is_scavenger_wanted_.load(std::memory_order_relaxed)) return;
  is_scavenger_wanted_.store(false, std::memory_order_relaxed);
  if (scavenger_.is_running()) return;
  struct Call {
    Scavenger& scavenger;
    bool has_thread;
  } call{scavenger_, false};
  // Whoever holds the scavenger's lock must not be stopped, since others wait for it in regions; and a thread is not made in one.
  if (may_make_threads_) {
    World::Block(
        mutator,
        [](void* argument) {
          auto& [scavenger, has_thread] = *static_cast<Call*>(argument);
          has_thread = scavenger.Start();
        },
        &call);
  }
  if (call.has_thread) return;
  Region region(mutator);
  scavenger_.WorkInstead(os::MonotonicNs());
}

// Returns whether it queued finalizers or cleanups.
bool Collector::CollectLocked(CollectedMutator& mutator, Extent extent) {
  SweepAll(mutator);
  extent_ = extent;
  struct Call {
    Collector& collector;
    CollectedMutator& mutator;
    bool has_queued_ends;
  } call{*this, mutator, false};
  arch::WithSpilledRegisters(
      [](void* argument, uintptr_t stack_pointer) {
        auto& [collector, self, has_queued_ends] = *static_cast<Call*>(argument);
        has_queued_ends = collector.Cycle(self, stack_pointer);
      },
      &call);
  SweepBeside();
  return call.has_queued_ends;
}

// Before the world is stopped, and without a lock.
void Collector::EnsureHelpers(CollectedMutator& mutator) {
  if (!may_make_threads_) return;
  {
    Region region(mutator);
    if (heap_.page_heap().used_bytes() + heap_.huge_list().stats().bytes < options_.helped_bytes) return;
  }
  uint32_t workers = mark_workers_.load(std::memory_order_relaxed);
  if (workers == 0) {
    workers = options_.mark_workers == 0 ? os::CpuCount() : options_.mark_workers;
    if (workers > kMaxMarkers) workers = kMaxMarkers;
    mark_workers_.store(workers, std::memory_order_relaxed);
  }
  // One at least: it sweeps.
  helpers_.Ensure(workers == 1 ? 1 : workers - 1);
}

void Collector::StopForCycle(CollectedMutator* mutator, uintptr_t stack_pointer) {
  const uint32_t workers = mark_workers_.load(std::memory_order_relaxed);
  if (workers <= kMaxMarkers) (void)marker_.Prepare(workers);  // Fewer if there is no memory for them.
  if (mutator != nullptr) {
    mutator->frame = nullptr;
    mutator->stack_pointer = stack_pointer;
    mutator->fake_stack = os::CurrentFakeStack();
    mutator->alternate_limit = 0;
  }
  roots_.mutex().Lock();
  ends_.mutex().Lock();
  world_.StopOthers(mutator);
  if (mutator != nullptr) mutator->is_collecting = true;
}

void Collector::ResumeAfterCycle(CollectedMutator* mutator) {
  if (mutator != nullptr) mutator->is_collecting = false;
  world_.ResumeOthers(mutator);
  ends_.mutex().Unlock();
  roots_.mutex().Unlock();
}

bool Collector::Cycle(CollectedMutator& mutator, uintptr_t stack_pointer) {
  const uint64_t began_ns = os::MonotonicNs();
  Laps laps;
  StopForCycle(&mutator, stack_pointer);
  stats_.last_stopping_ns = laps.Next();
  NoteAllocationRate();
  born_bytes_ = 0;
  BeginMarking();
  if (extent_ == Extent::kMinor) {
    size_t pages = 0;
    if (ScanWritten(HeapWatch::Among::kOld, os::PageWatch::Then::kArm, &pages)) {
      stats_.written_bytes = pages * os::OsPageBytes();
      TracePutOff();
    } else {
      CountWatchFailure();
      extent_ = Extent::kFull;
      BeginMarking();
    }
  }
  stats_.last_clearing_ns = laps.Next();
  ScanRoots();
  stats_.root_bytes = marker_.root_bytes();
  (void)laps.Next();
  const uint64_t cpu_ns = os::ProcessCpuNs();
  stats_.last_markers = Mark();
  stats_.last_marking_cpu_ns = os::ProcessCpuNs() - cpu_ns;
  stats_.last_marking_ns = laps.Next();
  const bool has_queued_ends = EndMarking();
  CountStop(began_ns);
  ResumeAfterCycle(&mutator);
  return has_queued_ends;
}

// In a stop, before anything is marked.
void Collector::NoteAllocationRate() {
  allocation_rate_ = AllocationRate(allocation_rate_, allocated_bytes_.load(std::memory_order_relaxed),
                                    os::MonotonicNs() - cycle_ended_ns_);
  scanned_at_snapshot_ = marker_.scanned_objects();
}

// The runs are hidden from here until EndMarking, but for the time that mutators run.
void Collector::BeginMarking() {
  world_.ForEach([](const Standing& standing) { HideUnused(static_cast<const CollectedMutator&>(standing)); });
  if (extent_ == Extent::kFull) {
    if (keeps_marks()) ClearMarks(heap_.table());
    ForgetMarks();
  }
  marker_.Begin();
}

// But for white bits: before a full cycle.
void Collector::ForgetMarks() {
  large_pool_.ClearMarks();
  if (!keeps_marks()) return;
  put_off_.Clear();
  ++marking_number_;
}

// All that the roots reach is marked; the runs are hidden. Returns whether finalizers or cleanups were queued.
bool Collector::EndMarking() {
  Laps laps;
  const uint64_t cpu_ns = os::ThreadCpuNs();
  if (options_.debug.verifies_marks) [[unlikely]] VerifyMarks();  // Ends mark more.
  const bool has_queued_ends = ends_.Decide(marker_);
  marker_.Finish();
  const MarkCount freed = FreePutOff();
  stats_.last_marking_cpu_ns += os::ThreadCpuNs() - cpu_ns;
  stats_.mark_cpu_ns += stats_.last_marking_cpu_ns;
  stats_.last_marking_ns += laps.Next();
  MarkCount count = CountLive(freed);
  NoteGarbage(count.bytes);
  count.bytes += large_pool_.marked_huge_bytes();
  count.objects += large_pool_.marked_huge_objects();
  stats_.last_counting_ns = laps.Next();
  stats_.live_bytes = count.bytes;
  stats_.live_objects = count.objects;
  CountAtStop(stats_.live_bytes, stats_.live_objects);
  PlanNextCycle();
  world_.ForEach([](const Standing& standing) { KeepRuns(static_cast<const CollectedMutator&>(standing)); });
  sweeper_.Begin(extent_, next_extent_);
  cycle_ended_ns_ = os::MonotonicNs();
  stats_.cycles = cycles_.fetch_add(1, std::memory_order_release) + 1;
  return has_queued_ends;
}

// When it begins, and what it looks at. Before what this cycle has found dead is swept, and without runs.
void Collector::PlanNextCycle() {
  const size_t reached_bytes = stats_.live_bytes > born_bytes_ ? stats_.live_bytes - born_bytes_ : 0;
  const size_t growth =
      GrowthFor(reached_bytes + external_bytes(), stats_.root_bytes, options_.gc_percent, options_.min_trigger_bytes);
  if (extent_ == Extent::kFull) {
    // By the clock where a helper marked: it may not have had a CPU all the time.
    pace_.marking_ns = dry_ns_ == 0 ? stats_.last_marking_cpu_ns : dry_ns_;
    pace_.expected_objects = marker_.scanned_objects() - scanned_at_snapshot_;
  }
  dry_ns_ = 0;
  NextCycle next{.is_minor = false, .goal_bytes = GoalFor(growth, born_bytes_)};
  if (keeps_marks()) next = PlanWithMinor(reached_bytes, growth);
  goal_bytes_ = next.goal_bytes;
  allocated_bytes_.store(0, std::memory_order_relaxed);
  if (next.is_minor && IsNearLimit()) {
    // Near the limit what is dead counts. Not after a nursery, whatever is owed: when the limit wants it.
    next = {.is_minor = false, .goal_bytes = GoalFor(growth, born_bytes_)};
    goal_bytes_ = next.goal_bytes;
  }
  next_extent_ = next.is_minor ? Extent::kMinor : Extent::kFull;
  const bool is_beside = next_extent_ == Extent::kFull && CanMarkConcurrently();
  SetTrigger(is_beside ? ConcurrentTriggerFor(goal_bytes_, allocation_rate_, pace_.marking_ns) : goal_bytes_, reached_bytes);
}

// Of pages, without huge objects.
MarkCount Collector::CountLive(const MarkCount& freed) {
  MarkCount count;
  // Where much was marked since, the estimate is worth nothing, and the stop takes the time to count.
  const bool is_far_off = marker_.scanned_objects() - scanned_at_estimate_ > estimate_.objects / 8;
  if (std::exchange(has_estimate_, false) && !is_far_off) {
    count = estimate_;
    // What was taken since is marked by birth, or nobody knows.
    const uint64_t bytes = watches_pages() ? 0 : taken_bytes_.load(std::memory_order_relaxed);
    const uint64_t objects = watches_pages() ? 0 : taken_objects_.load(std::memory_order_relaxed);
    if (bytes > taken_bytes_at_estimate_) count.bytes += bytes - taken_bytes_at_estimate_;
    if (objects > taken_objects_at_estimate_) count.objects += objects - taken_objects_at_estimate_;
    // What was freed a moment ago was marked.
    count.bytes -= freed.bytes < count.bytes ? freed.bytes : count.bytes;
    count.objects -= freed.objects < count.objects ? freed.objects : count.objects;
    return count;
  }
  return extent_ == Extent::kMinor ? CountKeptMarks() : CountMarks(heap_.table());
}

void Collector::CountStop(uint64_t began_ns) {
  stats_.last_stop_ns = os::MonotonicNs() - began_ns;
  AddToDebt(stats_.last_stop_ns);
  stats_.stops.Add(stats_.last_stop_ns);
  stats_.longest_stop_ns = stats_.stops.longest_ns;
}

// What was allocated until now is known here, since it is known what runs have left; so what has died is the rest.
void Collector::CountAtStop(size_t live_bytes, size_t live_objects) {
  uint64_t unused_bytes = 0;
  uint64_t unused_objects = 0;
  world_.ForEach([&](Standing& standing) {
    const auto& mutator = static_cast<const CollectedMutator&>(standing);
    mutator.ForEachUnused([&](uint32_t, SizeClass size_class, const SlotSet& slots) {
      unused_bytes += slots.count() * kSizeClasses[size_class].slot_bytes;
      unused_objects += slots.count();
    });
  });
  taken_bytes_at_stop_ = taken_bytes_.load(std::memory_order_relaxed);
  taken_objects_at_stop_ = taken_objects_.load(std::memory_order_relaxed);
  stats_.allocated_bytes = taken_bytes_at_stop_ - unused_bytes;
  stats_.allocated_objects = taken_objects_at_stop_ - unused_objects;
  // What lives may be an estimate.
  stats_.dead_bytes = stats_.allocated_bytes < live_bytes ? 0 : stats_.allocated_bytes - live_bytes;
  stats_.freed_objects = stats_.allocated_objects < live_objects ? 0 : stats_.allocated_objects - live_objects;
  freed_by_hand_bytes_.store(0, std::memory_order_relaxed);
  freed_by_hand_objects_.store(0, std::memory_order_relaxed);
}

// Alone as long as that may be all; then with whoever is there. Returns how many took part.
uint32_t Collector::Mark() {
  if (marker_.DrainSome(kLonelyRounds)) return 1;
  const uint32_t others = helpers_.Claim(marker_.workers() - 1);
  if (others == 0) {
    marker_.Drain();
    return 1;
  }
  marker_.BeginParallel(others + 1);
  helpers_.Start(&Collector::HelpMark, &marker_);
  marker_.Work(0);
  helpers_.Join();
  return others + 1;
}

// The world is stopped for helpers too.
void Collector::HelpMark(void* marker, uint32_t number) {
  os::ForbidForeignLocks();
  static_cast<Marker*>(marker)->Work(number);
  os::AllowForeignLocks();
}

void Collector::SweepAll(CollectedMutator& mutator) {
  for (bool has_more = true; has_more;) {
    Region region(mutator);
    has_more = sweeper_.SweepSome(kSweepStep);
  }
  // A helper may be about to write down its last step.
  Region region(mutator);
  os::MutexLock lock(helpers_.work_mutex());
}

// REQUIRES: the cycle's lock.
void Collector::SweepBeside() {
  if (helpers_.Claim(1) != 0) {
    helpers_.Start(&Collector::SweepInBackground, this);
  } else {
    marker_.ReleaseMemory();
  }
}

void Collector::SweepInBackground(void* self, uint32_t) {
  auto* collector = static_cast<Collector*>(self);
  {
    os::MutexLock lock(collector->helpers_.work_mutex());
    collector->marker_.ReleaseMemory();
  }
  for (bool has_more = true; has_more;) {
    os::MutexLock lock(collector->helpers_.work_mutex());
    has_more = collector->sweeper_.SweepSome(kBackgroundSweepStep);
  }
}

// While marking, what a mutator has taken and not handed out is no object.
void Collector::HideRuns(const CollectedMutator& mutator) {
  mutator.ForEachUnused([](uint32_t, SizeClass, const SlotSet& unused) {
    ForEachSlotWord(unused, [](uint64_t* alloc_word, uint64_t*, uint64_t mask) { *alloc_word &= ~mask; });
  });
}

// The same; and sweeping will leave it to its mutator, since it is not white.
void Collector::HideUnused(const CollectedMutator& mutator) {
  mutator.ForEachUnused([](uint32_t, SizeClass, const SlotSet& unused) {
    ForEachSlotWord(unused, [](uint64_t* alloc_word, uint64_t* white_word, uint64_t mask) {
      *alloc_word &= ~mask;
      *white_word &= ~mask;
    });
  });
}

// Sweeping leaves it to its mutator.
void Collector::KeepRuns(const CollectedMutator& mutator) {
  mutator.ForEachUnused([](uint32_t, SizeClass, const SlotSet& unused) {
    ForEachSlotWord(unused, [](uint64_t* alloc_word, uint64_t*, uint64_t mask) { *alloc_word |= mask; });
  });
}

void Collector::ScanRoots() {
  roots_.Scan(marker_, options_.debug.dropped_roots);
  ends_.AddRoots(marker_);
  world_.ForEach([this](const Standing& standing) { AddStackRoots(standing, options_.debug.dropped_roots, marker_); });
}

// Everything that is marked by now was reached from the roots, and the other way round; what a concurrent cycle has marked
// was reached when it began.
void Collector::VerifyMarks() {
  MarkVerifier verifier(heap_.space(), heap_.table(), kinds_, marker_.options(), &large_pool_);
  // After a concurrent marking what a stack holds by a stale word need not be marked: it was dead when the cycle began.
  const bool is_concurrent = is_marking_.load(std::memory_order_relaxed);
  const bool is_snapshot = is_concurrent && !watches_pages();
  // Nor need old objects have been alive in a minor one.
  if (is_concurrent || extent_ == Extent::kMinor) verifier.AllowKept();
  marker_.set_recorder(&verifier.recorder());
  roots_.Scan(marker_, options_.debug.dropped_roots);
  ends_.AddRoots(marker_);
  world_.ForEach([&](const Standing& standing) {
    verifier.set_racing(is_snapshot || standing.state.load(std::memory_order_relaxed) == Standing::kHeld);
    AddStackRoots(standing, options_.debug.dropped_roots, marker_);
  });
  marker_.set_recorder(nullptr);
  (void)verifier.Run();
}

CycleStats Collector::stats() {
  BlockingLock lock(cycle_mutex_);
  CycleStats stats = stats_;
  stats.freed_bytes = sweeper_.freed_bytes();
  stats.dead_bytes += freed_by_hand_bytes_.load(std::memory_order_relaxed);
  stats.freed_objects += freed_by_hand_objects_.load(std::memory_order_relaxed);
  // Runs may have given back more than was taken since.
  const uint64_t taken_bytes = taken_bytes_.load(std::memory_order_relaxed);
  const uint64_t taken_objects = taken_objects_.load(std::memory_order_relaxed);
  if (taken_bytes > taken_bytes_at_stop_) stats.allocated_bytes += taken_bytes - taken_bytes_at_stop_;
  if (taken_objects > taken_objects_at_stop_) stats.allocated_objects += taken_objects - taken_objects_at_stop_;
  return stats;
}

void Collector::CheckInvariants() {
  LockIdleCycle();
  helpers_.Join();  // One may be sweeping.
  for (std::atomic<SpanPool*>& place : pools_) {
    SpanPool* row = place.load(std::memory_order_acquire);
    if (row == nullptr) continue;
    for (uint32_t number = 1; number < kSizeClassCount; ++number) row[number].CheckInvariants();
  }
  large_pool_.CheckInvariants();
  cycle_mutex_.Unlock();
}

}  // namespace acre
