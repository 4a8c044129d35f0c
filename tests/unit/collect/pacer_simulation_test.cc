// The pacer's policy at work: a heap without objects, threads or clock, which calls the functions of pacer.h when and
// with what the collector calls them. Simulated nanoseconds, no random numbers: every figure is the same in each run.
//
// Left out: stops, sweeping, shades. `pace` below is a program's speed as a share of the marker's: 0.3 allocates 0.3 of
// what lives in the time that marking takes.
//
// The best that the policy can do, where what lives is constant (1): marking takes the time 1 and `born` bytes are
// allocated meanwhile, so that the goal is 1 - born, of which three quarters may be room. A program with pace > 3/7 is
// held back to born = 3/7: it allocates 4/7 each cycle (1.75 cycles for what lives) in the time 1 + 1/(7 pace), and so
// waits for 1 - 4/(7 pace + 1) of it.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "allocator/collect/pacer.h"

namespace acre {
namespace {

constexpr double kSpeed = 3.2;  // Bytes a nanosecond: 64-byte objects in 20 ns.
constexpr double kLive = 256.0 * kMiB;
constexpr double kMarkingNs = kLive / kSpeed;  // 84 ms.
constexpr size_t kGrainBytes = 16 * kKiB;      // Allocated at a time, as by runs.
constexpr size_t kMinTriggerBytes = 4 * kMiB;
constexpr size_t kHelpedBytes = 32 * kMiB;  // With less, the world is stopped: CollectedHeapOptions.
constexpr double kLongestMs = kMaxLatePaceNs / 1e6;

constexpr double Real(uint64_t number) { return static_cast<double>(number); }
constexpr uint64_t Whole(double number) { return static_cast<uint64_t>(number); }

// Of what lives; they are marked one after the other.
struct Part {
  double share;
  double object_bytes;
  double object_ns;  // To mark one.
};

struct Program {
  std::function<double(double ns)> pace;
  std::function<double(double ns, double allocated)> live = [](double, double) { return kLive; };
  double root_bytes = 0;
  uint32_t threads = 1;
  std::vector<Part> parts = {{1, 64, 20}};
  double marker_cpus = 1;
  bool stalls_while_marking = false;
};

// From the end of the cycle before.
struct Cycle {
  double began_ns;
  double ended_ns;
  double interval_ns;
  double live_bytes;  // At the snapshot.
  double allocated_bytes;
  double heap_bytes;  // At the end, when it is largest.
  double waited_ns;   // By all threads.
  double longest_wait_ns;
};

class Simulation {
 public:
  explicit Simulation(Program program) : program_(std::move(program)), free_ns_(program_.threads, 0) {
    BeginCycle(0);  // All there is at the start is collected.
    EndCycle(0);
    cycles_.clear();
  }

  const std::vector<Cycle>& RunUntil(double end_ns) {
    for (;;) {
      double& free_ns = *std::min_element(free_ns_.begin(), free_ns_.end());
      if (free_ns >= end_ns) return cycles_;
      const double now_ns = free_ns;
      const double rate = program_.pace(now_ns) * kSpeed;
      if (rate == 0 || (program_.stalls_while_marking && is_marking_ && now_ns < ready_ns_)) {
        constexpr double kIdleNs = 100'000;
        free_ns += kIdleNs;
        continue;
      }
      allocated_ += kGrainBytes;
      allocated_in_all_ += kGrainBytes;
      free_ns += Real(kGrainBytes) * program_.threads / rate;
      free_ns += OnAllocation(now_ns);
    }
  }

 private:
  // Returns for how long the thread is held up. Like CollectBeside.
  double OnAllocation(double now_ns) {
    if (is_marking_ && now_ns >= ready_ns_) {
      EndCycle(now_ns);
      return 0;
    }
    if (allocated_ < trigger_) return 0;
    if (is_marking_) return KeepPace(now_ns);
    has_helpers_ |= kept_ + allocated_ >= kHelpedBytes;
    BeginCycle(now_ns);
    if (has_helpers_) return 0;
    EndCycle(now_ns + MarkingNs());
    for (double& free_ns : free_ns_) free_ns = std::max(free_ns, ended_ns_);
    return 0;
  }

