#include "allocator/heap/low_water.h"

#include <gtest/gtest.h>

#include <deque>

#include "tests/support/seed.h"

namespace acre {
namespace {

constexpr uint64_t kQuarter = 100;
constexpr uint64_t kBegin = 1'000'000;

// A stock of `level` that has been watched for a whole window from kBegin on; the next quarter begins at `*now`.
LowWater Watched(size_t level, uint64_t* now) {
  LowWater low;
  for (*now = kBegin; *now < kBegin + 5 * kQuarter; *now += kQuarter)
    static_cast<void>(low.Advance(*now, kQuarter, level));
  return low;
}

TEST(LowWater, NothingIsIdleBeforeTheWindowIsFull) {
  LowWater low;
  EXPECT_EQ(low.Advance(kBegin, kQuarter, 50), 0u);
  EXPECT_EQ(low.Advance(kBegin + kQuarter / 2, kQuarter, 50), 0u);
  EXPECT_EQ(low.Advance(kBegin + kQuarter, kQuarter, 50), 0u);
  EXPECT_EQ(low.Advance(kBegin + 2 * kQuarter, kQuarter, 50), 0u);
}

TEST(LowWater, UntouchedStockIsIdleAfterAWindow) {
  uint64_t now = 0;
  LowWater low = Watched(50, &now);
  EXPECT_EQ(low.Advance(now, kQuarter, 50), 50u);
}

TEST(LowWater, LeastLevelOfTheWindowIsIdle) {
  uint64_t now = 0;
  LowWater low = Watched(50, &now);
  low.Note(20);
  EXPECT_EQ(low.Advance(now, kQuarter, 60), 20u);
  EXPECT_EQ(low.Advance(now + kQuarter, kQuarter, 60), 20u);
  EXPECT_EQ(low.Advance(now + 2 * kQuarter, kQuarter, 60), 20u);
  EXPECT_EQ(low.Advance(now + 3 * kQuarter, kQuarter, 60), 60u) << "the window has passed";
}

TEST(LowWater, FreshRiseIsNotIdle) {
  uint64_t now = 0;
  LowWater low = Watched(0, &now);
  EXPECT_EQ(low.Advance(now, kQuarter, 100), 0u);
  EXPECT_EQ(low.Advance(now + kQuarter, kQuarter, 100), 0u);
}

TEST(LowWater, WhatWasTakenAwayDoesNotCountAgain) {
  uint64_t now = 0;
  LowWater low = Watched(50, &now);
  ASSERT_EQ(low.Advance(now, kQuarter, 50), 50u);
  low.Subtract(50);
  EXPECT_EQ(low.Advance(now + 1, kQuarter, 0), 0u);
  EXPECT_EQ(low.Advance(now + 2, kQuarter, 30), 0u);
}

TEST(LowWater, MoreThanTheStockIsNeverIdle) {
  uint64_t now = 0;
  LowWater low = Watched(50, &now);
  EXPECT_EQ(low.Advance(now, kQuarter, 10), 10u) << "even if nobody noted the fall";
}

TEST(LowWater, TimeThatGoesBackMakesNothingIdle) {
  // Callers read different clocks, and read them before they have the lock.
  uint64_t now = 0;
  LowWater low = Watched(0, &now);
  EXPECT_EQ(low.Advance(now, kQuarter, 100), 0u);
  EXPECT_EQ(low.Advance(now - 1, kQuarter, 100), 0u);
  EXPECT_EQ(low.Advance(now - kQuarter / 2, kQuarter, 100), 0u);
  EXPECT_EQ(low.Advance(now + 1, kQuarter, 100), 0u);
}

TEST(LowWater, ShortageInALongSilenceIsNotForgotten) {
  // Nobody let time pass for long, but the stock was used up a moment ago: what is there now has not been idle.
  uint64_t now = 0;
  LowWater low = Watched(50, &now);
  low.Note(0);
  EXPECT_EQ(low.Advance(now + 100 * kQuarter, kQuarter, 80), 0u);
}

TEST(LowWater, StockThatNobodyTouchedInALongSilenceIsIdleAtOnce) {
  uint64_t now = 0;
  LowWater low = Watched(50, &now);
  EXPECT_EQ(low.Advance(now + 100 * kQuarter, kQuarter, 50), 50u);
}

TEST(LowWater, ResultIsNeverMoreThanTheLeastLevelOfTheLastThreeQuarters) {
  // The reference keeps every level with its time. Four quarters are kept of which one has just begun.
  testing::Random random(testing::Seed("low water"));
  LowWater low;
  struct Level {
    uint64_t time;
    size_t level;
  };
  std::deque<Level> history;
  uint64_t now = kBegin;
  size_t level = 100;
  for (int round = 0; round < 100'000; ++round) {
    now += random.OneIn(50) ? random.Below(10 * kQuarter) : random.Below(kQuarter / 4);
    level = random.OneIn(20) ? random.Below(5) : level + random.Below(3);
    history.push_back({now, level});
    low.Note(level);
    if (!random.OneIn(3)) continue;
    const size_t idle = low.Advance(now, kQuarter, level);
    // A level holds until the next one: keep the last before the window.
    while (history.size() > 1 && history[1].time + 3 * kQuarter <= now) history.pop_front();
    size_t least = level;
    for (const Level& past : history) {
      if (past.time + 3 * kQuarter > now || &past != &history.front()) least = std::min(least, past.level);
    }
    ASSERT_LE(idle, least) << "round " << round;
  }
}

}  // namespace
}  // namespace acre
