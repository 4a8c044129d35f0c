// When minor and full cycles come: the functions of pacer.h one by one, and at work in a heap of counters alone, which calls them
// as the collector does.

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>

#include "allocator/collect/pacer.h"

namespace acre {
namespace {

constexpr size_t kMin = 4 * kMiB;
constexpr uint32_t kTargetUs = 1000;
constexpr uint64_t kQuickNs = 100'000;
constexpr uint64_t kGoodNs = 500'000;
constexpr uint64_t kSlowNs = 2'000'000;

TEST(PacerMinorTest, TheNurseryIsAnEighthOfWhatLivesUnlessItsMarkingTakesTooLong) {
  struct {
    size_t last_bytes;
    uint64_t marking_ns;
    size_t live_bytes;
    size_t nursery_bytes;
  } const kCases[] = {
      {0, 0, 0, kMin / 2},                                        // The first.
      {0, 0, 1024 * kMiB, 16 * kMiB},                             // A 64th at least.
      {16 * kMiB, kQuickNs, 1024 * kMiB, 32 * kMiB},
      {100 * kMiB, kQuickNs, 1024 * kMiB, 128 * kMiB},            // An eighth at most.
      {100 * kMiB, kGoodNs, 1024 * kMiB, 100 * kMiB},
      {100 * kMiB, kSlowNs, 1024 * kMiB, 50 * kMiB},
      {20 * kMiB, kSlowNs, 1024 * kMiB, 16 * kMiB},
      {100 * kMiB, kGoodNs, 8 * kMiB, kMin},                      // Small heaps have the least.
      {kMin, kSlowNs, 8 * kMiB, kMin / 2},
  };
  for (const auto& [last_bytes, marking_ns, live_bytes, nursery_bytes] : kCases) {
    EXPECT_EQ(NextNursery(last_bytes, TimeOf(marking_ns, kTargetUs), live_bytes, kMin), nursery_bytes)
        << last_bytes << " before, " << marking_ns << " ns, live " << live_bytes;
  }
}

TEST(PacerMinorTest, WhatIsShortGoesByTheTarget) {
  for (const uint32_t us : {100u, 1000u, 20'000u}) {
    EXPECT_EQ(TimeOf(0, us), MinorTime::kShort);
    EXPECT_EQ(TimeOf(us * uint64_t{400} - 1, us), MinorTime::kShort);
    EXPECT_EQ(TimeOf(us * uint64_t{400}, us), MinorTime::kRight);
    EXPECT_EQ(TimeOf(us * uint64_t{1000}, us), MinorTime::kLong);
    EXPECT_EQ(StopBudgetRounds(us), us / 2);
  }
}

TEST(PacerMinorTest, TheRoomIsWhatIsLeftOfTheGrowthSinceTheLastFullCycle) {
  const OldGeneration old{.live_bytes = 80 * kMiB, .held_bytes = 100 * kMiB, .growth_bytes = 90 * kMiB};
  EXPECT_EQ(RoomUntilFull(old, 90 * kMiB), 100 * kMiB);
  EXPECT_EQ(RoomUntilFull(old, 100 * kMiB), 90 * kMiB);
  EXPECT_EQ(RoomUntilFull(old, 189 * kMiB), 1 * kMiB);
  EXPECT_EQ(RoomUntilFull(old, 190 * kMiB), 0u);
  EXPECT_EQ(RoomUntilFull(old, 500 * kMiB), 0u);
}

TEST(PacerMinorTest, AMinorCycleFollowsWhileThereIsRoomForItAndForAFullOnesMarking) {
  NextCycle next = PlanAfterMinor(30 * kMiB, 10 * kMiB, 20 * kMiB);
  EXPECT_TRUE(next.is_minor);
  EXPECT_EQ(next.goal_bytes, 10 * kMiB);
  next = PlanAfterMinor(30 * kMiB, 10 * kMiB, 20 * kMiB + 1);
  EXPECT_FALSE(next.is_minor);
  EXPECT_EQ(next.goal_bytes, 30 * kMiB);
  next = PlanAfterMinor(9 * kMiB, 10 * kMiB, 0);
  EXPECT_FALSE(next.is_minor);
  EXPECT_EQ(next.goal_bytes, 9 * kMiB);
  next = PlanAfterMinor(1 * kMiB, 10 * kMiB, 0);
  EXPECT_EQ(next.goal_bytes, 5 * kMiB) << "half a nursery at least goes by";
}

TEST(PacerMinorTest, TheRunwayIsHalfOfTheGrowthAtMost) {
  EXPECT_EQ(RunwayWithMinors(0, 1'000'000, 100 * kMiB), 0u);
  EXPECT_EQ(RunwayWithMinors(1.0, 8'000'000, 100 * kMiB), 10'000'000u);
  EXPECT_EQ(RunwayWithMinors(1000.0, 8'000'000, 100 * kMiB), 50 * kMiB);
}

TEST(PacerMinorTest, AMinorCycleMayEndInOneStopIfLittleWasWritten) {
  EXPECT_TRUE(MayEndInOneStop(0, kTargetUs));
  EXPECT_TRUE(MayEndInOneStop(4000 * kKiB, kTargetUs));
  EXPECT_FALSE(MayEndInOneStop(4000 * kKiB + 1, kTargetUs));
  EXPECT_FALSE(MayEndInOneStop(4000 * kKiB, kTargetUs - 1));
}

TEST(PacerMinorTest, MinorCyclesAreTooDearWhereMuchBecomesOldOrIsWritten) {
  constexpr size_t kGrowth = 100 * kMiB;
  const auto are_too_dear = [](size_t allocated, size_t became_old, size_t written) {
    return AreMinorsTooDear({.allocated = allocated, .became_old = became_old, .written = written}, kGrowth);
  };
  EXPECT_FALSE(are_too_dear(60 * kMiB, 0, 0));
  EXPECT_FALSE(are_too_dear(60 * kMiB, 30 * kMiB, 0));
  EXPECT_TRUE(are_too_dear(60 * kMiB, 30 * kMiB + 1, 0));
  EXPECT_FALSE(are_too_dear(60 * kMiB, 0, 20 * kMiB));
  EXPECT_TRUE(are_too_dear(60 * kMiB, 0, 20 * kMiB + 1));
  EXPECT_FALSE(are_too_dear(60 * kMiB, 15 * kMiB, 10 * kMiB));
  EXPECT_TRUE(are_too_dear(60 * kMiB, 15 * kMiB, 10 * kMiB + 1));
  EXPECT_FALSE(are_too_dear(25 * kMiB - 1, 25 * kMiB - 1, 0)) << "programs begin with data that lives";
  EXPECT_TRUE(are_too_dear(25 * kMiB, 25 * kMiB, 0));
}

TEST(PacerMinorTest, FullCyclesUntilMinorOnesAreTriedAgainDoubleUpToSixteen) {
  const uint32_t kExpected[] = {1, 2, 4, 8, 16, 16, 16};
  for (uint32_t dear = 0; dear < std::size(kExpected); ++dear) EXPECT_EQ(FullCyclesAfter(dear), kExpected[dear]);
  EXPECT_EQ(FullCyclesAfter(UINT32_MAX), 16u);
}

// ---- At work --------------------------------------------------------------------------------------------------------

// Of what is allocated between two cycles a share lives through the second; all of it dies before the next full cycle, so
// that what lives is the same always.
struct Program {
  double live_bytes;
  double survivors;      // A share of what was allocated.
  double written;        // Pages with old objects, as a share of the same.
  double runway_bytes = 0;
};

struct Figures {
  double peak_bytes = 0;      // Of what is held.
  double longest_nursery = 0;
  uint32_t minor_cycles = 0;
  uint32_t full_cycles = 0;
  double marked_bytes = 0;    // For each byte that was allocated.
};

// Like PlanWithMinor.
Figures Simulate(const Program& program, uint32_t cycles) {
  const auto bytes = [](double number) { return static_cast<size_t>(number); };
  const auto real = [](size_t number) { return static_cast<double>(number); };
  constexpr double kBytesPerNs = 3.2;
  Figures figures;
  OldGeneration old{};
  MinorCosts costs{};
  uint32_t dear = 0;
  uint32_t full_cycles_left = 0;
  double held = program.live_bytes;  // After the last cycle.
  size_t nursery = 0;
  double allocated_in_all = 0;
  NextCycle next{.is_minor = false, .goal_bytes = 0};
  for (uint32_t cycle = 0; cycle < cycles; ++cycle) {
    const double allocated = real(next.goal_bytes);
    allocated_in_all += allocated;
    figures.peak_bytes = std::max(figures.peak_bytes, held + allocated);
    if (!next.is_minor) {
      ++figures.full_cycles;
      figures.marked_bytes += program.live_bytes;
      held = program.live_bytes;
      const size_t growth = GrowthFor(bytes(held), 0, 100, kMin);
      old = {.live_bytes = bytes(held), .held_bytes = bytes(held), .growth_bytes = growth};
      if (costs.allocated != 0) dear = 0;
      costs = {};
      next = {.is_minor = false, .goal_bytes = growth};
      if (full_cycles_left != 0 && --full_cycles_left != 0) continue;
      nursery = NextNursery(0, MinorTime::kShort, old.live_bytes, 2 * kMin);
      next = {.is_minor = true, .goal_bytes = nursery};
      continue;
    }
    ++figures.minor_cycles;
    figures.longest_nursery = std::max(figures.longest_nursery, real(nursery));
    const double survived = allocated * program.survivors;
    figures.marked_bytes += survived;
    held += survived;
    costs.allocated += bytes(allocated);
    costs.became_old += bytes(survived);
    costs.written += bytes(allocated * program.written);
    const size_t room = RoomUntilFull(old, bytes(held));
    if (AreMinorsTooDear(costs, old.growth_bytes)) {
      costs = {};
      full_cycles_left = FullCyclesAfter(dear++);
      next = {.is_minor = false, .goal_bytes = std::max(room, nursery)};
      continue;
    }
    nursery = NextNursery(nursery, TimeOf(static_cast<uint64_t>(survived / kBytesPerNs), kTargetUs), old.live_bytes, kMin);
    next = PlanAfterMinor(room, nursery, bytes(program.runway_bytes));
  }
  figures.marked_bytes /= allocated_in_all;
  return figures;
}

constexpr double kLive = 256.0 * kMiB;
constexpr uint32_t kCycles = 10'000;

// Whatever survives and is written, the heap is no larger than one that is collected by full cycles, but for a nursery.
TEST(PacerMinorTest, TheHeapGrowsByItsGrowthAndANurseryAtMost) {
  for (const double live : {1.0 * kMiB, 20.0 * kMiB, kLive}) {
    const auto growth = static_cast<double>(GrowthFor(static_cast<size_t>(live), 0, 100, kMin));
    for (const double survivors : {0.0, 0.01, 0.1, 0.3, 0.5, 0.9}) {
      for (const double written : {0.0, 0.1, 1.0}) {
        const Figures figures = Simulate({.live_bytes = live, .survivors = survivors, .written = written}, kCycles);
        EXPECT_LE(figures.peak_bytes, live + growth + figures.longest_nursery) << live << ", " << survivors << ", " << written;
        EXPECT_GT(figures.full_cycles, survivors == 0 && written < 1 ? 0u : 1u);
      }
    }
  }
}

TEST(PacerMinorTest, WhereMostDieYoungAFullCycleIsRareAndLittleIsMarked) {
  const Figures none = Simulate({.live_bytes = kLive, .survivors = 0, .written = 0}, kCycles);
  EXPECT_EQ(none.full_cycles, 1u);
  const Figures few = Simulate({.live_bytes = kLive, .survivors = 0.05, .written = 0.01}, kCycles);
  EXPECT_GT(few.minor_cycles, 100 * few.full_cycles);
  EXPECT_LT(few.marked_bytes, 0.15);
}

// Full cycles alone mark a byte for each that is allocated.
TEST(PacerMinorTest, WhereMinorCyclesAreTooDearMostCyclesAreFull) {
  for (const Program& program : {Program{.live_bytes = kLive, .survivors = 0.9, .written = 0},
                                 Program{.live_bytes = kLive, .survivors = 0, .written = 0.5}}) {
    const Figures figures = Simulate(program, kCycles);
    EXPECT_LT(figures.marked_bytes, 1.3);
    EXPECT_GT(figures.full_cycles, kCycles / 4);
  }
}

// A full cycle that marks beside mutators is begun before the room is used up.
TEST(PacerMinorTest, RoomForAFullCyclesMarkingIsLeft) {
  constexpr double kRunway = 60.0 * kMiB;
  const Figures early = Simulate({.live_bytes = kLive, .survivors = 0.2, .written = 0, .runway_bytes = kRunway}, kCycles);
  const Figures late = Simulate({.live_bytes = kLive, .survivors = 0.2, .written = 0}, kCycles);
  EXPECT_GT(early.full_cycles * late.minor_cycles, late.full_cycles * early.minor_cycles);
  EXPECT_LE(early.peak_bytes, late.peak_bytes + early.longest_nursery);
}

}  // namespace
}  // namespace acre