  // Like TakeSnapshot and StartMarkingBeside.
  void BeginCycle(double now_ns) {
    cycle_ = {.began_ns = now_ns, .live_bytes = program_.live(now_ns, Real(allocated_in_all_))};
    rate_ = AllocationRate(rate_, allocated_, Whole(now_ns - ended_ns_));
    allocated_at_snapshot_ = allocated_;
    pace_.room_bytes = RoomFor(goal_, allocated_);
    trigger_ = allocated_ + PaceStep(pace_.room_bytes, 0);
    ready_ns_ = now_ns + MarkingNs() / program_.marker_cpus;
    is_marking_ = true;
    is_somebody_woken_ = false;
  }

  double KeepPace(double now_ns) {
    trigger_ = allocated_ + PaceStep(pace_.room_bytes, 0);
    const size_t scanned = ScannedObjects((now_ns - cycle_.began_ns) * program_.marker_cpus);
    double wait_ns = Real(PaceDelayNs(pace_, allocated_ - allocated_at_snapshot_, scanned));
    if (now_ns + wait_ns > ready_ns_ && !is_somebody_woken_) {
      is_somebody_woken_ = true;  // One waits for the event that the marker signals; others sleep on.
      wait_ns = ready_ns_ - now_ns;
    }
    cycle_.waited_ns += wait_ns;
    cycle_.longest_wait_ns = std::max(cycle_.longest_wait_ns, wait_ns);
    return wait_ns;
  }

  // Like EndMarking.
  void EndCycle(double now_ns) {
    is_marking_ = false;
    cycle_.ended_ns = now_ns;
    cycle_.interval_ns = now_ns - ended_ns_;
    cycle_.allocated_bytes = Real(allocated_);
    cycle_.heap_bytes = Real(kept_ + allocated_);
    cycles_.push_back(cycle_);
    const size_t born = allocated_ - allocated_at_snapshot_;
    const size_t reached = Whole(cycle_.live_bytes);
    kept_ = reached + born;
    goal_ = GoalFor(GrowthFor(reached, Whole(program_.root_bytes), 100, kMinTriggerBytes), born);
    pace_.marking_ns = Whole(MarkingNs());  // CPU time.
    pace_.expected_objects = ScannedObjects(MarkingNs() + 1);
    trigger_ = has_helpers_ ? ConcurrentTriggerFor(goal_, rate_, pace_.marking_ns) : goal_;
    ended_ns_ = now_ns;
    allocated_ = 0;
  }

  double MarkingNs() const {
    double ns = 0;
    for (const Part& part : program_.parts) ns += cycle_.live_bytes * part.share / part.object_bytes * part.object_ns;
    return ns;
  }

  size_t ScannedObjects(double cpu_ns) const {
    size_t objects = 0;
    for (const Part& part : program_.parts) {
      const double count = std::min(cycle_.live_bytes * part.share / part.object_bytes, cpu_ns / part.object_ns);
      objects += Whole(count);
      cpu_ns -= count * part.object_ns;
    }
    return objects;
  }

