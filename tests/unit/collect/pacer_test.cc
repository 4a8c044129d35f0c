#include "allocator/collect/pacer.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace acre {
namespace {

constexpr size_t kMin = 4 * kMiB;

TEST(PacerTest, SmallHeapsWaitForTheLeastAndOthersForTheirShare) {
  EXPECT_EQ(GrowthFor(0, 0, 100, kMin), kMin);
  EXPECT_EQ(GrowthFor(1 * kMiB, 0, 100, kMin), kMin);
  EXPECT_NEAR(GrowthFor(10 * kMiB, 0, 100, kMin), 20 * kMiB, 100);
  EXPECT_NEAR(GrowthFor(32 * kMiB, 0, 100, kMin), 64 * kMiB, 100);
  EXPECT_NEAR(GrowthFor(50 * kMiB, 0, 100, kMin), 64 * kMiB, 100);
  EXPECT_NEAR(GrowthFor(1000 * kMiB, 0, 100, kMin), 1000 * kMiB, 100);
}

TEST(PacerTest, RootsCountLikeWhatLives) {
  EXPECT_EQ(GrowthFor(80 * kMiB, 10 * kMiB, 100, kMin), GrowthFor(90 * kMiB, 0, 100, kMin));
}

TEST(PacerTest, ThePercentageIsOfAllThatCounts) {
  EXPECT_NEAR(GrowthFor(100 * kMiB, 0, 50, kMin), 50 * kMiB, 100);
  EXPECT_NEAR(GrowthFor(100 * kMiB, 0, 400, kMin), 400 * kMiB, 400);
}

TEST(PacerTest, LeastAndGreatestPercentagesOfTheLargestHeap) {
  EXPECT_EQ(GrowthFor(size_t{1} << 47, 0, 1, kMin), (size_t{1} << 47) / 100);
  EXPECT_EQ(GrowthFor(size_t{1} << 47, 0, kMaxGcPercent, kMin), (size_t{1} << 47) / 100 * kMaxGcPercent);
}

TEST(PacerTest, ItNeverFallsWhileTheHeapGrows) {
  size_t last = 0;
  for (size_t live = 0; live < 200 * kMiB; live += kMiB / 2) {
    const size_t trigger = GrowthFor(live, 0, 100, kMin);
    EXPECT_GE(trigger, last);
    last = trigger;
  }
}

TEST(PacerTest, WhatWasBornWhileMarkingIsTakenFromTheNextGoal) {
  EXPECT_EQ(GoalFor(100 * kMiB, 0), 100 * kMiB);
  EXPECT_EQ(GoalFor(100 * kMiB, 30 * kMiB), 70 * kMiB);
  EXPECT_EQ(GoalFor(100 * kMiB, 75 * kMiB), 25 * kMiB);
  EXPECT_EQ(GoalFor(100 * kMiB, 1000 * kMiB), 25 * kMiB);
  EXPECT_EQ(GoalFor(0, 0), 0U);
}

TEST(PacerTest, TheRateIsThatOfTheLastCycleOrFallsByAQuarter) {
  EXPECT_DOUBLE_EQ(AllocationRate(0, 1000, 100), 10);
  EXPECT_DOUBLE_EQ(AllocationRate(8, 1000, 100), 10);
  EXPECT_DOUBLE_EQ(AllocationRate(100, 1000, 100), 75);
  EXPECT_DOUBLE_EQ(AllocationRate(100, 1000, 0), 75);
}

TEST(PacerTest, AConcurrentCycleBeginsSoEarlyThatItEndsBeforeTheGoal) {
  struct {
    size_t goal_bytes;
    double rate;
    uint64_t marking_ns;
    size_t trigger_bytes;
  } const kCases[] = {
      {0, 0, 0, 0},
      {64 * kMiB, 0, 0, 64 * kMiB},  // Marking has taken no time at all, or none was seen yet.
      {64 * kMiB, 0, 1'000'000'000, 64 * kMiB},
      {64 * kMiB, 1, 4 * kMiB, 59 * kMiB},  // A quarter is added.
      {64 * kMiB, 2, 16 * kMiB, 24 * kMiB},
      {64 * kMiB, 1, 39 * kMiB, 16 * kMiB},  // A quarter of the goal at least.
      {64 * kMiB, 1000, 64 * kMiB, 16 * kMiB},
      {size_t{1} << 47, 1e9, uint64_t{1} << 62, size_t{1} << 45},
  };
  for (const auto& [goal_bytes, rate, marking_ns, trigger_bytes] : kCases) {
    EXPECT_EQ(ConcurrentTriggerFor(goal_bytes, rate, marking_ns), trigger_bytes)
        << "goal " << goal_bytes << ", rate " << rate << ", marking " << marking_ns;
  }
}

TEST(PacerTest, AConcurrentCycleNeverBeginsLaterForMarkingThatTakesLonger) {
  size_t last = SIZE_MAX;
  for (uint64_t marking_ns = 0; marking_ns < 100'000'000; marking_ns += 500'000) {
    const size_t trigger = ConcurrentTriggerFor(64 * kMiB, 1, marking_ns);
    EXPECT_LE(trigger, last);
    last = trigger;
  }
}

TEST(PacerTest, TheRoomIsWhatIsLeftOfTheGoalAndAQuarterAtLeast) {
  EXPECT_EQ(RoomFor(100 * kMiB, 0), 100 * kMiB);
  EXPECT_EQ(RoomFor(100 * kMiB, 40 * kMiB), 60 * kMiB);
  EXPECT_EQ(RoomFor(100 * kMiB, 90 * kMiB), 25 * kMiB);
  EXPECT_EQ(RoomFor(100 * kMiB, 200 * kMiB), 25 * kMiB);
  EXPECT_EQ(RoomFor(0, 1), 0U);
}

TEST(PacerTest, WhoIsAheadOfTheMarkerWaitsForItAsLongAsItNeedsAndNoLonger) {
  const MarkingPace pace{.room_bytes = 100 * kMiB, .marking_ns = 10'000'000, .expected_objects = 1000};
  EXPECT_EQ(PaceDelayNs(pace, 0, 0), 0U);
  EXPECT_EQ(PaceDelayNs(pace, 50 * kMiB, 500), 0U);
  EXPECT_EQ(PaceDelayNs(pace, 50 * kMiB, 1000), 0U);
  EXPECT_EQ(PaceDelayNs(pace, 50 * kMiB, 2000), 0U);
  EXPECT_EQ(PaceDelayNs(pace, 56 * kMiB, 500), 0U);  // A sixteenth is no matter.
  EXPECT_NEAR(static_cast<double>(PaceDelayNs(pace, 60 * kMiB, 500)), 375'000, 1);
  EXPECT_EQ(PaceDelayNs(pace, 99 * kMiB, 0), kMaxPaceNs);
  EXPECT_EQ(PaceDelayNs(pace, 99 * kMiB, 1000), 0U);
  EXPECT_EQ(PaceDelayNs(pace, 100 * kMiB, 1000), kMaxLatePaceNs);
  EXPECT_EQ(PaceDelayNs({.room_bytes = 0, .marking_ns = 0, .expected_objects = 0}, 0, 0), kMaxLatePaceNs);
  EXPECT_EQ(PaceDelayNs({.room_bytes = 1, .marking_ns = 1, .expected_objects = 0}, 0, 0), 0U);
}

// ---- The pause target.

TEST(PacerTest, TheDefaultTargetIsAMillisecondOfWhichHalfIsMarkingAtMost) {
  EXPECT_EQ(StopBudgetRounds(kDefaultPauseTargetUs), 500U);
  EXPECT_EQ(ShortRoundNs(kDefaultPauseTargetUs), 1'500'000U);
  EXPECT_EQ(OldRoundNs(kDefaultPauseTargetUs), 5'000'000U);
}

TEST(PacerTest, AStopMarksAtLeastALittleAndNothingOverflows) {
  EXPECT_EQ(StopBudgetRounds(kMinPauseTargetUs), 5U);
  EXPECT_EQ(ShortRoundNs(kMaxPauseTargetUs), 1'500'000'000U);
  EXPECT_EQ(OldRoundNs(kMaxPauseTargetUs), 5'000'000'000U);
}

TEST(PacerTest, RoundsGoOnWhileTheyAreLongAndShrink) {
  constexpr uint64_t kShort = 1'500'000;
  constexpr size_t kFew = 500;
  EXPECT_EQ(PlanRound({}, 0, kShort, kFew, 0), AfterRound::kRound) << "there is always one";
  EXPECT_EQ(PlanRound({.count = 1, .pages = 1 << 20, .pages_before = 0}, kShort, kShort, kFew, 0), AfterRound::kRound);
  EXPECT_EQ(PlanRound({.count = 1, .pages = 1 << 20, .pages_before = 0}, kShort - 1, kShort, kFew, 0), AfterRound::kStop);
  EXPECT_EQ(PlanRound({.count = 1, .pages = 501, .left = 501, .pages_before = 0}, kShort - 1, kShort, kFew, 0), AfterRound::kRound)
      << "the stop would find too many";
  EXPECT_EQ(PlanRound({.count = 1, .pages = kFew, .left = kFew, .pages_before = 0}, kShort - 1, kShort, kFew, 0), AfterRound::kStop);
  EXPECT_EQ(PlanRound({.count = 2, .pages = 7000, .pages_before = 10'000}, kShort, kShort, kFew, 0), AfterRound::kRound);
  EXPECT_EQ(PlanRound({.count = 2, .pages = 7001, .pages_before = 10'000}, kShort, kShort, kFew, 0), AfterRound::kSlowerRound);
  EXPECT_EQ(PlanRound({.count = 2, .pages = kFew, .pages_before = kFew}, kShort, kShort, kFew, 0), AfterRound::kRound) << "few are found again";
  EXPECT_EQ(PlanRound({.count = 2, .pages = 9000, .pages_before = 9000}, kShort, kShort, kFew, kMaxSlowing), AfterRound::kRound);
  EXPECT_EQ(PlanRound({.count = kMaxRounds, .pages = 1, .pages_before = 9000}, kShort, kShort, kFew, 0), AfterRound::kStop);
}

TEST(PacerTest, HowManyPagesAreFewFollowsFromWhatOneTakes) {
  EXPECT_EQ(FewPages(kDefaultPauseTargetUs, kWrittenPageNs), 400U);
  EXPECT_EQ(FewPages(kDefaultPauseTargetUs, 4000), 100U);
  EXPECT_EQ(WrittenPageNs(1000, 63, 1'000'000), 1000U) << "too few to tell";
  EXPECT_EQ(WrittenPageNs(1000, 100, 250'000), 2000U);
  EXPECT_EQ(WrittenPageNs(1000, 100, 1'000'000'000), 2500U) << "one that took very long counts as four";
  EXPECT_EQ(WrittenPageNs(1000, 100, 0), 750U);
  // However dear a page was, after some rounds that found many the few are enough to be looked at again.
  uint64_t page_ns = 1'000'000;
  for (int round = 0; round < 12; ++round) page_ns = ForgottenPageNs(page_ns);
  EXPECT_GE(FewPages(kDefaultPauseTargetUs, page_ns), 300U);
}

TEST(PacerTest, WhoIsSlowedRunsForAHalfAQuarterAnEighthOfTheTime) {
  EXPECT_EQ(SlowingDelayNs(0, 1'000'000'000), 0U);
  EXPECT_EQ(SlowingDelayNs(1, 100'000), 100'000U);
  EXPECT_EQ(SlowingDelayNs(2, 100'000), 300'000U);
  EXPECT_EQ(SlowingDelayNs(3, 100'000), 700'000U);
  EXPECT_EQ(SlowingDelayNs(1, kMinPaceNs - 1), 0U) << "too short to be waited for";
  EXPECT_EQ(SlowingDelayNs(3, 1'000'000'000), kMaxLatePaceNs) << "a wait of one allocation is bounded";
}

// A program that writes to fresh pages at a steady rate while it runs, and a round that takes 0.2 ms and 0.7 us a page, or as
// many as there are.
struct Rounds {
  uint32_t count;
  uint32_t slowing;
  double stop_ns;  // For the pages that were written since the last round began.
};
Rounds RunRounds(double pages_a_ns, uint32_t pause_target_us, uint32_t slowing = 0) {
  constexpr double kScanNs = 200'000;
  constexpr double kPageNs = 700;
  constexpr double kAllPages = 400'000;
  MarkingRound round;
  double ns = 500'000'000;  // The marking before the first.
  const auto pages_of = [&](double time_ns) { return std::min(kAllPages, pages_a_ns * time_ns / (1 << slowing)); };
  for (;;) {
    // Those who allocate are slower from the next round on.
    const double pages = pages_of(ns);
    const AfterRound after = PlanRound(round, static_cast<uint64_t>(ns), ShortRoundNs(pause_target_us),
                                       FewPages(pause_target_us, kWrittenPageNs), slowing);
    if (after == AfterRound::kStop) break;
    slowing += after == AfterRound::kSlowerRound ? 1 : 0;
    round = {.count = round.count + 1, .began_ns = 0, .pages = static_cast<size_t>(pages), .pages_before = round.pages};
    ns = kScanNs + kPageNs * pages;
  }
  return {round.count, slowing, kScanNs + kPageNs * pages_of(ns)};
}

TEST(PacerTest, AShorterTargetTakesMoreRoundsAndLeavesLessForTheStop) {
  for (const double pages_a_second : {30'000.0, 100'000.0, 300'000.0, 800'000.0}) {
    const double rate = pages_a_second / 1e9;
    Rounds last = RunRounds(rate, 100);
    for (const uint32_t target_us : {300, 1000, 5000, 50'000, 1'000'000}) {
      const Rounds rounds = RunRounds(rate, target_us);
      SCOPED_TRACE(testing::Message() << pages_a_second << " pages/s, target " << target_us);
      EXPECT_LE(rounds.count, last.count);
      EXPECT_GE(rounds.stop_ns, last.stop_ns);
      EXPECT_LE(rounds.slowing, last.slowing);
      // Down to a few times what no number of rounds can better.
      const double floor_ns = 200'000 / (1 - 700 * rate);
      EXPECT_LE(rounds.stop_ns, std::max(1.1 * target_us * 1000, 3 * floor_ns));
      last = rounds;
    }
  }
}

TEST(PacerTest, AProgramThatWritesSlowlyIsNotSlowed) {
  for (const double pages_a_second : {30'000.0, 100'000.0, 300'000.0}) {
    EXPECT_EQ(RunRounds(pages_a_second / 1e9, 1000).slowing, 0U) << pages_a_second;
  }
}

// It used to be stopped for as long as a round takes that does not shrink: 280 ms.
TEST(PacerTest, AProgramThatWritesFasterThanTheMarkerReadsIsSlowedUntilTheStopIsShort) {
  for (const double pages_a_second : {1'500'000.0, 3'000'000.0, 5'000'000.0}) {
    const Rounds rounds = RunRounds(pages_a_second / 1e9, 1000);
    EXPECT_GT(rounds.slowing, 0U);
    EXPECT_LE(rounds.count, kMaxRounds);
    EXPECT_LE(rounds.stop_ns, pages_a_second > 4'000'000 ? 10e6 : 2e6) << pages_a_second;
  }
}

}  // namespace
}  // namespace acre
