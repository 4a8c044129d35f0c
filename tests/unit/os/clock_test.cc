#include "os/clock.h"

#include <gtest/gtest.h>
#include <time.h>

namespace acre::os {
namespace {

uint64_t ReadClockNs(clockid_t clock) {
  timespec now;
  EXPECT_EQ(clock_gettime(clock, &now), 0);
  return static_cast<uint64_t>(now.tv_sec) * kNsPerSecond + static_cast<uint64_t>(now.tv_nsec);
}

TEST(Clock, MonotonicLiesBetweenTwoReadingsOfTheKernels) {
  const uint64_t before = ReadClockNs(CLOCK_MONOTONIC);
  const uint64_t now = MonotonicNs();
  const uint64_t after = ReadClockNs(CLOCK_MONOTONIC);
  EXPECT_LE(before, now);
  EXPECT_LE(now, after);
}

TEST(Clock, CoarseTimeIsNeverAheadAndLagsByMillisecondsAtMost) {
  const uint64_t coarse_before = ReadClockNs(CLOCK_MONOTONIC_COARSE);
  const uint64_t coarse = CoarseMonotonicNs();
  EXPECT_LE(coarse_before, coarse);
  EXPECT_LE(coarse, MonotonicNs());
}

TEST(Clock, ThreadTimeGrowsWithWork) {
  const uint64_t before = ThreadCpuNs();
  uint64_t after = before;
  const uint64_t deadline_ns = MonotonicNs() + 10 * kNsPerSecond;
  while (after < before + kNsPerMs && MonotonicNs() < deadline_ns) after = ThreadCpuNs();
  EXPECT_GE(after, before + kNsPerMs);
  EXPECT_LT(after, before + kNsPerSecond);
}

}  // namespace
}  // namespace acre::os
