#pragma once

// The policy of a soft limit: when a heap is collected that may not hold as much memory as gc_percent would let it.
//
// What counts is what the heap holds from the kernel (pages in use, huge objects, records) and what its objects hold
// elsewhere. Free pages do not: they go back before they would exceed the limit (PageHeap::set_soft_limit_bytes).
//
// A cycle begins when pages in use come to the ceiling: the limit less a little, or, where a cycle has left more than that in
// use, so much and a little more. Pages in use, not bytes allocated: free slots in spans that are used count as used, and cost
// nothing to fill. Go's limit lowers the goal for bytes by all that is free inside of spans; a heap that is full of holes
// would be collected again and again without taking one page more.
//
// Whoever comes near a limit collects more and more for less and less. So the collector has a share of the time, half of it, by
// a leaky bucket as Go's: what it takes is its debt, which the program works off by running as long. With
// kMaxDebtNs of debt no cycle begins for the limit's sake and nobody waits for a marker; memory passes the limit then, by
// what the program allocates in the time of a cycle. One that gc_percent asks for begins whatever the debt.
//
// External memory is what objects hold elsewhere and the embedder tells of. It counts as alive until it is taken back, and its
// growth as allocation.
//
// No state: any thread. Figures: tests/unit/collect/memory_limit_simulation_test.cc.

#include <cstddef>
#include <cstdint>

#include "allocator/base/units.h"

