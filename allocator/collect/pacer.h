#pragma once

// The policy of when to collect: how much may be allocated after a cycle before the next one begins, and how fast mutators
// may allocate while one marks beside them.
//
// Growth: `gc_percent` of what a cycle had to look at, which is what it found alive and its roots; small heaps count double,
// up to kSmallHeapBytes, since extra memory should grow more slowly than the heap (Kirisame, Shenoy, Panchekha, "Optimal heap
// limits for reducing browser memory use", OOPSLA 2022). So at 100 percent a heap of 64 MiB and more doubles, one of 32 MiB
// or less triples. Figures for binary trees: docs/performance.md.
//
// A cycle beside mutators has a goal, the growth at which it is to have ended, and begins earlier by what they will allocate
// meanwhile. What is allocated while it marks with the barrier is kept, dead or alive, until the next one has ended: the next
// goal is less by so much. (Were it counted as alive, heaps would grow with the speed of their mutators: 64-byte nodes at 1.8 GB/s to 4
// times what lives.) Mutators that use up the room between begin and goal faster than the marker comes on wait for it a
// little at each step, rather than long at its end; Go's mutators mark instead, which helps where the marker is the only
// thread that has a CPU, and costs them up to tens of milliseconds at a time.
//
// No state: any thread.

#include <cstddef>
#include <cstdint>

#include "allocator/base/units.h"

