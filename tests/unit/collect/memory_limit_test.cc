#include "allocator/collect/memory_limit.h"

#include <gtest/gtest.h>

namespace acre {
namespace {

constexpr size_t kGiB = 1024 * kMiB;

TEST(MemoryLimitTest, TheContainersLimitCountsIfItIsLessThanTheMachinesMemory) {
  EXPECT_EQ(DefaultMemoryLimit(SIZE_MAX, 16 * kGiB), kNoMemoryLimit);
  EXPECT_EQ(DefaultMemoryLimit(16 * kGiB, 16 * kGiB), kNoMemoryLimit);
  EXPECT_EQ(DefaultMemoryLimit(SIZE_MAX, SIZE_MAX), kNoMemoryLimit);
  EXPECT_EQ(DefaultMemoryLimit(1000 * kMiB, 16 * kGiB), 900 * kMiB);
  EXPECT_EQ(DefaultMemoryLimit(8 * kGiB, 16 * kGiB), 8 * kGiB - 256 * kMiB);
}

TEST(MemoryLimitTest, TheTargetLeavesAThirtySecondOrAMebibyte) {
  EXPECT_EQ(TargetFor(kNoMemoryLimit), kNoMemoryLimit);
  EXPECT_EQ(TargetFor(320 * kMiB), 310 * kMiB);
  EXPECT_EQ(TargetFor(8 * kMiB), 7 * kMiB);
  EXPECT_EQ(TargetFor(1 * kMiB), kMiB / 2);
  EXPECT_EQ(TargetFor(0), 0U);
}

TEST(MemoryLimitTest, WhatLivesIsOverUntilItKeepsWithinTheTarget) {
  EXPECT_FALSE(IsOverLimit(320 * kMiB, 320 * kMiB, false));
  EXPECT_TRUE(IsOverLimit(321 * kMiB, 320 * kMiB, false));
  EXPECT_TRUE(IsOverLimit(311 * kMiB, 320 * kMiB, true));
  EXPECT_FALSE(IsOverLimit(310 * kMiB, 320 * kMiB, true));
  EXPECT_FALSE(IsOverLimit(SIZE_MAX, kNoMemoryLimit, false));
}

TEST(MemoryLimitTest, TheCeilingIsTheTargetOrALittleMoreThanACycleHasLeft) {
  LimitView view{.target_bytes = 300 * kMiB, .used_bytes = 0, .low_bytes = 100 * kMiB, .live_bytes = 64 * kMiB,
                 .allocated_bytes = 0};
  EXPECT_EQ(CeilingFor(view), 300 * kMiB);
  view.low_bytes = 320 * kMiB;
  EXPECT_EQ(CeilingFor(view), 322 * kMiB);
  view.live_bytes = 0;
  EXPECT_EQ(CeilingFor(view), 320 * kMiB + 256 * kKiB);
}

TEST(MemoryLimitTest, TheRoomIsPagesBelowTheCeilingAndHalfOfTheFreeSlots) {
  LimitView view{.target_bytes = 300 * kMiB, .used_bytes = 200 * kMiB, .low_bytes = 200 * kMiB, .live_bytes = 100 * kMiB,
                 .allocated_bytes = 60 * kMiB};
  EXPECT_EQ(RoomBelowCeiling(view), 100 * kMiB + 20 * kMiB);
  view.allocated_bytes = 200 * kMiB;
  EXPECT_EQ(RoomBelowCeiling(view), 100 * kMiB);
  view.used_bytes = 400 * kMiB;
  EXPECT_EQ(RoomBelowCeiling(view), 50 * kMiB);
  EXPECT_EQ(RoomWithinLimit(view, 500 * kMiB), 50 * kMiB);
  EXPECT_EQ(RoomWithinLimit(view, 5 * kMiB), 5 * kMiB);
  view.allocated_bytes = 300 * kMiB;
  EXPECT_EQ(RoomWithinLimit(view, 500 * kMiB), LeastGrowth(100 * kMiB));
}

TEST(MemoryLimitTest, AThreadGoesOnUntilPagesInUseComeToTheCeiling) {
  const LimitView below{.target_bytes = 300 * kMiB, .used_bytes = 200 * kMiB, .low_bytes = 200 * kMiB,
                        .live_bytes = 190 * kMiB, .allocated_bytes = 10 * kMiB};
  EXPECT_EQ(GoOnFor(below, 0, SIZE_MAX, 0), 100 * kMiB);
  EXPECT_EQ(GoOnFor(below, 30 * kMiB, SIZE_MAX, 0), 70 * kMiB) << "so much is allocated while a cycle marks";
  EXPECT_EQ(GoOnFor(below, 100 * kMiB, SIZE_MAX, 0), 0U);
  EXPECT_EQ(GoOnFor(below, 0, 50 * kMiB, 0), 50 * kMiB) << "until gc_percent asks";
  EXPECT_EQ(GoOnFor(below, 0, 0, UINT64_MAX), 0U) << "which it does whatever is owed";
}

TEST(MemoryLimitTest, ExternalMemoryStaysBetweenNothingAndAllAddresses) {
  struct {
    size_t bytes;
    ptrdiff_t delta;
    size_t adjusted;
    bool is_right;
  } const kCases[] = {{0, 0, 0, true},
                      {0, 5, 5, true},
                      {5, -5, 0, true},
                      {5, -6, 0, false},
                      {0, PTRDIFF_MIN, 0, false},
                      {kMaxExternalBytes - 1, 1, kMaxExternalBytes, true},
                      {kMaxExternalBytes, 1, kMaxExternalBytes, false},
                      {1, PTRDIFF_MAX, kMaxExternalBytes, false}};
  for (const auto& [bytes, delta, adjusted, is_right] : kCases) {
    bool was_right;
    EXPECT_EQ(AdjustedExternal(bytes, delta, &was_right), adjusted) << bytes << ", " << delta;
    EXPECT_EQ(was_right, is_right) << bytes << ", " << delta;
  }
}

TEST(MemoryLimitTest, NoCycleBeginsBeforeALittleWasAllocated) {
  const LimitView view{.target_bytes = 300 * kMiB, .used_bytes = 400 * kMiB, .low_bytes = 320 * kMiB,
                       .live_bytes = 320 * kMiB, .allocated_bytes = 4 * kMiB};
  EXPECT_EQ(GoOnFor(view, 0, SIZE_MAX, 0), 6 * kMiB);
  EXPECT_EQ(GoOnFor(view, 100 * kMiB, SIZE_MAX, 0), 6 * kMiB);
}

TEST(MemoryLimitTest, NoCycleBeginsForTheLimitsSakeWhileTheCollectorOwes) {
  const LimitView above{.target_bytes = 300 * kMiB, .used_bytes = 350 * kMiB, .low_bytes = 200 * kMiB,
                        .live_bytes = 190 * kMiB, .allocated_bytes = 100 * kMiB};
  EXPECT_EQ(GoOnFor(above, 0, SIZE_MAX, kMaxDebtNs - 1), 0U);
  EXPECT_EQ(GoOnFor(above, 0, SIZE_MAX, kMaxDebtNs), kLimitStepBytes);
}

TEST(MemoryLimitTest, TheDebtIsWorkedOffAndNeverMoreThanTheLastCycleBeyondTheMost) {
  EXPECT_EQ(DebtAfter(0, 30, 100), 100U) << "nothing is saved up";
  EXPECT_EQ(DebtAfter(70, 30, 0), 40U);
  EXPECT_EQ(DebtAfter(70, 100, 5), 5U);
  EXPECT_EQ(DebtAfter(kMaxDebtNs + 300, 301, 500), kMaxDebtNs + 499);
  EXPECT_EQ(DebtAfter(kMaxDebtNs + 1000, 0, 500), kMaxDebtNs + 500);
}

TEST(MemoryLimitTest, StopsCountInFullAndMarkersByTheirShareOfTheCpus) {
  EXPECT_EQ(CollectorNs({100, 0, 0, 2, 1}, 1000), 100U);
  EXPECT_EQ(CollectorNs({0, 100, 0, 2, 1}, 1000), 50U);
  EXPECT_EQ(CollectorNs({0, 0, 100, 2, 1}, 1000), 100U) << "the only thread waited";
  EXPECT_EQ(CollectorNs({0, 0, 100, 2, 8}, 1000), 50U);
  EXPECT_EQ(CollectorNs({0, 0, 100, 8, 4}, 1000), 25U);
  EXPECT_EQ(CollectorNs({0, 0, 100, 8, 0}, 1000), 100U);
  EXPECT_EQ(CollectorNs({7, 5000, 100, 1, 1}, 1000), 1007U) << "no more than there was";
}

}  // namespace
}  // namespace acre
