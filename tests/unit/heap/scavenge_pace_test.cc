#include "allocator/heap/scavenge_pace.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "allocator/base/units.h"

namespace acre {
namespace {

constexpr uint64_t kMs = os::kNsPerMs;

// The first pause of what begins to be given back now.
uint64_t PauseNs(const ScavengeStep& step) { return ScavengePace().PauseNs(step, 1000 * os::kNsPerSecond); }

TEST(ScavengePace, AStepIsFollowedByNinetyNineTimesItsWork) {
  EXPECT_EQ(PauseNs({.released_bytes = 4 * kMiB, .worked_ns = kMs / 10, .idle_bytes = 100 * kMiB}), 99 * kMs / 10);
  EXPECT_EQ(PauseNs({.released_bytes = 4 * kMiB, .worked_ns = kMs, .idle_bytes = 4 * kMiB}), 99 * kMs);
}

TEST(ScavengePace, WithoutWorkItIsATick) {
  EXPECT_EQ(PauseNs({.released_bytes = 0, .worked_ns = 1000, .idle_bytes = kGiB}), kScavengeTickNs);
  EXPECT_EQ(PauseNs({.released_bytes = kMiB, .worked_ns = 1000, .idle_bytes = 0}), kScavengeTickNs);
  EXPECT_EQ(PauseNs({.released_bytes = kMiB, .worked_ns = 100 * kMs, .idle_bytes = kMiB}), kScavengeTickNs)
      << "and never more";
}

TEST(ScavengePace, StepsComeFasterWhereItWouldTakeTooLongButNotAtAnyPrice) {
  // 800 more steps of 1 ms at 1 % would take 80 s.
  EXPECT_EQ(PauseNs({.released_bytes = kMiB, .worked_ns = kMs, .idle_bytes = 399 * kMiB}), 19 * kMs);
  EXPECT_EQ(PauseNs({.released_bytes = kMiB, .worked_ns = kMs, .idle_bytes = 100'000 * kMiB}), 9 * kMs);
}

TEST(ScavengePace, TheTimeThatIsLeftCounts) {
  ScavengePace pace;
  const ScavengeStep step{.released_bytes = kMiB, .worked_ns = kMs, .idle_bytes = 399 * kMiB};
  EXPECT_EQ(pace.PauseNs(step, os::kNsPerSecond), 19 * kMs);
  EXPECT_EQ(pace.PauseNs(step, 3 * os::kNsPerSecond), 14 * kMs);
  EXPECT_EQ(pace.PauseNs(step, 8 * os::kNsPerSecond), 9 * kMs);
  EXPECT_EQ(pace.PauseNs(step, 10 * os::kNsPerSecond), 19 * kMs) << "it could not be done: anew";
  EXPECT_EQ(pace.PauseNs({.released_bytes = 0, .worked_ns = 0, .idle_bytes = 0}, 12 * os::kNsPerSecond), kScavengeTickNs);
  EXPECT_EQ(pace.PauseNs(step, 13 * os::kNsPerSecond), 19 * kMs) << "and after all was gone";
}

TEST(ScavengePace, NoNumberIsTooLarge) {
  EXPECT_LE(PauseNs({.released_bytes = 1, .worked_ns = 1'000'000'000'000, .idle_bytes = SIZE_MAX - 1}), kScavengeTickNs);
  EXPECT_LE(PauseNs({.released_bytes = SIZE_MAX, .worked_ns = 1, .idle_bytes = SIZE_MAX - 1}), kScavengeTickNs);
}

struct Simulated {
  double seconds;    // Until all is given back.
  double cpu_share;  // Of that time.
};

// An idle process with so much idle memory, where giving back costs so much a MiB.
Simulated Simulate(size_t idle_bytes, uint64_t ns_per_mib) {
  ScavengePace pace;
  uint64_t now_ns = 0;
  uint64_t worked_ns = 0;
  while (idle_bytes != 0) {
    const size_t released = std::min(idle_bytes, kScavengeStepBytes);
    idle_bytes -= released;
    const ScavengeStep step{.released_bytes = released, .worked_ns = released * ns_per_mib / kMiB, .idle_bytes = idle_bytes};
    worked_ns += step.worked_ns;
    now_ns += step.worked_ns;
    if (idle_bytes != 0) now_ns += pace.PauseNs(step, now_ns);
  }
  const auto ns = static_cast<double>(now_ns);
  return {.seconds = ns / static_cast<double>(os::kNsPerSecond), .cpu_share = static_cast<double>(worked_ns) / ns};
}

TEST(ScavengePace, AnIdleProcessIsDownInTimeAtLittleCost) {
  constexpr uint64_t kUsual = 26'000;  // 0.1 µs an os page of 4 KiB.
  constexpr uint64_t kSlow = 260'000;  // In a virtual machine, for instance.
  struct Case {
    size_t idle_bytes;
    uint64_t ns_per_mib;
    double most_seconds;
    double most_share;
  };
  constexpr double kInTime = 8.5;
  constexpr double kOnePercent = 0.011;  // The last step is followed by no pause.
  const Case cases[] = {
      {64 * kMiB, kUsual, 1, 0.012},      {kGiB, kUsual, 3, kOnePercent}, {3 * kGiB, kUsual, kInTime, kOnePercent},
      {16 * kGiB, kUsual, kInTime, 0.06}, {kGiB, kSlow, kInTime, 0.04},   {16 * kGiB, kSlow, 50, 0.101},
  };
  for (const Case& test : cases) {
    const Simulated simulated = Simulate(test.idle_bytes, test.ns_per_mib);
    EXPECT_LE(simulated.seconds, test.most_seconds) << test.idle_bytes / kMiB << " MiB at " << test.ns_per_mib;
    EXPECT_LE(simulated.cpu_share, test.most_share) << test.idle_bytes / kMiB << " MiB at " << test.ns_per_mib;
  }
}

}  // namespace
}  // namespace acre