namespace acre {

inline constexpr size_t kSmallHeapBytes = 64 * kMiB;

inline constexpr uint32_t kMaxGcPercent = 10'000;  // No product below overflows: addresses have 48 bits.

// In bytes; at least `min_bytes`. REQUIRES: gc_percent <= kMaxGcPercent.
constexpr size_t GrowthFor(size_t live_bytes, size_t root_bytes, uint32_t gc_percent, size_t min_bytes) {
  const size_t looked_at = live_bytes + root_bytes;
  const size_t doubled = 2 * looked_at < kSmallHeapBytes ? 2 * looked_at : kSmallHeapBytes;
  const size_t counted = looked_at < doubled ? doubled : looked_at;
  const size_t wanted = counted / 100 * gc_percent;
  return wanted < min_bytes ? min_bytes : wanted;
}

// What of a growth is left after a cycle while whose marking `born_bytes` were allocated: at least a quarter.
constexpr size_t GoalFor(size_t growth_bytes, size_t born_bytes) {
  const size_t least = growth_bytes / 4;
  return born_bytes < growth_bytes - least ? growth_bytes - born_bytes : least;
}

// Bytes a nanosecond that mutators allocate when nothing holds them up: as in the last cycle, or as before if that was more,
// less a quarter at each cycle, so that a burst after a quiet time does not find too little room.
constexpr double AllocationRate(double last_rate, size_t allocated_bytes, uint64_t ns) {
  const double rate = ns == 0 ? 0 : static_cast<double>(allocated_bytes) / static_cast<double>(ns);
  const double aged = last_rate * 0.75;
  return rate < aged ? aged : rate;
}

// When a cycle that marks for `marking_ns` begins, so that it ends before `goal_bytes` were allocated. A quarter more is left,
// for it may take longer; but at least a quarter of the goal goes by without a cycle.
constexpr size_t ConcurrentTriggerFor(size_t goal_bytes, double allocation_rate, uint64_t marking_ns) {
  const double runway = allocation_rate * static_cast<double>(marking_ns) * 1.25;
  const size_t least = goal_bytes / 4;
  return runway < static_cast<double>(goal_bytes - least) ? goal_bytes - static_cast<size_t>(runway) : least;
}

// What may be allocated while a cycle marks that begins after `allocated_bytes`: what is left of the goal. At least a quarter
// of the goal, for a cycle begins late after one that was stopped, after slow ones, and in heaps that grow: then 1/4 of what
// lives may be used beyond the bound. Without, the first cycle beside threads of pace 0.3 is waited for from its begin to
// its end, and growing heaps of pace 0.1 wait 6 % of their time; an eighth halves the former only.
constexpr size_t RoomFor(size_t goal_bytes, size_t allocated_bytes) {
  const size_t least = goal_bytes / 4;
  return allocated_bytes < goal_bytes - least ? goal_bytes - allocated_bytes : least;
}

// What one marking has to do, as the last one did, and how far it has come.
struct MarkingPace {
  size_t room_bytes;         // May be allocated meanwhile.
  uint64_t marking_ns;       // Expected in all.
  size_t expected_objects;   // To be scanned.
};

// While marking, pace is looked at each time that so much was allocated; where mutators are slowed, as often as can be.
constexpr size_t PaceStep(size_t room_bytes, uint32_t slowing) {
  constexpr size_t kLeast = 64 * kKiB;
  return slowing != 0 || room_bytes / 1024 < kLeast ? kLeast : room_bytes / 1024;
}

// Waits of one step; the goal is passed with 13 MB/s at most by a thread.
inline constexpr uint64_t kMinPaceNs = 50'000;  // Shorter ones are left to the next step: timers are not as exact.
inline constexpr uint64_t kMaxPaceNs = 1'000'000;
inline constexpr uint64_t kMaxLatePaceNs = 5'000'000;

// For how long the thread waits that has come to a step: until the marker is expected to have caught up.
constexpr uint64_t PaceDelayNs(const MarkingPace& pace, size_t used_bytes, size_t scanned_objects) {
  if (used_bytes >= pace.room_bytes) return kMaxLatePaceNs;
  const double used = static_cast<double>(used_bytes) / static_cast<double>(pace.room_bytes);
  const double marked = scanned_objects >= pace.expected_objects
                            ? 1
                            : static_cast<double>(scanned_objects) / static_cast<double>(pace.expected_objects);
  constexpr double kSlack = 1.0 / 16;  // Markers are not equally fast all the time.
  const double ahead = used - marked - kSlack;
  const double wanted_ns = ahead * static_cast<double>(pace.marking_ns);
  if (wanted_ns < kMinPaceNs) return 0;
  return wanted_ns < kMaxPaceNs ? static_cast<uint64_t>(wanted_ns) : kMaxPaceNs;
}

// The pause target: how long the last stop of a cycle beside mutators is wanted to be. Of what it is made of two parts can be
// shifted to before the stop, at a price in time of the marker; they are in proportion to the target. (The rest cannot:
// stopping threads, stacks and other roots, the scan of a watched heap's pages, 0.2 ms for each GiB.)
inline constexpr uint32_t kDefaultPauseTargetUs = 1000;
inline constexpr uint32_t kMinPauseTargetUs = 10;
inline constexpr uint32_t kMaxPauseTargetUs = 1'000'000;

// What a last stop marks at most before it is put off, in rounds of the marker, of 0.3 µs where all is in the caches, to one: a seventh
// to a half of the target. Then threads run on; a smaller budget costs more stops, of which the fourth is the last whatever it takes.
constexpr size_t StopBudgetRounds(uint32_t pause_target_us) { return pause_target_us / 2; }

// A round as short as this is followed by the stop. That finds about four tenths of a round's work: with 300,000 replaced
// objects a second and 1 GiB of trees alive, 1.5 ms gave stops of 0.64 ms; 3000 pages of the round before, 0.83.
constexpr uint64_t ShortRoundNs(uint32_t pause_target_us) { return uint64_t{pause_target_us} * 1500; }

// When nobody has come to stop the world for so long, what was written since the last round is worth another one first.
constexpr uint64_t OldRoundNs(uint32_t pause_target_us) { return uint64_t{pause_target_us} * 5000; }

// Minor cycles, where marks are kept: what lived through the last cycle is old, and only what was allocated since is marked
// and swept. How much may be allocated between two of them: an eighth of what lives, for each costs 0.1 ms and some for the size of
// the heap; less if the last one had to mark more than a stop may take, down to a 64th.
enum class MinorTime : uint8_t { kShort, kRight, kLong };
constexpr MinorTime TimeOf(uint64_t marking_ns, uint32_t pause_target_us) {
  if (marking_ns < uint64_t{pause_target_us} * 400) return MinorTime::kShort;
  return marking_ns < uint64_t{pause_target_us} * 1000 ? MinorTime::kRight : MinorTime::kLong;
}
constexpr size_t NextNursery(size_t last_bytes, MinorTime last, size_t live_bytes, size_t min_bytes) {
  const size_t most = live_bytes / 8 < min_bytes ? min_bytes : live_bytes / 8;
  const size_t least = live_bytes / 64 < min_bytes / 2 ? min_bytes / 2 : live_bytes / 64;
  const size_t wanted = last == MinorTime::kShort ? 2 * last_bytes : last == MinorTime::kRight ? last_bytes : last_bytes / 2;
  return wanted < least ? least : wanted < most ? wanted : most;
}

// What minor cycles have to go by: what the heap holds, dead objects and room that cannot be used included.
struct OldGeneration {
  size_t live_bytes;    // Found by the last full cycle.
  size_t held_bytes;    // When that had been swept.
  size_t growth_bytes;  // That is allowed until the next full one: GrowthFor.
};

// What may be allocated until the next full cycle is to have ended, in a heap that holds so much.
constexpr size_t RoomUntilFull(const OldGeneration& old, size_t held_bytes) {
  const size_t most = old.held_bytes + old.growth_bytes;
  return held_bytes < most ? most - held_bytes : 0;
}

// What is allocated while a full cycle marks beside mutators: half of the growth at most, since a burst
// looks as if it went on, and minor cycles are to have the rest.
constexpr size_t RunwayWithMinors(double allocation_rate, uint64_t marking_ns, size_t growth_bytes) {
  const double runway = allocation_rate * static_cast<double>(marking_ns) * 1.25;
  const size_t most = growth_bytes / 2;
  return runway < static_cast<double>(most) ? static_cast<size_t>(runway) : most;
}

struct NextCycle {
  bool is_minor;
  size_t goal_bytes;  // Of allocation.
};

// After a minor cycle. `runway_bytes`: what is allocated while a full one marks beside mutators, or 0.
constexpr NextCycle PlanAfterMinor(size_t room_bytes, size_t nursery_bytes, size_t runway_bytes) {
  if (room_bytes >= nursery_bytes + runway_bytes) return {.is_minor = true, .goal_bytes = nursery_bytes};
  const size_t least = nursery_bytes / 2;
  return {.is_minor = false, .goal_bytes = room_bytes < least ? least : room_bytes};
}

// Whether a minor cycle may come to its end in one stop: else it marks beside mutators, with two stops and a helper to wake. It
// looks at the old pages that were written in the stop: 4 MiB of them take a millisecond. Then it marks at most so many rounds.
constexpr bool MayEndInOneStop(size_t written_bytes, uint32_t pause_target_us) {
  return written_bytes <= size_t{pause_target_us} * 4 * kKiB;
}

// What minor cycles have found since the last full one, all in bytes.
struct MinorCosts {
  size_t allocated;
  size_t became_old;
  size_t written;    // Of pages with old objects.
};

// Whether full cycles alone cost less: at 100 percent they mark about a byte for each that is allocated. Minor ones mark what
// becomes old, and then a full one is due when the heap has grown by so much, which marks as much again. An old page that was written costs a
// fault and another look at what lies there, 2 to 3 µs, which is three times what marking a page costs. Not before a quarter of
// the growth was allocated: programs begin with data that lives.
constexpr bool AreMinorsTooDear(const MinorCosts& costs, size_t growth_bytes) {
  if (costs.allocated < growth_bytes / 4) return false;
  return 2 * costs.became_old + 3 * costs.written > costs.allocated;
}

// Full cycles until minor ones are tried again, when they have been too dear so many times.
constexpr uint32_t FullCyclesAfter(uint32_t dear) {
  constexpr uint32_t kMost = 4;
  return 1u << (dear < kMost ? dear : kMost);
}

// So few written pages (of 4 KiB) are scanned again within four tenths of the target, where one takes so long. Rounds do not arm them, since
// that takes as long as it takes to tell the other processors for each 2 MiB that has any: 9 µs on a machine of one's own, 100 on a
// shared one, where rounds of 1000 pages all over 1 GiB took 57 ms each.
constexpr size_t FewPages(uint32_t pause_target_us, uint64_t page_ns) { return size_t{pause_target_us} * 400 / page_ns; }

// How long it takes to scan a written page, after so many took so long but for what comes later: to look at the objects that
// are on them, 0.5 µs a page of 64 of them. That is all for small objects; words of a table are looked up at once, 5 µs a page.
inline constexpr uint64_t kWrittenPageNs = 1000;
constexpr uint64_t WrittenPageNs(uint64_t last_ns, size_t pages, uint64_t scan_ns) {
  constexpr size_t kTooFew = 64;
  constexpr uint64_t kLaterNs = 500;
  if (pages < kTooFew) return last_ns;
  // Who marks may have had no CPU for a while.
  const uint64_t page_ns = scan_ns / pages + kLaterNs;
  return (last_ns + (page_ns < 4 * last_ns ? page_ns : 4 * last_ns)) / 2;
}
// After a round that found more than a few, and so says nothing of what one takes: else who has taken one for dear could never learn better.
constexpr uint64_t ForgottenPageNs(uint64_t last_ns) { return (last_ns + kWrittenPageNs) / 2; }

// A round of a marking that watches pages: those that were written are scanned again, and what they lead to.
struct MarkingRound {
  uint32_t count = 0;        // This one included.
  uint64_t began_ns = 0;
  size_t pages = 0;          // That it found,
  size_t left = 0;           // and of these left written, for the stop to find them again.
  size_t pages_before = 0;   // That the round before it found.
};

// What comes after a round that took so long. Another one, if that makes the stop much shorter: rounds shrink as long as mutators write more
// slowly than the marker scans. Where they do not, those who allocate are slowed, by half each time, until they do. (Figures for
// this rule and others: docs/marking.md.)
enum class AfterRound : uint8_t { kStop, kRound, kSlowerRound };
inline constexpr uint32_t kMaxRounds = 10;
inline constexpr uint32_t kMaxSlowing = 3;
constexpr AfterRound PlanRound(const MarkingRound& last, uint64_t ns, uint64_t short_round_ns, size_t few_pages, uint32_t slowing) {
  if (last.count == 0) return AfterRound::kRound;
  if (last.count >= kMaxRounds || (ns < short_round_ns && last.left <= few_pages)) return AfterRound::kStop;
  if (last.count == 1 || last.pages * 10 <= last.pages_before * 7) return AfterRound::kRound;
  if (last.pages <= few_pages) return AfterRound::kRound;
  return slowing < kMaxSlowing ? AfterRound::kSlowerRound : AfterRound::kRound;
}

// For how long a thread waits that has run for so long since it waited last, and allocates: so that it runs for 1/2, 1/4 or 1/8 of
// the time. 0 where that is too short to be waited for: what it ran for goes on to count.
constexpr uint64_t SlowingDelayNs(uint32_t slowing, uint64_t ran_ns) {
  const uint64_t wanted_ns = ran_ns * ((uint64_t{1} << slowing) - 1);
  if (wanted_ns < kMinPaceNs) return 0;
  return wanted_ns < kMaxLatePaceNs ? wanted_ns : kMaxLatePaceNs;
}

}  // namespace acre

#ifdef ACRE_PACER
#include ACRE_PACER  // An experiment's functions in the place of some of these: docs/experiments.md.
#endif
