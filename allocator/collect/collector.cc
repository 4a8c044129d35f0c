#include "allocator/collect/collector.h"

#include <new>

#include "allocator/base/bits.h"
#include "allocator/collect/clobber.h"
#include "allocator/collect/mark_bits.h"
#include "allocator/collect/mark_verifier.h"
#include "allocator/collect/stack_roots.h"
#include "allocator/collect/trigger.h"
#include "arch/context.h"
#include "arch/memory.h"
#include "os/check.h"
#include "os/clock.h"
#include "os/environment.h"
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
// A heap that holds less is collected without helpers; see docs/marking.md.
constexpr size_t kHelpedBytes = 32 * kMiB;
constexpr size_t kLonelyRounds = 1000;  // About a millisecond.

Freed FreedIn(const CollectorOptions& options) {
  return options.debug.clobbers_freed ? Freed::kClobbered : Freed::kLeft;
}

// Calls visit(words, first, slots) for the slots of a run that were not handed out.
template <class Visit>
void ForUnused(const Run& run, SizeClass size_class, Visit visit) {
  if (run.cursor == run.end) return;
  Chunk* chunk = ChunkOf(run.cursor);
  const Span* span = SpanOfPage(chunk, PageOf(run.cursor));
  const SizeClassInfo& info = kSizeClasses[size_class];
  visit(span, SlotAt(info, static_cast<uint32_t>(run.cursor - BaseOf(span))),
        static_cast<uint32_t>((run.end - run.cursor) / info.slot_bytes));
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
    : heap_(heap), options_(options), world_(options.stop_signal),
      large_pool_(heap.page_heap(), heap.huge_list(), heap.metadata(), FreedIn(options)),
      ends_(heap.metadata(), heap.space(), heap.table(), large_pool_),
      marker_(heap.space(), heap.table(), kinds_,
              MarkerOptions{.end_pointers = options.end_pointers,
                            .value_format = options.value_format,
                            .huge_objects = large_pool_.huge_objects()}),
      trigger_(options.min_trigger_bytes) {
  heap_.set_huge_page_threshold(options_.huge_page_threshold_bytes);
}

Collector::~Collector() {
  if (fork_.is_added) os::ForkUsers::Remove(fork_);
}

bool Collector::Prepare() {
  heap_.page_heap().set_limit_bytes(options_.hard_limit_bytes);
  return marker_.Prepare(1) == Status::kOk && AddForkUser();
}

bool Collector::Attach(CollectedMutator& mutator) { return world_.Attach(mutator); }

void Collector::Detach(CollectedMutator& mutator) {
  {
    Region region(mutator);
    mutator.ForEachRun([this](uint32_t number, SizeClass size_class, Run& run) {
      if (run.cursor == run.end) return;
      taken_bytes_.fetch_sub(run.end - run.cursor, std::memory_order_relaxed);
      taken_objects_.fetch_sub((run.end - run.cursor) / kSizeClasses[size_class].slot_bytes, std::memory_order_relaxed);
      size_t freed = 0;
      SpanPool& pool = pools_[number].load(std::memory_order_acquire)[size_class];
      pool.GiveBack(heap_.page_heap(), {run.cursor, run.end}, &freed);
      if (freed != 0) sweeper_.AddFreed(freed);
      run = Run();
    });
    for (uint32_t number = 0; number < kMaxKinds; ++number) {
      if (!mutator.HasRow(number)) continue;
      heap_.metadata().Free(mutator.rows[number], kSizeClassCount * sizeof(Run));
      mutator.rows[number] = const_cast<Run*>(kNoRuns);
    }
  }
  world_.Detach(mutator);
}

void* Collector::AllocateSlow(CollectedMutator& mutator, Kind kind, size_t bytes) {
  if (bytes > static_cast<size_t>(PTRDIFF_MAX)) return nullptr;
  if (bytes <= kMaxSmallBytes && options_.debug.stress_allocations == 0) [[likely]] {
    // The most frequent case: the run has slots left that are not cleared yet. As on the inline path no region is needed.
    const SizeClass size_class = ClassForSize(bytes);
    Run& run = mutator.rows[NumberOf(kind)][size_class];
    if (run.limit != run.end) [[likely]] return BumpCleared(run, size_class);
  }
  const uint64_t cycles = cycles_.load(std::memory_order_acquire);
  if (IsDue()) CollectIf(mutator, cycles);
  if (options_.debug.stress_allocations != 0) [[unlikely]] CollectForStress(mutator);
  if (void* object = TryAllocate(mutator, kind, bytes)) [[likely]] return object;
  for (;;) {
    CollectIf(mutator, cycles_.load(std::memory_order_acquire));
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
  void* object = large_pool_.Allocate(kind, bytes, &is_zeroed, &taken);
  if (object == nullptr) return nullptr;
  allocated_bytes_.fetch_add(taken, std::memory_order_relaxed);
  taken_bytes_.fetch_add(taken, std::memory_order_relaxed);
  taken_objects_.fetch_add(1, std::memory_order_relaxed);
  if (!is_zeroed) arch::Clear(object, taken);
  return object;
}

// The next slot of the class: from the run there is, or from a new one.
void* Collector::Refill(CollectedMutator& mutator, Kind kind, SizeClass size_class) {
  Region region(mutator);
  Run* run = RunOf(mutator, kind, size_class);
  SpanPool* pool = Pool(kind, size_class);
  if (run == nullptr || pool == nullptr) return nullptr;
  if (run->limit == run->end) {
    const size_t twice = 2 * run->most_bytes;
    const size_t wanted = twice == 0 ? kFirstRunBytes : twice < kMaxRunBytes ? twice : kMaxRunBytes;
    size_t freed = 0;
    Room room;
    if (!sweeper_.is_done()) {
      room = pool->Take(heap_.page_heap(), wanted, SpanPool::Growth::kRefused, &freed);
      if (room.bytes() == 0) sweeper_.Reclaim(size_t{kSizeClasses[size_class].span_pages} * kPageBytes);
    }
    if (room.bytes() == 0) room = pool->Take(heap_.page_heap(), wanted, SpanPool::Growth::kAllowed, &freed);
    if (freed != 0) sweeper_.AddFreed(freed);
    if (room.bytes() == 0) return nullptr;
    allocated_bytes_.fetch_add(room.bytes(), std::memory_order_relaxed);
    taken_bytes_.fetch_add(room.bytes(), std::memory_order_relaxed);
    taken_objects_.fetch_add(room.bytes() / kSizeClasses[size_class].slot_bytes, std::memory_order_relaxed);
    *run = {.cursor = room.base, .limit = room.base, .end = room.limit, .most_bytes = wanted};
  }
  return BumpCleared(*run, size_class);
}

// Clears some more of a run whose cleared part is used up, and takes a slot of it.
void* Collector::BumpCleared(Run& run, SizeClass size_class) {
  const size_t slot_bytes = kSizeClasses[size_class].slot_bytes;
  const bool is_stressed = options_.debug.stress_allocations != 0;
  const size_t piece = slot_bytes < kClearBytes && !is_stressed ? kClearBytes / slot_bytes * slot_bytes : slot_bytes;
  const size_t bytes = piece < run.end - run.limit ? piece : run.end - run.limit;
  if (options_.debug.clobbers_freed) [[unlikely]] CheckClobbered(run.limit, bytes, slot_bytes);
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
    for (uint32_t number = 0; number < kSizeClassCount; ++number) {
      new (&fresh[number]) SpanPool(static_cast<SizeClass>(number), kind, FreedIn(options_));
    }
    if (place.compare_exchange_strong(row, fresh, std::memory_order_acq_rel)) {
      row = fresh;
    } else {
      heap_.metadata().Free(memory, kBytes);
    }
  }
  return &row[size_class];
}

Run* Collector::RunOf(CollectedMutator& mutator, Kind kind, SizeClass size_class) {
  Run*& row = mutator.rows[NumberOf(kind)];
  if (!mutator.HasRow(NumberOf(kind))) {
    void* memory = heap_.metadata().Allocate(kSizeClassCount * sizeof(Run));
    if (memory == nullptr) return nullptr;
    auto* fresh = static_cast<Run*>(memory);
    for (uint32_t number = 0; number < kSizeClassCount; ++number) new (&fresh[number]) Run();
    row = fresh;
  }
  return &row[size_class];
}

void Collector::Collect(CollectedMutator& mutator) { CollectIf(mutator, UINT64_MAX); }

// A cycle, unless another thread has ended one since `cycles_seen` cycles had ended.
void Collector::CollectIf(CollectedMutator& mutator, uint64_t cycles_seen) {
  EnsureHelpers(mutator);
  bool has_queued_ends;
  {
    BlockingLock lock(cycle_mutex_);
    if (cycles_seen != UINT64_MAX && cycles_.load(std::memory_order_relaxed) != cycles_seen) return;
    has_queued_ends = CollectLocked(mutator);
    if (cycles_seen == UINT64_MAX || options_.debug.clobbers_freed) SweepAll(mutator);
  }
  if (has_queued_ends) ends_.Notify();
}

// Returns whether it queued finalizers or cleanups.
bool Collector::CollectLocked(CollectedMutator& mutator) {
  SweepAll(mutator);
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
  if (helpers_.Claim(1) != 0) helpers_.Start(&Collector::SweepInBackground, this);
  return call.has_queued_ends;
}

// Before the world is stopped, and without a lock.
void Collector::EnsureHelpers(CollectedMutator& mutator) {
  if (!options_.background) return;
  {
    Region region(mutator);
    if (heap_.page_heap().used_bytes() + heap_.huge_list().stats().bytes < kHelpedBytes) return;
  }
  uint32_t workers = mark_workers_.load(std::memory_order_relaxed);
  if (workers == 0) {
    workers = options_.mark_workers == 0 ? os::CpuCount() : options_.mark_workers;
    if (workers > kMaxMarkers) workers = kMaxMarkers;
    const char* switched = os::EnvironmentValue("ACRE_BACKGROUND");
    if (switched != nullptr && switched[0] == '0') workers = kNoThreads;
    mark_workers_.store(workers, std::memory_order_relaxed);
  }
  if (workers == kNoThreads) return;
  // One at least: it sweeps.
  helpers_.Ensure(workers == 1 ? 1 : workers - 1);
}

bool Collector::Cycle(CollectedMutator& mutator, uintptr_t stack_pointer) {
  const uint64_t began_ns = os::MonotonicNs();
  const uint32_t workers = mark_workers_.load(std::memory_order_relaxed);
  if (workers <= kMaxMarkers) (void)marker_.Prepare(workers);  // Fewer if there is no memory for them.
  mutator.frame = nullptr;
  mutator.stack_pointer = stack_pointer;
  mutator.fake_stack = os::CurrentFakeStack();
  mutator.alternate_limit = 0;
  os::MutexLock roots_lock(roots_.mutex());
  os::MutexLock ends_lock(ends_.mutex());
  Laps laps;
  world_.StopOthers(&mutator);
  mutator.is_collecting = true;
  stats_.last_stopping_ns = laps.Next();
  world_.ForEach([this](Standing& standing) { HideRuns(static_cast<CollectedMutator&>(standing)); });
  ClearMarks(heap_.table());
  large_pool_.ClearMarks();
  stats_.last_clearing_ns = laps.Next();
  marker_.Begin();
  ScanRoots();
  stats_.root_bytes = marker_.root_bytes();
  (void)laps.Next();
  const uint64_t cpu_ns = os::ProcessCpuNs();
  stats_.last_markers = Mark();
  if (options_.debug.verifies_marks) [[unlikely]] VerifyMarks();  // Ends mark more.
  const bool has_queued_ends = ends_.Decide(marker_);
  marker_.Finish();
  stats_.last_marking_cpu_ns = os::ProcessCpuNs() - cpu_ns;
  stats_.mark_cpu_ns += stats_.last_marking_cpu_ns;
  stats_.last_marking_ns = laps.Next();
  const MarkCount count = CountMarks(heap_.table());
  stats_.last_counting_ns = laps.Next();
  world_.ForEach([this](Standing& standing) { KeepRuns(static_cast<CollectedMutator&>(standing)); });
  sweeper_.Begin();

  stats_.live_bytes = count.bytes + large_pool_.marked_huge_bytes();
  stats_.live_objects = count.objects + large_pool_.marked_huge_objects();
  CountAtStop(stats_.live_bytes, stats_.live_objects);
  trigger_.store(TriggerFor(stats_.live_bytes, stats_.root_bytes, options_.gc_percent, options_.min_trigger_bytes),
                 std::memory_order_relaxed);
  allocated_bytes_.store(0, std::memory_order_relaxed);
  stats_.cycles = cycles_.fetch_add(1, std::memory_order_release) + 1;
  stats_.last_stop_ns = os::MonotonicNs() - began_ns;
  stats_.stops.Add(stats_.last_stop_ns);
  stats_.longest_stop_ns = stats_.stops.longest_ns;
  mutator.is_collecting = false;
  world_.ResumeOthers(&mutator);
  return has_queued_ends;
}

// What was allocated until now is known here, since it is known what runs have left; so what has died is the rest.
void Collector::CountAtStop(size_t live_bytes, size_t live_objects) {
  uint64_t unused_bytes = 0;
  uint64_t unused_objects = 0;
  world_.ForEach([&](Standing& standing) {
    static_cast<CollectedMutator&>(standing).ForEachRun([&](uint32_t, SizeClass size_class, const Run& run) {
      unused_bytes += run.end - run.cursor;
      unused_objects += (run.end - run.cursor) / kSizeClasses[size_class].slot_bytes;
    });
  });
  taken_bytes_at_stop_ = taken_bytes_.load(std::memory_order_relaxed);
  taken_objects_at_stop_ = taken_objects_.load(std::memory_order_relaxed);
  stats_.allocated_bytes = taken_bytes_at_stop_ - unused_bytes;
  stats_.allocated_objects = taken_objects_at_stop_ - unused_objects;
  stats_.dead_bytes = stats_.allocated_bytes - live_bytes;
  stats_.freed_objects = stats_.allocated_objects - live_objects;
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
  helpers_.Start([](void* marker, uint32_t number) { static_cast<Marker*>(marker)->Work(number); }, &marker_);
  marker_.Work(0);
  helpers_.Join();
  return others + 1;
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

void Collector::SweepInBackground(void* self, uint32_t) {
  auto* collector = static_cast<Collector*>(self);
  for (bool has_more = true; has_more;) {
    os::MutexLock lock(collector->helpers_.work_mutex());
    has_more = collector->sweeper_.SweepSome(kBackgroundSweepStep);
  }
}

// While marking, what a run has not handed out is no object.
void Collector::HideRuns(CollectedMutator& mutator) {
  mutator.ForEachRun([](uint32_t, SizeClass size_class, Run& run) {
    ForUnused(run, size_class, [](const Span* span, uint32_t first, uint32_t slots) {
      ClearBits(AllocBitsOf(span), first, slots);
    });
  });
}

// Sweeping leaves it to its run.
void Collector::KeepRuns(CollectedMutator& mutator) {
  mutator.ForEachRun([](uint32_t, SizeClass size_class, Run& run) {
    ForUnused(run, size_class, [](const Span* span, uint32_t first, uint32_t slots) {
      SetBits(AllocBitsOf(span), first, slots);
    });
  });
}

void Collector::ScanRoots() {
  roots_.Scan(marker_, options_.debug.dropped_roots);
  ends_.AddRoots(marker_);
  world_.ForEach([this](const Standing& standing) { AddStackRoots(standing, options_.debug.dropped_roots, marker_); });
}

// Everything that is marked by now was reached from the roots, and the other way round.
void Collector::VerifyMarks() {
  MarkVerifier verifier(heap_.space(), heap_.table(), kinds_, marker_.options(), &large_pool_);
  marker_.set_recorder(&verifier.recorder());
  roots_.Scan(marker_, options_.debug.dropped_roots);
  ends_.AddRoots(marker_);
  world_.ForEach([&](const Standing& standing) {
    verifier.set_racing(standing.state.load(std::memory_order_relaxed) == Standing::kHeld);
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
  os::MutexLock lock(cycle_mutex_);
  helpers_.Join();  // One may be sweeping.
  for (std::atomic<SpanPool*>& place : pools_) {
    SpanPool* row = place.load(std::memory_order_acquire);
    if (row == nullptr) continue;
    for (uint32_t number = 1; number < kSizeClassCount; ++number) row[number].CheckInvariants();
  }
  large_pool_.CheckInvariants();
}

}  // namespace acre
