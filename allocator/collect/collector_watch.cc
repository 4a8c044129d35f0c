// A cycle that marks beside mutators and asks the kernel what they wrote: see the head of collector.h.

#include "allocator/collect/collector.h"
#include "allocator/collect/pacer.h"
#include "os/check.h"
#include "os/clock.h"

namespace acre {
namespace {

constexpr uint32_t kMostFailures = 3;    // One cycle after the other; then pages are not watched any more.
constexpr uint64_t kPauseNs = 50'000;    // While arming, for those who map memory: they wait 0.25 ms at most, for 55 % more time.

}  // namespace

// Whether pages can be watched here is seen by doing it.
void Collector::OpenWatch() {
  os::Line line;
  if (heap_.space().limit_bytes() != SIZE_MAX) {
    // Chunks are mapped piece by piece then, and what lies between the pieces may be somebody else's.
    line << "pages cannot be watched under a limit of address space (ulimit -v): the world is stopped to collect";
    return line.Write();
  }
  const int error = watch_.Open();
  can_watch_.store(error == 0, std::memory_order_relaxed);
  if (error == 0) return;
  line << "pages cannot be watched (userfaultfd or PAGEMAP_SCAN: error " << error << "): the world is stopped to collect";
  line.Write();
}

// REQUIRES: the cycle's lock.
void Collector::CountWatchFailure() {
  must_renew_watch_ = true;
  if (++watch_failures_ < kMostFailures || !can_watch_.exchange(false, std::memory_order_relaxed)) return;
  os::Line line;
  line << "pages cannot be watched any more, after " << watch_failures_ << " failures: the world is stopped to collect";
  line.Write();
}

bool Collector::RenewWatch() {
  if (must_renew_watch_) watch_.Close();
  must_renew_watch_ = false;
  return watch_.Renew();
}

// What is written from now on will be found, so that marking may begin. Returns whether ends were queued, by a stopped cycle
// in its place. REQUIRES: the cycle's lock.
bool Collector::StartArming(CollectedMutator& mutator) {
  SweepAll(mutator);
  helpers_.Join();  // One has just swept the last.
  if (!RenewWatch()) {
    CountWatchFailure();
    return CollectLocked(mutator, Extent::kFull);
  }
  if (helpers_.Claim(1) == 0) return CollectLocked(mutator, Extent::kFull);
  next_extent_ = Extent::kFull;  // Should this one not come to its end.
  is_marker_wanted_.store(false, std::memory_order_relaxed);
  arming_.store(Arming::kUnderWay, std::memory_order_relaxed);
  trigger_.store(SIZE_MAX, std::memory_order_relaxed);
  helpers_.Start(&Collector::ArmInBackground, this);
  return false;
}

void Collector::ArmInBackground(void* argument, uint32_t) {
  auto& self = *static_cast<Collector*>(argument);
  const uint64_t began_ns = os::MonotonicNs();
  self.WhitenAll();
  const bool is_armed = self.watch_.Arm(
      self.keeps_marks() ? HeapWatch::Among::kOld : HeapWatch::Among::kAll,
      [](void* context) {
        auto& collector = *static_cast<Collector*>(context);
        (void)collector.marker_wanted_.Wait(kPauseNs);
        return !collector.is_marker_wanted_.load(std::memory_order_acquire);
      },
      argument);
  if (self.is_marker_wanted_.load(std::memory_order_acquire)) return;
  self.arming_ns_ = os::MonotonicNs() - began_ns;
  // Whoever allocates next begins the cycle.
  self.arming_.store(is_armed ? Arming::kDone : Arming::kFailed, std::memory_order_release);
  self.trigger_.store(0, std::memory_order_relaxed);
}

// Slots that a mutator has taken while marking are black at first: nobody but the marker writes white bits. What is stored
// there is found since their pages count as written; but a list that goes on behind such an object is not followed until the
// next round, and this one is kept if it dies. So the marker makes them white as soon as it can. A note that finds no memory is
// no loss.
void Collector::NoteBirths(const SlotSet& slots) {
  uint64_t notes[2 * kLineWords];
  size_t count = 0;
  ForEachSlotWord(slots, [&](uint64_t*, uint64_t* white_word, uint64_t mask) {
    notes[count++] = reinterpret_cast<uintptr_t>(white_word);
    notes[count++] = mask;
  });
  births_.Add(notes, count);
}

// Of who marks.
void Collector::WhitenBirths() {
  (void)births_.Take([](const uint64_t* base, const uint64_t* limit) {
    for (; base != limit; base += 2) {
      auto* const white_word = reinterpret_cast<uint64_t*>(base[0]);
      __atomic_store_n(white_word, __atomic_load_n(white_word, __ATOMIC_RELAXED) | base[1], __ATOMIC_RELAXED);
    }
  });
}

// A round, when all is marked. False: it is time for the stop.
bool Collector::MarkWritten() {
  if (is_watch_lost_) return false;
  const uint64_t now_ns = os::MonotonicNs();
  const uint32_t slowing = slowing_.load(std::memory_order_relaxed);
  const size_t few_pages = FewPages(options_.pause_target_us, written_page_ns_);
  switch (PlanRound(round_, now_ns - round_.began_ns, ShortRoundNs(options_.pause_target_us), few_pages, slowing)) {
    case AfterRound::kStop: return false;
    case AfterRound::kRound: break;
    case AfterRound::kSlowerRound: Slow(slowing + 1); break;
  }
  size_t pages = 0;
  bool are_few = false;
  const bool is_minor = extent_ == Extent::kMinor;
  if (is_minor) {
    is_watch_lost_ = !ScanWritten(HeapWatch::Among::kOld, os::PageWatch::Then::kArm, &pages);
  } else {
    // What is not armed counts as written the next time: where nothing is marked nothing is missed, and who allocates there has no
    // fault for it. A few pages may as well be found again, in the stop: arming them costs mutators and the marker more.
    is_watch_lost_ = !watch_.CountWritten(&pages);
    are_few = pages <= few_pages;
    const uint64_t counted_ns = os::MonotonicNs();
    const os::PageWatch::Then then = are_few ? os::PageWatch::Then::kLeave : os::PageWatch::Then::kArm;
    if (!is_watch_lost_) is_watch_lost_ = !ScanWritten(HeapWatch::Among::kMarked, then, &pages);
    if (are_few) {
      const uint64_t scan_ns = os::MonotonicNs() - counted_ns;
      const uint64_t ask_ns = counted_ns - now_ns;
      written_page_ns_ = WrittenPageNs(written_page_ns_, pages, scan_ns < ask_ns ? 0 : scan_ns - ask_ns);
    } else {
      written_page_ns_ = ForgottenPageNs(written_page_ns_);
    }
  }
  if (is_minor && attempts_ == 0 && round_.began_ns == 0) stats_.written_bytes = pages * os::OsPageBytes();
  round_ = {.count = round_.count + 1, .began_ns = now_ns, .pages = pages, .left = are_few ? pages : 0, .pages_before = round_.pages};
  return true;
}

void Collector::Slow(uint32_t slowing) {
  slowing_.store(slowing, std::memory_order_relaxed);
  // Those who allocate look at once; where it is ready they do already, and the trigger stays 0.
  if (!is_ready_to_end_.load(std::memory_order_relaxed)) SetPaceStep();
}

// Marked objects on pages that were written are grey once more. `*pages`: of the OS. False: it is not known which.
bool Collector::ScanWritten(HeapWatch::Among among, os::PageWatch::Then then, size_t* pages) {
  if (options_.debug.dropped_roots.Has(os::RootSource::kPages)) return true;
  struct Call {
    Collector& collector;
    size_t bytes = 0;
    LargePool::HugeView traced{};  // A huge object with a trace function: traced when all its pages have been asked for.

    void Trace() {
      if (traced.base == 0) return;
      const uintptr_t limit = traced.base + traced.bytes;
      collector.marker_.ScanWrittenPart(
          {.object = traced.base, .object_bytes = traced.bytes, .kind = traced.kind, .base = traced.base, .limit = limit});
      traced = {};
    }
  } call{*this};
  const bool is_known = watch_.Scan(among, then, &call, [](void* context, uintptr_t base, uintptr_t limit) {
    auto& asked = *static_cast<Call*>(context);
    Collector& collector = asked.collector;
    asked.bytes += limit - base;
    // Objects that were born before what points to them was written: they must be white by now, and their chunks known.
    collector.WhitenBirths();
    collector.marker_.NoteNewChunks();
    if (base - asked.traced.base < asked.traced.bytes) return;
    asked.Trace();
    if (collector.heap_.table().IsChunk(base)) return collector.marker_.ScanWritten(base, limit);
    const LargePool::HugeView huge = collector.large_pool_.FindHuge(base);
    if (huge.base == 0 || !huge.is_marked) return;
    if (FormOf(huge.kind) == TraceForm::kFunction) {
      asked.traced = huge;
      return;
    }
    collector.marker_.ScanWrittenPart(
        {.object = huge.base, .object_bytes = huge.bytes, .kind = huge.kind, .base = base, .limit = limit});
  });
  call.Trace();
  *pages = call.bytes / os::OsPageBytes();
  return is_known;
}

// What the next cycle may look at. REQUIRES: the cycle's lock; everything is swept, nothing is being marked.
Extent Collector::PlannedExtent() const {
  const bool can_be_minor = next_extent_ == Extent::kMinor && can_watch_.load(std::memory_order_relaxed) &&
                            !must_renew_watch_ && !put_off_.has_lost() && !limit_.is_near.load(std::memory_order_relaxed) &&
                            watch_.IsIntact();
  return can_be_minor ? Extent::kMinor : Extent::kFull;
}

// Before a full cycle beside mutators, which allocate meanwhile.
void Collector::WhitenAll() {
  if (!keeps_marks()) return;
  large_pool_.Whiten();
  for (std::atomic<SpanPool*>& place : pools_) {
    SpanPool* row = place.load(std::memory_order_acquire);
    if (row == nullptr) continue;
    for (uint32_t number = 1; number < kSizeClassCount; ++number) row[number].Whiten();
  }
}

// At the end of a cycle, in its stop: so that a minor one need not look again at all that has become old. 10 ms a GiB of that.
bool Collector::ArmOld(HeapWatch::Among among) {
  if (RenewWatch() && watch_.Arm(among, [](void*) { return true; }, nullptr)) return true;
  CountWatchFailure();
  return false;
}

MarkCount Collector::CountKeptMarks() {
  MarkCount count = large_pool_.CountMarkedLarge();
  for (std::atomic<SpanPool*>& place : pools_) {
    SpanPool* row = place.load(std::memory_order_acquire);
    if (row == nullptr) continue;
    for (uint32_t number = 1; number < kSizeClassCount; ++number) {
      const MarkCount marked = row[number].CountMarked();
      count.objects += marked.objects;
      count.bytes += marked.bytes;
    }
  }
  world_.ForEach([&](const Standing& standing) {
    static_cast<const CollectedMutator&>(standing).ForEachUnused([&](uint32_t number, SizeClass size_class, const SlotSet& unused) {
      if (!pools_[number].load(std::memory_order_acquire)[size_class].IsAside(unused.span)) return;
      count.objects -= unused.count();
      count.bytes -= size_t{unused.count()} * kSizeClasses[size_class].slot_bytes;
    });
  });
  return count;
}

// Where marks are kept, at the end of a cycle.
NextCycle Collector::PlanWithMinor(size_t reached_bytes, size_t growth_bytes) {
  const size_t allocated = allocated_bytes_.load(std::memory_order_relaxed);
  const size_t held = heap_.page_heap().used_bytes() + heap_.page_heap().huge_bytes();
  const NextCycle full{.is_minor = false, .goal_bytes = GoalFor(growth_bytes, born_bytes_)};
  if (extent_ == Extent::kFull) {
    old_ = {.live_bytes = reached_bytes, .held_bytes = 0, .growth_bytes = growth_bytes};
    if (minor_costs_.allocated != 0) dear_minors_ = 0;  // They were worth it until this one was due.
    minor_costs_ = {};
    reached_before_ = reached_bytes;
    if (!can_watch_.load(std::memory_order_relaxed)) return full;
    if (full_cycles_left_ != 0 && --full_cycles_left_ != 0) return full;
    // Beside mutators all was armed before, or in rounds, but for a few pages.
    if (!is_marking_.load(std::memory_order_relaxed) && !ArmOld(HeapWatch::Among::kMarked)) return full;
    return {.is_minor = true, .goal_bytes = nursery_bytes_ = NextNursery(0, MinorTime::kShort, reached_bytes, 2 * options_.min_trigger_bytes)};
  }
  ++stats_.minor_cycles;
  if (old_.held_bytes == 0) old_.held_bytes = held < allocated ? 1 : held - allocated;
  const size_t became_old = reached_bytes > reached_before_ ? reached_bytes - reached_before_ : 0;
  const size_t died = became_old < allocated ? allocated - became_old : 0;
  reached_before_ = reached_bytes;
  minor_costs_.allocated += allocated;
  minor_costs_.became_old += became_old;
  minor_costs_.written += stats_.written_bytes;
  const size_t room = RoomUntilFull(old_, held < died ? 0 : held - died);
  if (AreMinorsTooDear(minor_costs_, old_.growth_bytes)) {
    minor_costs_ = {};
    full_cycles_left_ = FullCyclesAfter(dear_minors_++);
    return {.is_minor = false, .goal_bytes = room < nursery_bytes_ ? nursery_bytes_ : room};
  }
  nursery_bytes_ = NextNursery(nursery_bytes_, TimeOf(stats_.last_marking_ns, options_.pause_target_us), old_.live_bytes,
                               options_.min_trigger_bytes);
  const size_t runway =
      CanMarkConcurrently() ? RunwayWithMinors(allocation_rate_, pace_.marking_ns, old_.growth_bytes) : 0;
  const NextCycle next = PlanAfterMinor(room, nursery_bytes_, runway);
  return next.is_minor && !ArmOld(HeapWatch::Among::kNew) ? full : next;
}

// In the stop. Should it not be the last, what was written is known: what it leads to may be marked before it is time for another.
void Collector::FindLastWritten() {
  WhitenBirths();
  world_.ForEach([](const Standing& standing) { HideUnused(static_cast<const CollectedMutator&>(standing)); });
  marker_.NoteNewChunks();
  size_t pages = 0;
  (void)marker_.TakeWrittenRounds();
  if (!is_watch_lost_) is_watch_lost_ = !ScanWritten(HeapWatch::Among::kAll, os::PageWatch::Then::kLeave, &pages);
  round_ = {.count = 1, .began_ns = os::MonotonicNs(), .pages = pages, .left = pages, .pages_before = 0};
  ScanRoots();
}

// A stop was not the last: what is not handed out can be found again.
void Collector::RestoreUnused() {
  world_.ForEach([](const Standing& standing) {
    static_cast<const CollectedMutator&>(standing).ForEachUnused([](uint32_t, SizeClass, const SlotSet& unused) {
      ForEachSlotWord(unused, [](uint64_t* alloc_word, uint64_t* white_word, uint64_t mask) {
        *alloc_word |= mask;
        *white_word |= mask;
      });
    });
  });
}

}  // namespace acre