namespace acre {

inline constexpr size_t kNoMemoryLimit = SIZE_MAX;

// The limit where nobody has set one: that of the container, less a tenth (at most kMaxGroupReserveBytes) for what is not
// the heap's: code, stacks, other allocators. None where the container has no more to say than the machine.
inline constexpr size_t kMaxGroupReserveBytes = 256 * kMiB;
constexpr size_t DefaultMemoryLimit(size_t group_bytes, size_t machine_bytes) {
  if (group_bytes >= machine_bytes) return kNoMemoryLimit;
  const size_t tenth = group_bytes / 10;
  return group_bytes - (tenth < kMaxGroupReserveBytes ? tenth : kMaxGroupReserveBytes);
}

// What a cycle is to keep the heap within: a 32nd less (1 MiB at least), since it may take more than it was given.
constexpr size_t TargetFor(size_t limit_bytes) {
  if (limit_bytes == kNoMemoryLimit) return limit_bytes;
  const size_t slack = limit_bytes / 32 < 1 * kMiB ? 1 * kMiB : limit_bytes / 32;
  return limit_bytes < 2 * slack ? limit_bytes / 2 : limit_bytes - slack;
}

// Whether what lives has passed the limit; it is back below when it keeps within the target.
constexpr bool IsOverLimit(size_t live_bytes, size_t limit_bytes, bool was_over) {
  return live_bytes > (was_over ? TargetFor(limit_bytes) : limit_bytes);
}

// A heap with a limit, as it is looked at. Bytes.
struct LimitView {
  size_t target_bytes;     // For pages: TargetFor less what is no page.
  size_t used_bytes;       // Pages in use now.
  size_t low_bytes;        // The least that were, since the last cycle.
  size_t live_bytes;       // What that cycle has kept.
  size_t allocated_bytes;  // Since then.
};

// No cycle begins for the limit's sake before so much was allocated: so there are 32 of them at most for what lives.
constexpr size_t LeastGrowth(size_t live_bytes) {
  constexpr size_t kLeast = 256 * kKiB;
  return live_bytes / 32 < kLeast ? kLeast : live_bytes / 32;
}

constexpr size_t CeilingFor(const LimitView& view) {
  const size_t grown = view.low_bytes + LeastGrowth(view.live_bytes);
  return view.target_bytes < grown ? grown : view.target_bytes;
}

// What may be allocated before pages in use come to the ceiling. Of the free slots in spans half are counted: the others may
// be of classes that nobody asks for.
constexpr size_t RoomBelowCeiling(const LimitView& view) {
  const size_t ceiling = CeilingFor(view);
  const size_t filled = view.live_bytes + view.allocated_bytes;
  const size_t holes = filled < view.used_bytes ? view.used_bytes - filled : 0;
  return (view.used_bytes < ceiling ? ceiling - view.used_bytes : 0) + holes / 2;
}

// The same of what a cycle beside mutators was given: it gets LeastGrowth in any case.
constexpr size_t RoomWithinLimit(const LimitView& view, size_t room_bytes) {
  const size_t least = LeastGrowth(view.live_bytes);
  const size_t below = RoomBelowCeiling(view) < least ? least : RoomBelowCeiling(view);
  return room_bytes < below ? room_bytes : below;
}

// The sum of external memory, kept between 0 and what addresses have room for. `*is_right`: it did not have to be.
inline constexpr size_t kMaxExternalBytes = size_t{1} << 47;
constexpr size_t AdjustedExternal(size_t bytes, ptrdiff_t delta, bool* is_right) {
  const size_t amount = delta < 0 ? size_t{0} - static_cast<size_t>(delta) : static_cast<size_t>(delta);
  *is_right = amount <= (delta < 0 ? bytes : kMaxExternalBytes - bytes);
  if (!*is_right) return delta < 0 ? 0 : kMaxExternalBytes;
  return delta < 0 ? bytes - amount : bytes + amount;
}

// The collector's time, in nanoseconds.

inline constexpr uint64_t kMaxDebtNs = 1'000'000'000;

// The program has run, and then the collector. What it takes last is owed whatever there was before; of cycles that nobody
// puts off (gc_percent's, acre_collect's) no more than kMaxDebtNs is kept, and nothing is saved up by a program that runs on.
constexpr uint64_t DebtAfter(uint64_t debt_ns, uint64_t program_ns, uint64_t collector_ns) {
  const uint64_t left = debt_ns < program_ns ? 0 : debt_ns - program_ns;
  return (left < kMaxDebtNs ? left : kMaxDebtNs) + collector_ns;
}

// What a collector has taken of some time: stops from all threads; marking beside them from one of the CPUs; waits from the
// threads that waited.
struct CollectorTime {
  uint64_t stopped_ns;
  uint64_t beside_cpu_ns;
  uint64_t waited_ns;  // By all threads together.
  uint32_t cpus;
  uint32_t threads;
};

// As a share of the time by the clock, which is `ns` without the stops.
constexpr uint64_t CollectorNs(const CollectorTime& time, uint64_t ns) {
  const uint32_t running = time.threads == 0 ? 1 : time.threads < time.cpus ? time.threads : time.cpus;
  const uint64_t beside = time.beside_cpu_ns / time.cpus + time.waited_ns / running;
  return time.stopped_ns + (beside < ns ? beside : ns);
}

// So much is allocated between two looks at least.
inline constexpr size_t kLimitStepBytes = 64 * kKiB;

// Of a thread that has come to the end of what could be allocated without looking: how much more may be. 0: a cycle begins.
// `runway_bytes` will be allocated while it marks; `left_bytes` may be until gc_percent asks for it.
constexpr size_t GoOnFor(const LimitView& view, size_t runway_bytes, size_t left_bytes, uint64_t debt_ns) {
  if (left_bytes == 0) return 0;
  size_t bytes = 0;
  const size_t least = LeastGrowth(view.live_bytes);
  if (view.allocated_bytes < least) {
    bytes = least - view.allocated_bytes;
  } else if (view.used_bytes < CeilingFor(view)) {
    // No further than to the ceiling, for free slots may be of no use; but there it is seen whether they were.
    const size_t pages = CeilingFor(view) - view.used_bytes;
    const size_t room = RoomBelowCeiling(view);
    if (room > runway_bytes) bytes = room - runway_bytes < pages ? room - runway_bytes : pages;
  }
  if (bytes == 0 && debt_ns < kMaxDebtNs) return 0;
  if (bytes < kLimitStepBytes) bytes = kLimitStepBytes;
  return bytes < left_bytes ? bytes : left_bytes;
}

}  // namespace acre
