#include "allocator/collect/trigger.h"

#include <gtest/gtest.h>

namespace acre {
namespace {

constexpr size_t kMin = 4 * kMiB;

TEST(TriggerTest, SmallHeapsWaitForTheLeastAndOthersForTheirShare) {
  EXPECT_EQ(TriggerFor(0, 0, 100, kMin), kMin);
  EXPECT_EQ(TriggerFor(1 * kMiB, 0, 100, kMin), kMin);
  EXPECT_NEAR(TriggerFor(10 * kMiB, 0, 100, kMin), 20 * kMiB, 100);
  EXPECT_NEAR(TriggerFor(32 * kMiB, 0, 100, kMin), 64 * kMiB, 100);
  EXPECT_NEAR(TriggerFor(50 * kMiB, 0, 100, kMin), 64 * kMiB, 100);
  EXPECT_NEAR(TriggerFor(1000 * kMiB, 0, 100, kMin), 1000 * kMiB, 100);
}

TEST(TriggerTest, RootsCountLikeWhatLives) {
  EXPECT_EQ(TriggerFor(80 * kMiB, 10 * kMiB, 100, kMin), TriggerFor(90 * kMiB, 0, 100, kMin));
}

TEST(TriggerTest, ThePercentageIsOfAllThatCounts) {
  EXPECT_NEAR(TriggerFor(100 * kMiB, 0, 50, kMin), 50 * kMiB, 100);
  EXPECT_NEAR(TriggerFor(100 * kMiB, 0, 400, kMin), 400 * kMiB, 400);
}

TEST(TriggerTest, LeastAndGreatestPercentagesOfTheLargestHeap) {
  EXPECT_EQ(TriggerFor(size_t{1} << 47, 0, 1, kMin), (size_t{1} << 47) / 100);
  EXPECT_EQ(TriggerFor(size_t{1} << 47, 0, kMaxGcPercent, kMin), (size_t{1} << 47) / 100 * kMaxGcPercent);
}

TEST(TriggerTest, ItNeverFallsWhileTheHeapGrows) {
  size_t last = 0;
  for (size_t live = 0; live < 200 * kMiB; live += kMiB / 2) {
    const size_t trigger = TriggerFor(live, 0, 100, kMin);
    EXPECT_GE(trigger, last);
    last = trigger;
  }
}

}  // namespace
}  // namespace acre
