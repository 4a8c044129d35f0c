// A heap's soft limit of memory at work: the policy is in memory_limit.h.

#include "allocator/collect/collector.h"
#include "allocator/collect/memory_limit.h"
#include "allocator/collect/pacer.h"
#include "os/clock.h"
#include "os/limits.h"

namespace acre {

// REQUIRES: the cycle's lock, or that nobody else knows the heap yet.
void Collector::StoreMemoryLimit(size_t bytes) {
  if (bytes != kNoMemoryLimit && limit_.cpus == 0) limit_.cpus = os::CpuCount();
  limit_.bytes.store(bytes, std::memory_order_relaxed);
  limit_.is_over = limit_.is_over && IsOverLimit(LivingBytes(), bytes, true);
  LimitFreeMemory();
}

// What is no page takes from what free pages may be kept.
void Collector::LimitFreeMemory() {
  const size_t limit = limit_.bytes.load(std::memory_order_relaxed);
  const size_t other = OtherBytes();
  heap_.page_heap().set_soft_limit_bytes(limit == kNoMemoryLimit ? limit : other < limit ? limit - other : 0);
}

void Collector::SetMemoryLimit(size_t bytes) {
  BlockingLock lock(cycle_mutex_);
  StoreMemoryLimit(bytes);
  // What the last cycle has left in use was within another limit: it does not excuse a heap that is above this one.
  const size_t live = limit_.live_bytes.load(std::memory_order_relaxed);
  if (live < limit_.low_bytes.load(std::memory_order_relaxed)) limit_.low_bytes.store(live, std::memory_order_relaxed);
  CollectedMutator* const own = OfThisThread();
  if (own != nullptr) {
    Region region(*own);
    heap_.page_heap().KeepToSoftLimit();
  } else {
    heap_.page_heap().KeepToSoftLimit();
  }
  LookAtLimitAnew();
}

// Something has changed that the limit depends on: the next thread that takes new room looks at it. A cycle that is under
// way sees it when it ends. REQUIRES: the cycle's lock.
void Collector::LookAtLimitAnew() {
  if (is_marking_.load(std::memory_order_relaxed) || arming_.load(std::memory_order_relaxed) != Arming::kNone) return;
  const bool is_near = IsNearLimit();
  limit_.is_near.store(is_near, std::memory_order_relaxed);
  trigger_.store(is_near ? 0 : limit_.percent_trigger_bytes.load(std::memory_order_relaxed), std::memory_order_relaxed);
}

bool Collector::AdjustExternal(ptrdiff_t delta) {
  bool is_right;
  size_t adjusted;
  size_t bytes = limit_.external_bytes.load(std::memory_order_relaxed);
  do {
    adjusted = AdjustedExternal(bytes, delta, &is_right);
  } while (!limit_.external_bytes.compare_exchange_weak(bytes, adjusted, std::memory_order_relaxed));
  if (adjusted >= bytes) {
    allocated_bytes_.fetch_add(adjusted - bytes, std::memory_order_relaxed);
  } else {
    size_t allocated = allocated_bytes_.load(std::memory_order_relaxed);
    size_t left;
    do {
      left = allocated < bytes - adjusted ? 0 : allocated - (bytes - adjusted);
    } while (!allocated_bytes_.compare_exchange_weak(allocated, left, std::memory_order_relaxed));
  }
  if (limit_.bytes.load(std::memory_order_relaxed) != kNoMemoryLimit) LimitFreeMemory();
  return is_right;
}

// Memory that is neither pages nor huge objects.
size_t Collector::OtherBytes() const {
  const size_t used_pages = heap_.page_heap().used_bytes() / kPageBytes;
  return heap_.space().stats().metadata_bytes + used_pages * kRecordBytesPerPage + external_bytes();
}

size_t Collector::HeldBytes() const {
  const PageHeap& page_heap = heap_.page_heap();
  return page_heap.used_bytes() + page_heap.dirty_bytes() + page_heap.huge_bytes() + OtherBytes();
}

LimitView Collector::ViewLimit() const {
  const size_t target = TargetFor(limit_.bytes.load(std::memory_order_relaxed));
  const size_t other = OtherBytes();
  return {.target_bytes = other < target ? target - other : 0,
          .used_bytes = heap_.page_heap().used_bytes() + heap_.page_heap().huge_bytes(),
          .low_bytes = limit_.low_bytes.load(std::memory_order_relaxed),
          .live_bytes = limit_.live_bytes.load(std::memory_order_relaxed),
          .allocated_bytes = allocated_bytes_.load(std::memory_order_relaxed)};
}

// What the last cycle has found alive, with the memory that is for it.
size_t Collector::LivingBytes() const { return limit_.reached_bytes.load(std::memory_order_relaxed) + OtherBytes(); }

// Whether it may ask for a cycle before gc_percent does.
bool Collector::IsNearLimit() const {
  if (limit_.bytes.load(std::memory_order_relaxed) == kNoMemoryLimit) return false;
  const LimitView view = ViewLimit();
  const size_t allocated = view.allocated_bytes;
  const size_t left = allocated < goal_bytes_ ? goal_bytes_ - allocated : 0;
  return view.used_bytes + left > view.target_bytes;
}

// A cycle has found what lives; the next one begins after `percent_trigger_bytes`, if the limit does not want it earlier. In
// the stop.
void Collector::SetTrigger(size_t percent_trigger_bytes, size_t reached_bytes) {
  limit_.percent_trigger_bytes.store(percent_trigger_bytes, std::memory_order_relaxed);
  limit_.runway_bytes.store(goal_bytes_ - percent_trigger_bytes, std::memory_order_relaxed);
  limit_.live_bytes.store(stats_.live_bytes, std::memory_order_relaxed);
  limit_.reached_bytes.store(reached_bytes, std::memory_order_relaxed);
  limit_.low_bytes.store(heap_.page_heap().used_bytes() + heap_.page_heap().huge_bytes(), std::memory_order_relaxed);
  const bool is_near = IsNearLimit();
  limit_.is_near.store(is_near, std::memory_order_relaxed);
  const size_t least = LeastGrowth(stats_.live_bytes);
  trigger_.store(is_near && least < percent_trigger_bytes ? least : percent_trigger_bytes, std::memory_order_relaxed);
  if (limit_.bytes.load(std::memory_order_relaxed) == kNoMemoryLimit) return;
  LimitFreeMemory();
  // A minor cycle does not know how much of what is old has died.
  if (extent_ == Extent::kMinor) return;
  const bool is_over = IsOverLimit(LivingBytes(), limit_.bytes.load(std::memory_order_relaxed), limit_.is_over);
  if (is_over && !limit_.is_over) limit_.is_passed.store(true, std::memory_order_release);
  limit_.is_over = is_over;
}

// By an allocation that finds that the trigger was reached. True: it was the limit's, and there is no need of a cycle yet,
// or the program is to run first.
bool Collector::GoesOnAtLimit(CollectedMutator& mutator) {
  if (!limit_.is_near.load(std::memory_order_relaxed)) return false;
  Region region(mutator);
  if (is_marking_.load(std::memory_order_relaxed) || arming_.load(std::memory_order_relaxed) != Arming::kNone) return false;
  if (!limit_.is_near.load(std::memory_order_relaxed)) return false;
  size_t trigger = trigger_.load(std::memory_order_relaxed);
  LimitView view = ViewLimit();
  if (view.used_bytes < view.low_bytes) {
    limit_.low_bytes.store(view.used_bytes, std::memory_order_relaxed);
    view.low_bytes = view.used_bytes;
  }
  const size_t percent_trigger = limit_.percent_trigger_bytes.load(std::memory_order_relaxed);
  const size_t left = view.allocated_bytes < percent_trigger ? percent_trigger - view.allocated_bytes : 0;
  const size_t more = GoOnFor(view, limit_.runway_bytes.load(std::memory_order_relaxed), left, DebtNow());
  if (more == 0) return false;
  // Another thread may have looked as well, or the limit may have changed: then that holds.
  (void)trigger_.compare_exchange_strong(trigger, view.allocated_bytes + more, std::memory_order_relaxed);
  return true;
}

// What the collector owes, with what threads have waited for it since the last stop.
uint64_t Collector::DebtNow() const {
  if (!options_.yields_at_memory_limit) return 0;
  const uint64_t debt_ns = limit_.debt_ns.load(std::memory_order_relaxed);
  const uint64_t ns = os::MonotonicNs() - limit_.debt_at_ns.load(std::memory_order_relaxed);
  const uint64_t collector_ns = CollectorNs({.stopped_ns = 0,
                                             .beside_cpu_ns = 0,
                                             .waited_ns = limit_.waited_ns.load(std::memory_order_relaxed),
                                             .cpus = limit_.cpus,
                                             .threads = world_.mutators()},
                                            ns);
  return DebtAfter(debt_ns, ns - collector_ns, collector_ns);
}

// At the end of each stop, in it.
void Collector::AddToDebt(uint64_t stopped_ns) {
  if (limit_.cpus == 0) return;
  const uint64_t now_ns = os::MonotonicNs();
  const uint64_t all_ns = now_ns - limit_.debt_at_ns.load(std::memory_order_relaxed);
  const uint64_t ns = stopped_ns < all_ns ? all_ns - stopped_ns : 0;
  const uint64_t collector_ns = CollectorNs({.stopped_ns = stopped_ns,
                                             .beside_cpu_ns = limit_.beside_cpu_ns,
                                             .waited_ns = limit_.waited_ns.exchange(0, std::memory_order_relaxed),
                                             .cpus = limit_.cpus,
                                             .threads = world_.mutators()},
                                            ns);
  limit_.beside_cpu_ns = 0;
  const uint64_t debt_ns = limit_.debt_ns.load(std::memory_order_relaxed);
  limit_.debt_ns.store(DebtAfter(debt_ns, stopped_ns + ns - collector_ns, collector_ns), std::memory_order_relaxed);
  limit_.debt_at_ns.store(now_ns, std::memory_order_relaxed);
}

// Of what a thread is to wait for a marker that is behind, as a cycle for the limit's sake allows. In a region.
uint64_t Collector::WaitAtLimit(uint64_t delay_ns) {
  if (!limit_.is_near.load(std::memory_order_relaxed)) return delay_ns;
  if (DebtNow() >= kMaxDebtNs) return 0;
  limit_.waited_ns.fetch_add(delay_ns, std::memory_order_relaxed);
  return delay_ns;
}

// Tells the embedder that what lives has passed the limit. No lock is held, and nothing is left to be done afterwards: it
// need not come back.
void Collector::TellOfLimit(CollectedMutator& mutator) {
  if (mutator.is_in_shortage || !limit_.is_passed.exchange(false, std::memory_order_acquire)) return;
  const LimitCallback& callback = options_.on_memory_limit;
  if (callback.function == nullptr) return;
  callback.function(callback.context, mutator, LivingBytes());
}

}  // namespace acre