  const Program program_;
  std::vector<double> free_ns_;  // When each thread goes on.
  std::vector<Cycle> cycles_;
  Cycle cycle_{};
  MarkingPace pace_{};
  bool is_marking_ = false;
  bool has_helpers_ = false;
  bool is_somebody_woken_ = false;
  size_t kept_ = 0;  // By the last cycle.
  size_t allocated_ = 0;
  size_t allocated_in_all_ = 0;
  size_t allocated_at_snapshot_ = 0;
  size_t trigger_ = 0;
  size_t goal_ = 0;
  double rate_ = 0;
  double ended_ns_ = 0;
  double ready_ns_ = 0;
};

struct Figures {
  double cycles = 0;          // In all the time that it takes to allocate as much as lives.
  double peak = 0;            // Of the heap: 1 is twice what lives and the roots.
  double waited = 0;          // The share of the threads' time.
  double worst_cycle_ms = 0;  // Most that a cycle held up a thread, on the average of threads.
};

// Of the cycles [base, limit). No wait is longer than it may be, and no program whatever has a storm of cycles.
Figures Sum(const Program& program, const std::vector<Cycle>& cycles, size_t base, size_t limit = SIZE_MAX) {
  limit = std::min(limit, cycles.size());
  EXPECT_LT(base, limit);
  Figures sum;
  double allocated = 0, live = 0, waited_ns = 0, ns = 0;
  for (size_t i = base; i < limit; ++i) {
    const Cycle& cycle = cycles[i];
    EXPECT_LE(cycle.longest_wait_ns, kMaxLatePaceNs) << "cycle " << i;
    const double last_live = i == 0 ? 0 : cycles[i - 1].live_bytes;
    const double twice = 2 * std::max(cycle.live_bytes, last_live) + program.root_bytes;
    sum.peak = std::max(sum.peak, cycle.heap_bytes / twice);
    sum.worst_cycle_ms = std::max(sum.worst_cycle_ms, cycle.waited_ns / program.threads / 1e6);
    allocated += cycle.allocated_bytes;
    live += cycle.live_bytes;
    waited_ns += cycle.waited_ns;
    ns += cycle.interval_ns * program.threads;
  }
  sum.cycles = live / allocated;
  sum.waited = waited_ns / ns;
  EXPECT_LE(sum.cycles, 4.1);  // At least a quarter of a growth, of which a quarter is left, before a cycle begins.
  return sum;
}

std::function<double(double)> Steadily(double pace) {
  return [pace](double) { return pace; };
}

std::function<double(double)> First(double pace, double until_ns, double then) {
  return [=](double ns) { return ns < until_ns ? pace : then; };
}

std::function<double(double, double)> Keeps(double live) {
  return [live](double, double) { return live; };
}

double LeastWait(double pace) { return std::max(0.0, 1 - 4 / (7 * pace + 1)); }

// Settled: the rate is known after one cycle, and what swings dies down by a quarter with each.
Figures Settled(const Program& program, double live = kLive) {
  const double pace = program.pace(0);
  return Sum(program, Simulation(program).RunUntil(30 * live / kSpeed / program.marker_cpus / std::min(pace, 1.0)), 10);
}

size_t FirstEndedAfter(const std::vector<Cycle>& cycles, double ns) {
  size_t number = 0;
  while (cycles[number].ended_ns <= ns) ++number;
  return number;
}

TEST(PacerSimulationTest, ASteadyHeapKeepsWithinTwiceWhatLivesAndItsProgramWaitsNoMoreThanItMust) {
  for (const double live : {64.0 * kMiB, kLive, 1024.0 * kMiB}) {
    for (const double pace : {0.03, 0.1, 0.3, 0.4, 0.5, 1.0, 3.0, 10.0}) {
      const Figures figures = Settled({.pace = Steadily(pace), .live = Keeps(live)}, live);
      SCOPED_TRACE(testing::Message() << live / kMiB << " MiB, pace " << pace);
      EXPECT_LE(figures.peak, 1.01);
      EXPECT_GE(figures.peak, 0.95);    // Nor is memory left unused.
      EXPECT_LE(figures.cycles, 1.85);  // 1.04 at a pace of 0.03.
      EXPECT_NEAR(figures.waited, LeastWait(pace), 0.01);
      if (pace < 3.0 / 7) {
        EXPECT_EQ(figures.waited, 0);
      }
    }
  }
}

TEST(PacerSimulationTest, ManyThreadsAreHeldBackAsOneIs) {
  for (const uint32_t threads : {4, 16}) {
    for (const double pace : {0.1, 0.3, 1.0, 10.0}) {
      const Figures figures = Settled({.pace = Steadily(pace), .threads = threads});
      SCOPED_TRACE(testing::Message() << threads << " threads, pace " << pace);
      EXPECT_LE(figures.peak, 1.03);  // Each may pass the goal by a step in 5 ms.
      EXPECT_LE(figures.cycles, 1.85);
      EXPECT_NEAR(figures.waited, LeastWait(pace), 0.015);
    }
  }
}

// The first cycle beside threads begins at its goal, since the one before was stopped: the room is beyond it. 14 ms of
// 84 are waited.
TEST(PacerSimulationTest, TheFirstCycleHasTheLeastRoom) {
  const Program program{.pace = Steadily(0.3)};
  const auto cycles = Simulation(program).RunUntil(20 * kMarkingNs);
  const Figures first = Sum(program, cycles, 0, 1);
  EXPECT_LE(first.peak, 1.13);
  EXPECT_LE(first.worst_cycle_ms, 15);
  EXPECT_EQ(Sum(program, cycles, 1).waited, 0);
}

// Two cycles find less room than they need: 16 and 31 ms of 84 are waited.
TEST(PacerSimulationTest, AFasterProgramIsKnownAfterTwoCycles) {
  for (const double pace : {0.3, 1.0, 3.0}) {
    const Program program{.pace = First(0.03, 200 * kMarkingNs, pace)};
    const auto cycles = Simulation(program).RunUntil(230 * kMarkingNs);
    const size_t changed = FirstEndedAfter(cycles, 200 * kMarkingNs);
    SCOPED_TRACE(pace);
    const Figures step = Sum(program, cycles, changed, changed + 2);
    EXPECT_LE(step.peak, 1.11);
    EXPECT_LE(step.worst_cycle_ms, pace < 1 ? 32 : 79);
    const Figures after = Sum(program, cycles, changed + 2);
    EXPECT_LE(after.peak, 1.01);
    EXPECT_LE(after.cycles, 1.85);
    EXPECT_NEAR(after.waited, LeastWait(pace), 0.02);
  }
}

// The rate that is remembered falls by a quarter each cycle, so cycles begin too early for some time.
TEST(PacerSimulationTest, ASlowerProgramStopsWaitingAtOnceAndHasFewCyclesAfterTen) {
  const Program program{.pace = First(1, 100 * kMarkingNs, 0.03)};
  const auto cycles = Simulation(program).RunUntil(700 * kMarkingNs);
  const size_t changed = FirstEndedAfter(cycles, 100 * kMarkingNs);
  const Figures step = Sum(program, cycles, changed + 1, changed + 11);
  EXPECT_EQ(step.waited, 0);
  EXPECT_LE(step.cycles, 2);
  const Figures after = Sum(program, cycles, changed + 11);
  EXPECT_LE(after.cycles, 1.1);
  EXPECT_LE(after.peak, 1.01);
}

TEST(PacerSimulationTest, OneQuietTimeIsNoMatter) {
  const auto pace = [](double ns) { return ns < 100 * kMarkingNs || ns > 10'000 * kMarkingNs ? 0.3 : 0; };
  const Program program{.pace = pace};
  const auto cycles = Simulation(program).RunUntil(10'050 * kMarkingNs);
  const Figures after = Sum(program, cycles, FirstEndedAfter(cycles, 10'000 * kMarkingNs));
  EXPECT_LE(after.worst_cycle_ms, kLongestMs + 0.2);
  EXPECT_LE(after.peak, 1.01);
}

// After many slow cycles the rate is forgotten, and a burst that comes before the next one finds the least room: 14 ms
// of 84 are waited, 31 in the second cycle, none from the third on.
TEST(PacerSimulationTest, ABurstAfterManySlowCyclesFindsTheLeastRoom) {
  const Program program{.pace = First(0.001, 20'000 * kMarkingNs, 0.3)};
  const auto cycles = Simulation(program).RunUntil(20'050 * kMarkingNs);
  const size_t changed = FirstEndedAfter(cycles, 20'000 * kMarkingNs);
  EXPECT_EQ(Sum(program, cycles, 1, changed).waited, 0);
  const Figures step = Sum(program, cycles, changed, changed + 2);
  EXPECT_LE(step.worst_cycle_ms, 32);
  EXPECT_LE(step.peak, 1.13);
  EXPECT_EQ(Sum(program, cycles, changed + 2).waited, 0);
}

// Marking takes longer each time than the time before says. Programs wait where a constant heap would let them run.
TEST(PacerSimulationTest, AGrowingHeapCostsTwoCyclesForWhatLives) {
  struct {
    double pace;
    double survives;
    double waited;  // For what constant heaps wait, see LeastWait.
  } const kCases[] = {{0.1, 0.1, 0},  {0.1, 0.5, 0},  {0.1, 1, 0},  {0.5, 0.1, 0.13}, {0.5, 0.5, 0.20}, {0.5, 1, 0.27},
                      {1, 0.1, 0.52}, {1, 0.5, 0.56}, {1, 1, 0.60}, {3, 0.1, 0.83},   {3, 0.5, 0.84},   {3, 1, 0.84}};
  for (const auto& [pace, survives, waited] : kCases) {
    const auto live = [share = survives](double, double allocated) { return 1.0 * kMiB + share * allocated; };
    const Program program{.pace = Steadily(pace), .live = live};
    const auto cycles = Simulation(program).RunUntil(2048.0 * kMiB / survives / pace / kSpeed);
    SCOPED_TRACE(testing::Message() << "pace " << pace << ", survives " << survives);
    const Figures figures = Sum(program, cycles, 0);
    EXPECT_LE(figures.waited, waited);
    EXPECT_LE(figures.cycles, 2.3);
    for (const Cycle& cycle : cycles) EXPECT_LE(cycle.heap_bytes, 2 * cycle.live_bytes + kSmallHeapBytes + 12 * kMiB);
  }
}

TEST(PacerSimulationTest, AfterMostHasDiedTheNextCycleKnows) {
  for (const double pace : {0.1, 0.3, 1.0, 3.0}) {
    const auto live = [](double ns, double) { return ns < 50 * kMarkingNs ? 1024.0 * kMiB : 64.0 * kMiB; };
    const Program program{.pace = Steadily(pace), .live = live};
    const auto cycles = Simulation(program).RunUntil(150 * kMarkingNs);
    const size_t changed = FirstEndedAfter(cycles, 50 * kMarkingNs);
    SCOPED_TRACE(pace);
    EXPECT_LE(Sum(program, cycles, 0, changed + 2).peak, 1.13);  // In the first cycle.
    const Figures after = Sum(program, cycles, changed + 2);
    EXPECT_LE(after.peak,
              1.08);  // Once: 49 MiB were born in the cycle that found 64 alive, yet a quarter of the growth is left.
    EXPECT_LE(after.cycles, 1.85);
    EXPECT_NEAR(after.waited, LeastWait(pace), 0.01);
  }
}

TEST(PacerSimulationTest, AHeapThatShrinksSlowlyIsLikeAConstantOne) {
  for (const double pace : {0.3, 1.0}) {
    const auto live = [](double ns, double) { return 1024.0 * kMiB - 960.0 * kMiB * ns / (200 * kMarkingNs); };
    const Program program{.pace = Steadily(pace), .live = live};
    const Figures figures = Sum(program, Simulation(program).RunUntil(200 * kMarkingNs), 3);
    SCOPED_TRACE(pace);
    EXPECT_LE(figures.peak, 1.01);
    EXPECT_LE(figures.cycles, 1.85);
    EXPECT_NEAR(figures.waited, LeastWait(pace), 0.02);
  }
}

TEST(PacerSimulationTest, RootsGiveRoomToAllocateIn) {
  for (const double pace : {0.1, 1.0, 3.0}) {
    const Program program{.pace = Steadily(pace), .live = Keeps(64.0 * kMiB), .root_bytes = 1024.0 * kMiB};
    const Figures figures = Sum(program, Simulation(program).RunUntil(200 * kMarkingNs), 2);
    SCOPED_TRACE(pace);
    EXPECT_LE(figures.peak, 1.01);
    EXPECT_LE(figures.cycles, 0.1);
    EXPECT_EQ(figures.waited, 0);
  }
}

// At 3 it costs four cycles for what lives, where one would do: room is kept that nobody uses.
TEST(PacerSimulationTest, AProgramThatStallsWhileMarkingNeverWaits) {
  for (const double pace : {0.3, 3.0}) {
    const Figures figures = Settled({.pace = Steadily(pace), .stalls_while_marking = true});
    SCOPED_TRACE(pace);
    EXPECT_EQ(figures.waited, 0);
    EXPECT_LE(figures.cycles, pace < 1 ? 1.65 : 4.05);
    EXPECT_LE(figures.peak, 1.01);
  }
}

// What is expected is CPU time, so a cycle begins as late as if the marker had a CPU, each time again. At 0.1
// the program waits for 10 % of its time, where none were needed if the time by the clock were expected.
TEST(PacerSimulationTest, AMarkerWithAThirdOfACpuHoldsUpSlowProgramsToo) {
  struct {
    double pace;
    double waited;
  } const kCases[] = {{0.01, 0}, {0.05, 0}, {0.1, 0.11}, {0.2, 0.33}, {0.3, 0.47}, {1, 0.83}};
  for (const auto& [pace, waited] : kCases) {
    const Figures figures = Settled({.pace = Steadily(pace), .marker_cpus = 1.0 / 3});
    SCOPED_TRACE(pace);
    EXPECT_LE(figures.peak, 1.05);
    EXPECT_LE(figures.cycles, 1.85);
    EXPECT_LE(figures.waited, waited);
  }
}

TEST(PacerSimulationTest, ObjectsMayBeSmallOrLargeIfTheyAreAlike) {
  for (const double object_bytes : {16.0, 4096.0, 4.0 * kMiB}) {
    for (const double pace : {0.03, 0.3, 1.0}) {
      const Program program{.pace = Steadily(pace), .parts = {{1, object_bytes, object_bytes / kSpeed}}};
      const Figures figures = Settled(program);
      SCOPED_TRACE(testing::Message() << object_bytes << " bytes, pace " << pace);
      EXPECT_LE(figures.peak, 1.01);
      EXPECT_NEAR(figures.waited, LeastWait(pace), 0.01);
    }
  }
}

// Progress is told in objects. Large ones first, then small ones that are many: the marker seems late although it is
// not. The other way round costs nothing.
TEST(PacerSimulationTest, UnlikeObjectsMakeProgramsWaitThatNeedNot) {
  constexpr double kLarge = 1.0 * kMiB;
  struct {
    const char* what;
    std::vector<Part> parts;
    double pace;
    double waited;
  } const kCases[] = {
      {"8 objects", {{1, kLive / 8, kMarkingNs / 8}}, 0.03, 0.002},
      {"8 objects", {{1, kLive / 8, kMarkingNs / 8}}, 0.3, 0.03},
      {"large, then a tenth small", {{0.9, kLarge, kLarge / kSpeed}, {0.1, 64, 20}}, 0.03, 0.02},
      {"large, then a tenth small", {{0.9, kLarge, kLarge / kSpeed}, {0.1, 64, 20}}, 0.3, 0.27},
      {"a tenth small, then large", {{0.1, 64, 20}, {0.9, kLarge, kLarge / kSpeed}}, 0.3, 0},
      {"4 KiB, then half of 64 bytes", {{0.5, 4096, 1280}, {0.5, 64, 20}}, 0.03, 0.01},
      {"4 KiB, then half of 64 bytes", {{0.5, 4096, 1280}, {0.5, 64, 20}}, 0.3, 0.16},
      {"half of 64 bytes, then 4 KiB", {{0.5, 64, 20}, {0.5, 4096, 1280}}, 0.3, 0},
  };
  for (const auto& [what, parts, pace, waited] : kCases) {
    const Figures figures = Settled({.pace = Steadily(pace), .parts = parts});
    SCOPED_TRACE(testing::Message() << what << ", pace " << pace);
    EXPECT_LE(figures.peak, 1.01);
    EXPECT_LE(figures.cycles, 1.85);
    EXPECT_LE(figures.waited, waited);
  }
}

}  // namespace
}  // namespace acre
