// A cycle that marks beside mutators: see the head of collector.h. What is of watching pages alone is in collector_watch.cc.

#include <cstring>

#include "allocator/collect/collector.h"
#include "allocator/collect/pacer.h"
#include "allocator/collect/resolve.h"
#include "arch/context.h"
#include "os/clock.h"

namespace acre {
namespace {

constexpr size_t kPieceRounds = 256;      // Between two looks whether the marker is wanted, or shades have come.
constexpr uint32_t kMaxAttempts = 4;      // Then it marks whatever there is.
constexpr uint64_t kPollNs = 1'000'000;   // Shades that come when all was marked wait so long; longer while none come,
constexpr uint64_t kMaxPollNs = 128'000'000;  // up to this.
constexpr size_t kFewPages = 64;          // So many written in a round change no estimate.
constexpr uint32_t kMaxAskedRounds = 4;   // Of the helper, before a stop that comes late.

}  // namespace

bool Collector::CanMarkConcurrently() const {
  if (!options_.background || helpers_.count() == 0) return false;
  switch (options_.tracker) {
    case Tracker::kStopped: return false;
    case Tracker::kBarrier: return !is_concurrent_forbidden_.load(std::memory_order_relaxed);
    case Tracker::kPages: return can_watch_.load(std::memory_order_relaxed);
  }
  return false;
}

void Collector::ShadeWord(CollectedMutator& mutator, uint64_t word) {
  if (word == 0 || options_.debug.dropped_roots.Has(os::RootSource::kBarrier)) return;
  mutator.shades[mutator.shade_count++] = word;
  if (mutator.shade_count < CollectedMutator::kMaxShades) return;
  // Most of what is overwritten is black, or no pointer: the marker hears of the rest only, and so comes to an end however
  // fast mutators write.
  uint32_t kept = 0;
  for (const uint64_t shade : mutator.shades) {
    mutator.shades[kept] = shade;
    kept += IsNews(shade) ? 1 : 0;
  }
  if (kept != 0) shades_.Add(mutator.shades, kept);
  mutator.shade_count = 0;
}

// Whether the word may mean an object that is not marked yet. White bits are only taken while marking.
bool Collector::IsNews(uint64_t word) const {
  const ValueFormat& format = options_.value_format;
  const auto is_white = [this](uint64_t pointer) {
    Resolved resolved;
    if (Resolve(heap_.table(), pointer, &resolved)) {
      return (__atomic_load_n(resolved.white_word, __ATOMIC_RELAXED) & resolved.white_mask) != 0;
    }
    return IsHuge(heap_.table().Use(pointer));
  };
  if (is_white(word)) return true;
  if (format.tag_mask != 0 && (word & format.tag_mask) == format.tag &&
      is_white((word ^ format.tag_xor) & format.tag_and)) {
    return true;
  }
  return options_.end_pointers == EndPointers::kCount && word % kSlotAlignment == 0 && is_white(word - 1);
}

void Collector::ShadeOverwritten(CollectedMutator& mutator, const uint64_t* fields, size_t count) {
  for (size_t i = 0; i < count; ++i) ShadeWord(mutator, __atomic_load_n(&fields[i], __ATOMIC_RELAXED));
}

// What an allocation does that finds a cycle due.
void Collector::CollectBeside(CollectedMutator& mutator, uint64_t cycles_seen) {
  if (is_marking_.load(std::memory_order_acquire) && !is_ready_to_end_.load(std::memory_order_acquire)) return KeepPace(mutator);
  EnsureHelpers(mutator);
  if (!is_marking_.load(std::memory_order_acquire) && !CanMarkConcurrently()) return CollectIf(mutator, cycles_seen);
  bool has_queued_ends = false;
  {
    BlockingLock lock(cycle_mutex_);
    if (cycles_.load(std::memory_order_relaxed) != cycles_seen) return;
    const Arming arming = arming_.load(std::memory_order_acquire);
    if (is_marking_.load(std::memory_order_relaxed)) {
      if (!is_ready_to_end_.load(std::memory_order_acquire)) return;
      if (!AsksForRound()) has_queued_ends = EndBeside(&mutator, Attempt::kWithBudget);
    } else if (arming == Arming::kUnderWay || !IsDue()) {
      return;
    } else if (watches_pages() && arming == Arming::kNone) {
      extent_ = PlannedExtent();
      // Old pages are armed already.
      has_queued_ends = extent_ == Extent::kFull ? StartArming(mutator) : BeginBeside(mutator);
    } else if (arming == Arming::kFailed) {
      arming_.store(Arming::kNone, std::memory_order_relaxed);
      CountWatchFailure();
      has_queued_ends = CollectLocked(mutator, Extent::kFull);
    } else {
      arming_.store(Arming::kNone, std::memory_order_relaxed);
      has_queued_ends = BeginBeside(mutator);
    }
    has_queued_ends |= TakeUnnoticedEnds();
  }
  Scavenge(mutator);
  if (has_queued_ends) ends_.Notify();
}

// At each step of allocation, by the thread that comes to it.
void Collector::KeepPace(CollectedMutator& mutator) {
  struct Call {
    os::Event& ready;
    uint64_t delay_ns;
  } call{ready_to_end_, 0};
  {
    Region region(mutator);
    if (!is_marking_.load(std::memory_order_relaxed)) return;
    const size_t allocated = allocated_bytes_.load(std::memory_order_relaxed);
    size_t step = trigger_.load(std::memory_order_relaxed);
    // The marker may become ready meanwhile: then the trigger is 0 and stays so.
    if (step == 0 || allocated < step) return;
    const uint32_t slowing = slowing_.load(std::memory_order_relaxed);
    const size_t next_step = allocated + PaceStep(pace_.room_bytes, slowing);
    if (!trigger_.compare_exchange_strong(step, next_step, std::memory_order_relaxed)) return;
    const size_t used = allocated < allocated_at_snapshot_ ? 0 : allocated - allocated_at_snapshot_;
    call.delay_ns = PaceDelayNs(pace_, used,
                                scanned_objects_.load(std::memory_order_relaxed) - scanned_at_snapshot_);
    if (slowing != 0) {
      const uint64_t slowing_ns = SlowingDelayNs(slowing, os::MonotonicNs() - mutator.ran_since_ns);
      if (slowing_ns > call.delay_ns) call.delay_ns = slowing_ns;
    }
    if (call.delay_ns != 0) call.delay_ns = WaitAtLimit(call.delay_ns);
  }
  if (call.delay_ns == 0) return;
  World::WaitAsStopped(
      [](void* argument) {
        auto& [ready, delay_ns] = *static_cast<Call*>(argument);
        (void)ready.Wait(delay_ns);
      },
      &call);
  mutator.ran_since_ns = os::MonotonicNs();
}

// REQUIRES: the cycle's lock. Who asks calls Notify.
bool Collector::TakeUnnoticedEnds() {
  const bool has_unnoticed_ends = has_unnoticed_ends_;
  has_unnoticed_ends_ = false;
  return has_unnoticed_ends;
}

// Locks the cycle, with nothing being marked.
void Collector::LockIdleCycle() {
  World::Lock(cycle_mutex_);
  EndMarkingBeside();
}

// REQUIRES: the cycle's lock.
void Collector::EndMarkingBeside() {
  if (arming_.load(std::memory_order_relaxed) != Arming::kNone) {
    StopMarkingBeside();
    arming_.store(Arming::kNone, std::memory_order_relaxed);
    trigger_.store(0, std::memory_order_relaxed);
  }
  if (!is_marking_.load(std::memory_order_relaxed)) return;
  if (EndBeside(OfThisThread(), Attempt::kWhateverItTakes)) has_unnoticed_ends_ = true;
}

// Returns whether ends were queued, by a stopped cycle in its place: there may be no helper.
bool Collector::BeginBeside(CollectedMutator& mutator) {
  SweepAll(mutator);
  helpers_.Join();  // One has just swept the last.
  if (helpers_.Claim(1) == 0) return CollectLocked(mutator, PlannedExtent());
  struct Call {
    Collector& collector;
    CollectedMutator& mutator;
    Began began;
    bool has_queued_ends;
  } call{*this, mutator, Began::kNot, false};
  arch::WithSpilledRegisters(
      [](void* argument, uintptr_t stack_pointer) {
        auto& [collector, self, began, has_queued_ends] = *static_cast<Call*>(argument);
        began = collector.TakeSnapshot(self, stack_pointer, &has_queued_ends);
      },
      &call);
  switch (call.began) {
    case Began::kNot:
      helpers_.Start([](void*, uint32_t) {}, nullptr);  // Whom one has claimed one must give a job.
      helpers_.Join();
      return CollectLocked(mutator, Extent::kFull);
    case Began::kBeside: StartMarkingBeside(); break;
    case Began::kAndEnded: helpers_.Start(&Collector::SweepInBackground, this); break;
  }
  return call.has_queued_ends;
}

// kNot: mutators have come to have stacks that nobody can watch. kAndEnded: a minor cycle that was as short as its stop may be.
Collector::Began Collector::TakeSnapshot(CollectedMutator& mutator, uintptr_t stack_pointer, bool* has_queued_ends) {
  const uint64_t began_ns = os::MonotonicNs();
  StopForCycle(&mutator, stack_pointer);
  if (!watches_pages() && is_concurrent_forbidden_.load(std::memory_order_relaxed)) {
    ResumeAfterCycle(&mutator);
    return Began::kNot;
  }
  NoteAllocationRate();
  if (watches_pages()) {
    // What is not handed out yet can be found until the last stop: it has nothing that leads astray, since what is traced by
    // a function was cleared when it was taken.
    if (extent_ == Extent::kFull) {
      ForgetMarks();
    } else {
      arming_ns_ = 0;
    }
    marker_.Begin();
    round_ = {};
    slowing_.store(0, std::memory_order_relaxed);
    is_watch_lost_ = false;
  } else {
    BeginMarking();
  }
  stats_.last_markers = 1;
  stats_.last_marking_cpu_ns = 0;
  stats_.last_marking_ns = 0;
  marker_.set_beside(true);
  if (extent_ == Extent::kMinor && MayEndInOneStop(stats_.written_bytes, options_.pause_target_us) && MarksMinorAtOnce()) {
    born_bytes_ = 0;
    *has_queued_ends = EndMarking();
    CountStop(began_ns);
    ResumeAfterCycle(&mutator);
    return Began::kAndEnded;
  }
  is_marking_beside_.store(true, std::memory_order_relaxed);
  ScanRoots();
  stats_.root_bytes = marker_.root_bytes();
  attempts_ = 0;
  asked_rounds_ = 0;
  dry_ns_ = 0;
  has_estimate_ = false;
  allocated_at_snapshot_ = allocated_bytes_.load(std::memory_order_relaxed);
  pace_.room_bytes = RoomFor(goal_bytes_, allocated_at_snapshot_);
  if (limit_.is_near.load(std::memory_order_relaxed)) pace_.room_bytes = RoomWithinLimit(ViewLimit(), pace_.room_bytes);
  if (!watches_pages()) {
    world_.ForEach([](Standing& standing) {
      KeepRuns(static_cast<CollectedMutator&>(standing));
      standing.barrier.store(1, std::memory_order_relaxed);
    });
  }
  is_marking_.store(true, std::memory_order_release);
  CountStop(began_ns);
  ResumeAfterCycle(&mutator);
  return Began::kBeside;
}

// Claimed helpers begin to mark. REQUIRES: the cycle's lock.
void Collector::StartMarkingBeside() {
  is_marker_wanted_.store(false, std::memory_order_relaxed);
  is_ready_to_end_.store(false, std::memory_order_relaxed);
  scanned_objects_.store(marker_.scanned_objects(), std::memory_order_relaxed);
  SetPaceStep();
  helpers_.Start(&Collector::MarkInBackground, this);
}

void Collector::SetPaceStep() {
  const size_t step = PaceStep(pace_.room_bytes, slowing_.load(std::memory_order_relaxed));
  trigger_.store(allocated_bytes_.load(std::memory_order_relaxed) + step, std::memory_order_relaxed);
}

// In the stop of a minor cycle: all that it has to mark, if that is not much. False: the rest is marked beside mutators.
bool Collector::MarksMinorAtOnce() {
  world_.ForEach([](const Standing& standing) { HideUnused(static_cast<const CollectedMutator&>(standing)); });
  const uint64_t cpu_ns = os::ThreadCpuNs();
  round_.began_ns = os::MonotonicNs();
  round_.count = 1;
  is_watch_lost_ = !ScanWritten(HeapWatch::Among::kOld, os::PageWatch::Then::kArm, &round_.pages);
  stats_.written_bytes = round_.pages * os::OsPageBytes();
  bool is_dry = false;
  const size_t rounds = StopBudgetRounds(options_.pause_target_us);
  if (!is_watch_lost_) {
    TracePutOff();
    ScanRoots();
    stats_.root_bytes = marker_.root_bytes();
    is_dry = marker_.DrainWithBudget(rounds);
    if (is_dry) {
      marker_.set_beside(false);  // What found no room on the mark stack has waited.
      is_dry = marker_.DrainWithBudget(rounds);
      marker_.set_beside(!is_dry);
    }
  }
  stats_.last_marking_ns = os::MonotonicNs() - round_.began_ns;
  stats_.last_marking_cpu_ns = os::ThreadCpuNs() - cpu_ns;
  if (!is_dry) RestoreUnused();
  return is_dry;
}

// The marker is the caller's.
void Collector::StopMarkingBeside() {
  is_marker_wanted_.store(true, std::memory_order_release);
  marker_wanted_.Signal();
  helpers_.Join();
  (void)marker_wanted_.Wait(0);
}

void Collector::MarkInBackground(void* argument, uint32_t) {
  auto& self = *static_cast<Collector*>(argument);
  const uint64_t cpu_ns = os::ThreadCpuNs();
  const uint64_t began_ns = os::MonotonicNs();
  uint64_t poll_ns = kPollNs;
  while (!self.is_marker_wanted_.load(std::memory_order_acquire)) {
    if (self.watches_pages()) self.WhitenBirths();
    const bool is_dry = self.marker_.DrainWithBudget(kPieceRounds);
    self.scanned_objects_.store(self.marker_.scanned_objects(), std::memory_order_relaxed);
    if (self.watches_pages()) {
      if (!is_dry) continue;
      if (self.MarkWritten()) {
        if (self.round_.pages > kFewPages) self.is_estimate_old_ = true;
        continue;
      }
    } else if (self.MarkShades()) {
      if (self.is_ready_to_end_.load(std::memory_order_relaxed)) self.SetPaceStep();
      self.is_estimate_old_ = true;
      self.is_ready_to_end_.store(false, std::memory_order_relaxed);
      poll_ns = kPollNs;
      continue;
    }
    if (!is_dry) continue;
    if (!self.has_estimate_ || self.is_estimate_old_) self.EstimateMarks();
    if (self.dry_ns_ == 0) self.dry_ns_ = os::MonotonicNs() - began_ns + self.arming_ns_;
    // Whoever allocates next ends the cycle.
    self.ready_ns_.store(os::MonotonicNs(), std::memory_order_relaxed);
    self.is_ready_to_end_.store(true, std::memory_order_release);
    self.trigger_.store(0, std::memory_order_relaxed);
    self.ready_to_end_.Signal();
    (void)self.marker_wanted_.Wait(poll_ns);
    if (poll_ns < kMaxPollNs) poll_ns *= 2;
    self.round_.count = 0;  // One more, so that the stop does not find all that is written until it comes.
  }
  self.stats_.last_marking_ns += os::MonotonicNs() - began_ns;
  const uint64_t marking_cpu_ns = os::ThreadCpuNs() - cpu_ns;
  self.stats_.last_marking_cpu_ns += marking_cpu_ns;
  self.limit_.beside_cpu_ns += marking_cpu_ns;
}

// So that the stop need not count.
void Collector::EstimateMarks() {
  taken_bytes_at_estimate_ = taken_bytes_.load(std::memory_order_relaxed);
  taken_objects_at_estimate_ = taken_objects_.load(std::memory_order_relaxed);
  const MarkCount large = large_pool_.CountMarkedLarge();
  estimate_ = EstimateSmallMarks(heap_.table());
  estimate_.objects += large.objects;
  estimate_.bytes += large.bytes;
  scanned_at_estimate_ = marker_.scanned_objects();
  has_estimate_ = true;
  is_estimate_old_ = false;
}

// A word that is to be marked in the last stop. What it leads to does not count: little can be marked there.
void Collector::AddToEstimate(uint64_t word) {
  Resolved resolved;
  if (!has_estimate_ || !Resolve(heap_.table(), word, &resolved)) return;
  if ((*resolved.white_word & resolved.white_mask) == 0) return;
  ++estimate_.objects;
  estimate_.bytes += SlotBytesOf(resolved.grey);
}

// What is in the bag becomes grey. False: it was empty.
bool Collector::MarkShades() {
  return shades_.Take([this](const uint64_t* base, const uint64_t* limit) {
    marker_.ScanRootRange(reinterpret_cast<uintptr_t>(base), reinterpret_cast<uintptr_t>(limit));
  });
}

// Who allocates and finds that the helper has been ready for long, as where there are too few CPUs, leaves one more round to it:
// that may take as long as it will, and the stop is the shorter for it.
bool Collector::AsksForRound() {
  if (!watches_pages() || asked_rounds_ >= kMaxAskedRounds) return false;
  const uint64_t waited_ns = os::MonotonicNs() - ready_ns_.load(std::memory_order_relaxed);
  if (waited_ns <= OldRoundNs(options_.pause_target_us)) return false;
  ++asked_rounds_;
  is_ready_to_end_.store(false, std::memory_order_relaxed);
  SetPaceStep();
  marker_wanted_.Signal();
  return true;
}

// Takes the marker from the helper and tries to end the marking. Returns whether ends were queued. REQUIRES: the cycle's lock.
bool Collector::EndBeside(CollectedMutator* mutator, Attempt attempt) {
  StopMarkingBeside();
  // What has come since the helper looked last need not be marked in the stop.
  const bool has_old_round = watches_pages() && os::MonotonicNs() - round_.began_ns > OldRoundNs(options_.pause_target_us);
  if (has_old_round) {
    round_.count = 0;
    (void)MarkWritten();
  }
  if (MarkShades() || has_old_round) (void)marker_.DrainWithBudget(kPieceRounds);
  // What a minor cycle has left is bounded by what was allocated meanwhile.
  if (++attempts_ >= kMaxAttempts || is_watch_lost_ || extent_ == Extent::kMinor) attempt = Attempt::kWhateverItTakes;
  struct Call {
    Collector& collector;
    CollectedMutator* mutator;
    Attempt attempt;
    bool has_ended;
    bool has_queued_ends;
  } call{*this, mutator, attempt, false, false};
  arch::WithSpilledRegisters(
      [](void* argument, uintptr_t stack_pointer) {
        auto& [collector, self, tried, has_ended, has_queued_ends] = *static_cast<Call*>(argument);
        has_ended = collector.TryEnd(self, stack_pointer, tried, &has_queued_ends);
      },
      &call);
  if (call.has_ended) {
    SweepBeside();
    return call.has_queued_ends;
  }
  if (helpers_.Claim(1) == 0) return EndBeside(mutator, Attempt::kWhateverItTakes);
  StartMarkingBeside();
  return false;
}

// In the stop: what was overwritten since the helper looked last.
void Collector::FindLastShades() {
  (void)MarkShades();
  world_.ForEach([this](Standing& standing) {
    auto& owner = static_cast<CollectedMutator&>(standing);
    HideRuns(owner);
    const auto base = reinterpret_cast<uintptr_t>(owner.shades);
    for (uint32_t i = 0; i < owner.shade_count; ++i) AddToEstimate(owner.shades[i]);
    marker_.ScanRootRange(base, base + owner.shade_count * sizeof(uint64_t));
    owner.shade_count = 0;
  });
}

bool Collector::TryEnd(CollectedMutator* mutator, uintptr_t stack_pointer, Attempt attempt, bool* has_queued_ends) {
  const uint64_t began_ns = os::MonotonicNs();
  StopForCycle(mutator, stack_pointer);
  is_marking_beside_.store(false, std::memory_order_relaxed);
  if (watches_pages()) {
    // Roots are read at once, while the marker takes mutators to run on: should this stop not be the last, they will.
    FindLastWritten();
  } else {
    FindLastShades();
  }
  TracePutOff();
  marker_.set_beside(false);
  bool is_dry;
  if (attempt == Attempt::kWithBudget) {
    // What was written is scanned whatever it takes.
    is_dry = marker_.DrainWithBudget(marker_.TakeWrittenRounds() + StopBudgetRounds(options_.pause_target_us));
  } else {
    (void)Mark();
    is_dry = true;
  }
  if (is_dry && !is_watch_lost_) watch_failures_ = 0;
  if (is_dry && (is_watch_lost_ || shades_.has_lost() || put_off_.has_lost())) {
    // Nobody knows what was written, or what was in the words that found no memory.
    if (is_watch_lost_) CountWatchFailure();
    is_watch_lost_ = false;
    extent_ = Extent::kFull;
    BeginMarking();
    if (!keeps_marks()) ClearMarks(heap_.table());
    has_estimate_ = false;
    ScanRoots();
    (void)Mark();
  }
  if (is_dry) {
    shades_.Clear();
    if (!keeps_marks()) put_off_.Clear();
    births_.Clear();
    const size_t allocated = allocated_bytes_.load(std::memory_order_relaxed);
    // Where pages are watched, what was born and has died is not kept.
    born_bytes_ = watches_pages() || allocated < allocated_at_snapshot_ ? 0 : allocated - allocated_at_snapshot_;
    *has_queued_ends = EndMarking();
    ++stats_.concurrent_cycles;
    is_marking_.store(false, std::memory_order_release);
    is_ready_to_end_.store(false, std::memory_order_relaxed);
    world_.ForEach([](Standing& standing) {
      standing.barrier.store(0, std::memory_order_relaxed);
      // The mutator may lie on a stack, where old words would hold objects.
      auto& owner = static_cast<CollectedMutator&>(standing);
      std::memset(owner.shades, 0, sizeof owner.shades);
    });
  } else {
    ++stats_.repeated_stops;
    is_estimate_old_ = true;
    marker_.set_beside(true);
    is_marking_beside_.store(true, std::memory_order_relaxed);
    if (watches_pages()) {
      RestoreUnused();
    } else {
      world_.ForEach([](const Standing& standing) { KeepRuns(static_cast<const CollectedMutator&>(standing)); });
    }
  }
  CountStop(began_ns);
  ResumeAfterCycle(mutator);
  return is_dry;
}

// Once in a marking, or until the next full one where marks are kept. Of what is reached in a stop a note is needed too: it may
// not be the last, and then only a note brings the next one to look again.
bool Collector::PutOff(uintptr_t object, uint64_t* noted) {
  if (!keeps_marks() && !is_marking_.load(std::memory_order_relaxed)) return false;
  const uint64_t marking = keeps_marks() ? marking_number_ : cycles_.load(std::memory_order_relaxed) + 1;
  if (*noted != marking) {
    *noted = marking;
    put_off_.Add(object);
  }
  return is_marking_beside_.load(std::memory_order_relaxed);
}

// Objects whose trace functions read other memory than theirs.
void Collector::TracePutOff() {
  struct Call {
    Collector& collector;
    const uint64_t* base;
    const uint64_t* limit;
  };
  (void)put_off_.Take([this](const uint64_t* base, const uint64_t* limit) {
    // Nobody tells what is written there: should this stop not be the last, the next one looks again.
    if (watches_pages()) put_off_.Add(base, static_cast<size_t>(limit - base));
    Call call{*this, base, limit};
    marker_.TraceRoots(
        [](void* argument, Tracer* tracer) {
          auto& [self, first, behind] = *static_cast<Call*>(argument);
          for (const uint64_t* word = first; word != behind; ++word) {
            Resolved resolved;
            if (!Resolve(self.heap_.table(), *word, &resolved) || !IsMarked(resolved)) continue;
            const Grey grey = resolved.grey;
            // Where marks are kept, it may have been freed by hand, and another lie there.
            if (FormOf(KindOf(grey)) != TraceForm::kFunction) continue;
            (void)self.kinds_.Trace(KindOf(grey), ObjectOf(grey), SlotBytesOf(grey), *tracer);
          }
        },
        &call);
  });
}

// What was freed by hand meanwhile. Nobody allocates between two frees of one object, so that the second is seen. Returns how much
// that was, without huge objects.
MarkCount Collector::FreePutOff() {
  MarkCount freed;
  (void)put_off_frees_.Take([&](const uint64_t* base, const uint64_t* limit) {
    for (const uint64_t* word = base; word != limit; ++word) {
      Resolved resolved;
      if (Resolve(heap_.table(), *word, &resolved)) {
        ++freed.objects;
        freed.bytes += SlotBytesOf(resolved.grey);
      }
      FreeNow(*word);
    }
  });
  return freed;
}

}  // namespace acre
