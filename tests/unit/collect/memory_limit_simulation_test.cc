// The policy of a soft limit at work: a heap without objects, threads or clock, which calls the functions of memory_limit.h
// and pacer.h when and with what the collector calls them. No random numbers: every figure is the same in each run.
//
// A heap has pages in use. What is allocated goes to free slots in them first, as far as these are of the right class,
// then to new pages. Of what a cycle frees, `whole` were pages and more, the rest becomes free slots.

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <vector>

#include "allocator/collect/memory_limit.h"
#include "allocator/collect/pacer.h"

namespace acre {
namespace {

constexpr double kSpeed = 3.2;  // Bytes marked in a nanosecond: 64-byte objects in 20 ns.
constexpr size_t kGrainBytes = 64 * kKiB;
constexpr size_t kMinTriggerBytes = 4 * kMiB;
constexpr double kSecondNs = 1e9;

constexpr double Real(uint64_t number) { return static_cast<double>(number); }
constexpr uint64_t Whole(double number) { return static_cast<uint64_t>(number); }

enum class Marks { kStopped, kBeside };

struct Program {
  double pace;  // Its speed as a share of the marker's, with all threads.
  std::function<double(double ns)> live;
  std::function<double(double ns)> limit;
  Marks marks = Marks::kStopped;
  uint32_t threads = 1;
  uint32_t cpus = 2;
  double whole = 0.3;
  double usable = 0.7;  // Of free slots, those of the right class.
};

struct Second {
  double program_ns = 0;  // That threads ran, all together, by the number of threads.
  double cycles = 0;
  double calls = 0;       // Of on_memory_limit.
  double peak = 0;        // Pages in use, in parts of the limit.
  double allocated = 0;
};

class Simulation {
 public:
  explicit Simulation(Program program) : program_(std::move(program)), free_ns_(program_.threads, 0) {
    limit_ = program_.limit(0);
    live_ = used_ = program_.live(0);
    EndCycle(0, 0);
  }

  // The figures of each second.
  std::vector<Second> Run(double seconds) {
    for (;;) {
      double& free_ns = *std::min_element(free_ns_.begin(), free_ns_.end());
      const double now_ns = free_ns;
      if (now_ns >= seconds * kSecondNs) break;
      SetLimit(now_ns);
      Second& second = Of(now_ns);
      Take(kGrainBytes);
      second.peak = std::max(second.peak, used_ / limit_);
      second.allocated += kGrainBytes;
      const double ns = Real(kGrainBytes) * program_.threads / (program_.pace * kSpeed);
      second.program_ns += ns / program_.threads;
      free_ns += ns;
      free_ns += OnAllocation(now_ns);
    }
    seconds_.resize(Whole(seconds));
    return seconds_;
  }

 private:
  Second& Of(double ns) {
    const size_t number = Whole(ns / kSecondNs);
    if (seconds_.size() <= number) seconds_.resize(number + 1);
    return seconds_[number];
  }

  void Take(double bytes) {
    allocated_ += kGrainBytes;
    const double filled = std::min(bytes, holes_);
    holes_ -= filled;
    used_ += bytes - filled;
  }

  // Like SetMemoryLimit.
  void SetLimit(double now_ns) {
    if (program_.limit(now_ns) == limit_) return;
    limit_ = program_.limit(now_ns);
    is_over_ = is_over_ && IsOverLimit(Whole(live_), Whole(limit_), true);
    low_ = std::min(low_, kept_);
    if (is_marking_) return;
    is_near_ = IsNear();
    trigger_ = is_near_ ? 0 : percent_trigger_;
  }

  LimitView View() const {
    return {.target_bytes = TargetFor(Whole(limit_)),
            .used_bytes = Whole(used_),
            .low_bytes = Whole(low_),
            .live_bytes = Whole(kept_),
            .allocated_bytes = allocated_};
  }

  bool IsNear() const {
    const size_t left = allocated_ < goal_ ? goal_ - allocated_ : 0;
    return Whole(used_) + left > View().target_bytes;
  }

  uint64_t DebtAt(double now_ns) const {
    const uint64_t ns = Whole(now_ns - debt_at_ns_);
    const uint64_t taken = CollectorNs({0, 0, Whole(waited_ns_), program_.cpus, program_.threads}, ns);
    return DebtAfter(debt_ns_, ns - taken, taken);
  }

  void AddToDebt(double now_ns, double stopped_ns, double beside_ns) {
    const uint64_t ns = Whole(now_ns - debt_at_ns_ - stopped_ns);
    const CollectorTime time{Whole(stopped_ns), Whole(beside_ns), Whole(waited_ns_), program_.cpus, program_.threads};
    const uint64_t taken = CollectorNs(time, ns);
    debt_ns_ = DebtAfter(debt_ns_, Whole(stopped_ns) + ns - taken, taken);
    debt_at_ns_ = now_ns;
    waited_ns_ = 0;
  }

  // Returns for how long the thread is held up.
  double OnAllocation(double now_ns) {
    if (is_marking_ && now_ns >= ready_ns_) {
      AddToDebt(now_ns, 0, ready_ns_ - began_ns_);
      EndCycle(now_ns, Real(allocated_ - allocated_at_snapshot_));
      return 0;
    }
    if (allocated_ < trigger_) return 0;
    if (is_marking_) return KeepPace(now_ns);
    if (GoesOn(now_ns)) return 0;
    live_ = program_.live(now_ns);
    const double marking_ns = live_ / kSpeed;
    if (program_.marks == Marks::kStopped) {
      for (double& free_ns : free_ns_) free_ns = std::max(free_ns, now_ns + marking_ns);
      AddToDebt(now_ns + marking_ns, marking_ns, 0);
      EndCycle(now_ns + marking_ns, 0);
      return 0;
    }
    AddToDebt(now_ns, 0, 0);
    is_marking_ = true;
    began_ns_ = now_ns;
    ready_ns_ = now_ns + marking_ns;
    allocated_at_snapshot_ = allocated_;
    rate_ = AllocationRate(rate_, allocated_, Whole(now_ns - ended_ns_));
    pace_ = {.room_bytes = RoomFor(goal_, allocated_), .marking_ns = Whole(marking_ns), .expected_objects = Whole(live_ / 64)};
    if (is_near_) pace_.room_bytes = RoomWithinLimit(View(), pace_.room_bytes);
    trigger_ = allocated_ + PaceStep(pace_.room_bytes, 0);
    return 0;
  }

  // Like GoesOnAtLimit.
  bool GoesOn(double now_ns) {
    if (!is_near_) return false;
    low_ = std::min(low_, used_);
    const size_t left = allocated_ < percent_trigger_ ? percent_trigger_ - allocated_ : 0;
    const size_t more = GoOnFor(View(), runway_, left, DebtAt(now_ns));
    trigger_ = allocated_ + more;
    return more != 0;
  }

  double KeepPace(double now_ns) {
    trigger_ = allocated_ + PaceStep(pace_.room_bytes, 0);
    const size_t scanned = Whole((now_ns - began_ns_) * kSpeed / 64);
    double wait_ns = Real(PaceDelayNs(pace_, allocated_ - allocated_at_snapshot_, scanned));
    if (is_near_ && DebtAt(now_ns) >= kMaxDebtNs) wait_ns = 0;
    if (is_near_) waited_ns_ += wait_ns;
    return wait_ns;
  }

  void EndCycle(double now_ns, double born) {
    is_marking_ = false;
    kept_ = live_ + born;
    const double garbage = std::max(0.0, used_ - kept_);
    used_ = kept_ + garbage * (1 - program_.whole);
    holes_ = (used_ - kept_) * program_.usable;
    ++Of(now_ns).cycles;
    goal_ = GoalFor(GrowthFor(Whole(live_), 0, 100, kMinTriggerBytes), Whole(born));
    percent_trigger_ =
        program_.marks == Marks::kBeside ? ConcurrentTriggerFor(goal_, rate_, Whole(live_ / kSpeed)) : goal_;
    runway_ = goal_ - percent_trigger_;
    allocated_ = 0;
    low_ = used_;
    is_near_ = IsNear();
    trigger_ = is_near_ ? std::min(LeastGrowth(Whole(kept_)), percent_trigger_) : percent_trigger_;
    const bool is_over = IsOverLimit(Whole(live_), Whole(limit_), is_over_);
    if (is_over && !is_over_) ++Of(now_ns).calls;
    is_over_ = is_over;
    ended_ns_ = now_ns;
  }

  const Program program_;
  std::vector<double> free_ns_;
  std::vector<Second> seconds_;
  double limit_ = 0;
  double live_ = 0;
  double kept_ = 0;
  double used_ = 0;
  double holes_ = 0;
  double low_ = 0;
  size_t allocated_ = 0;
  size_t allocated_at_snapshot_ = 0;
  size_t goal_ = 0;
  size_t trigger_ = 0;
  size_t percent_trigger_ = 0;
  size_t runway_ = 0;
  bool is_near_ = false;
  bool is_over_ = false;
  bool is_marking_ = false;
  uint64_t debt_ns_ = 0;
  double debt_at_ns_ = 0;
  double waited_ns_ = 0;
  double began_ns_ = 0;
  double ready_ns_ = 0;
  double ended_ns_ = 0;
  double rate_ = 0;
  MarkingPace pace_{};
};

std::function<double(double)> Always(double bytes) {
  return [bytes](double) { return bytes; };
}

std::function<double(double)> First(double bytes, double seconds, double then) {
  return [=](double ns) { return ns < seconds * kSecondNs ? bytes : then; };
}

Second Sum(const std::vector<Second>& seconds, size_t base, size_t limit) {
  Second sum;
  for (size_t i = base; i < limit; ++i) {
    sum.program_ns += seconds[i].program_ns / Real(limit - base);
    sum.cycles += seconds[i].cycles;
    sum.calls += seconds[i].calls;
    sum.peak = std::max(sum.peak, seconds[i].peak);
    sum.allocated += seconds[i].allocated;
  }
  return sum;
}

double Share(const Second& sum) { return sum.program_ns / kSecondNs; }

struct Case {
  Marks marks;
  uint32_t threads;
  uint32_t cpus;
};
constexpr Case kCases[] = {{Marks::kStopped, 1, 2}, {Marks::kStopped, 4, 4}, {Marks::kBeside, 1, 1},
                           {Marks::kBeside, 1, 2},  {Marks::kBeside, 4, 2},  {Marks::kBeside, 16, 4}};

testing::Message Name(const Case& it) {
  return testing::Message() << (it.marks == Marks::kStopped ? "stopped" : "beside") << ", " << it.threads << " threads, "
                            << it.cpus << " CPUs";
}

TEST(MemoryLimitSimulationTest, FarFromTheLimitNothingChanges) {
  for (const Case& it : kCases) {
    SCOPED_TRACE(Name(it));
    const auto run = [&](double limit) {
      const Program program{.pace = 0.2, .live = Always(256.0 * kMiB), .limit = Always(limit), .marks = it.marks,
                            .threads = it.threads, .cpus = it.cpus};
      return Sum(Simulation(program).Run(10), 2, 10);
    };
    const Second far = run(4096.0 * kMiB);
    const Second none = run(1e15);
    EXPECT_EQ(far.cycles, none.cycles);
    EXPECT_EQ(far.program_ns, none.program_ns);
  }
}

TEST(MemoryLimitSimulationTest, AHeapKeepsWithinALimitThatLeavesAHalf) {
  for (const Case& it : kCases) {
    for (const double pace : {0.03, 0.2}) {
      SCOPED_TRACE(Name(it) << ", pace " << pace);
      const Program program{.pace = pace, .live = Always(256.0 * kMiB), .limit = Always(384.0 * kMiB), .marks = it.marks,
                            .threads = it.threads, .cpus = it.cpus};
      const Second sum = Sum(Simulation(program).Run(20), 2, 20);
      // Beside threads a cycle begins early, counts on half of the free slots, and keeps what is born meanwhile; where there
      // is but one CPU for the marker too, its share is used up at the higher pace.
      EXPECT_LE(sum.peak, it.marks == Marks::kStopped ? 1 : pace < 0.1 ? 1.01 : it.cpus == 1 ? 1.15 : 1.07);
      EXPECT_GE(Share(sum), pace < 0.1 ? 0.9 : it.marks == Marks::kStopped ? 0.55 : 0.75);
    }
  }
}

TEST(MemoryLimitSimulationTest, JustUnderTheLimitTheProgramKeepsNearlyHalfOfTheTime) {
  for (const Case& it : kCases) {
    for (const double share : {0.9, 0.95, 0.98, 0.999}) {
      for (const double pace : {0.03, 0.3, 1.0, 3.0}) {
        SCOPED_TRACE(Name(it) << ", lives " << share << ", pace " << pace);
        const Program program{.pace = pace, .live = Always(share * 512 * kMiB), .limit = Always(512.0 * kMiB),
                              .marks = it.marks, .threads = it.threads, .cpus = it.cpus};
        const Second sum = Sum(Simulation(program).Run(9), 3, 9);
        // At a pace of 3 gc_percent alone takes three quarters of it, if threads are stopped.
        EXPECT_GE(Share(sum), pace == 3.0 && it.marks == Marks::kStopped ? 0.24 : 0.45);
        EXPECT_EQ(sum.calls, 0);
        // What is allocated in the time of a cycle and in as much again; and beside threads what was born in the last one.
        EXPECT_LE(sum.peak, it.marks == Marks::kStopped ? 1.05 + 2 * pace : 1.2 + 2.5 * pace);
      }
    }
  }
}

TEST(MemoryLimitSimulationTest, OverTheLimitTheEmbedderIsToldOnceAndCyclesAreBounded) {
  for (const Case& it : kCases) {
    for (const double pace : {0.03, 0.3, 1.0}) {
      SCOPED_TRACE(Name(it) << ", pace " << pace);
      const Program program{.pace = pace, .live = First(256.0 * kMiB, 3, 600.0 * kMiB), .limit = Always(512.0 * kMiB),
                            .marks = it.marks, .threads = it.threads, .cpus = it.cpus};
      const auto seconds = Simulation(program).Run(16);
      EXPECT_EQ(Sum(seconds, 0, 3).calls, 0);
      EXPECT_EQ(Sum(seconds, 3, 16).calls, 1);
      const Second sum = Sum(seconds, 7, 16);
      EXPECT_GE(Share(sum), 0.45);
      EXPECT_LE(sum.cycles, sum.allocated / (600.0 * kMiB / 32) + 1);
    }
  }
}

TEST(MemoryLimitSimulationTest, EachCrossingIsToldOnce) {
  for (const Case& it : kCases) {
    SCOPED_TRACE(Name(it));
    const auto live = [](double ns) {
      const bool is_high = Whole(ns / (4 * kSecondNs)) % 2 == 1;
      // When it is low it is so by less than the slack every other time.
      return is_high ? 540.0 * kMiB : Whole(ns / (4 * kSecondNs)) % 4 == 2 ? 505.0 * kMiB : 300.0 * kMiB;
    };
    const Program program{.pace = 0.2, .live = live, .limit = Always(512.0 * kMiB), .marks = it.marks,
                          .threads = it.threads, .cpus = it.cpus};
    const auto seconds = Simulation(program).Run(32);
    EXPECT_EQ(Sum(seconds, 4, 8).calls, 1);
    EXPECT_EQ(Sum(seconds, 8, 16).calls, 0) << "it was never below by the slack";
    EXPECT_EQ(Sum(seconds, 20, 24).calls, 1);
    EXPECT_EQ(Sum(seconds, 0, 32).calls, 2);
  }
}

TEST(MemoryLimitSimulationTest, ALimitThatIsRaisedGivesTheTimeBackAndOneThatIsLoweredIsKept) {
  for (const Case& it : kCases) {
    SCOPED_TRACE(Name(it));
    const auto limit = [](double ns) {
      return ns < 5 * kSecondNs ? 1024.0 * kMiB : ns < 15 * kSecondNs ? 320.0 * kMiB : 2048.0 * kMiB;
    };
    const Program program{.pace = 0.1, .live = Always(256.0 * kMiB), .limit = limit, .marks = it.marks,
                          .threads = it.threads, .cpus = it.cpus};
    const auto seconds = Simulation(program).Run(30);
    const Second before = Sum(seconds, 1, 5);
    const Second lowered = Sum(seconds, 12, 15);  // Each cycle frees a third of what is too much.
    const Second raised = Sum(seconds, 17, 30);
    EXPECT_LE(lowered.peak, it.marks == Marks::kStopped ? 1 : 1.1);
    EXPECT_GE(lowered.cycles / 3, 1.5 * before.cycles / 4);
    EXPECT_NEAR(raised.cycles / 13, before.cycles / 4, 0.5);
    EXPECT_GE(Share(lowered), 0.45);
  }
}

// A goal for bytes would take free slots that nobody asks for to be of use, and pass the limit; one that subtracted all of
// them would be 0 where hardly any page is ever free.
TEST(MemoryLimitSimulationTest, HolesAreFilledAndThoseThatCannotBeAreNotCountedOn) {
  struct {
    double whole;
    double usable;
    double cycles;  // For as much as lives.
  } const kHeaps[] = {{0.02, 1, 1.5}, {0.3, 0.5, 2.1}, {0.3, 0, 4.5}};
  for (const Case& it : kCases) {
    for (const auto& [whole, usable, cycles] : kHeaps) {
      SCOPED_TRACE(Name(it) << ", whole " << whole << ", usable " << usable);
      const Program program{.pace = 0.1, .live = Always(256.0 * kMiB), .limit = Always(512.0 * kMiB), .marks = it.marks,
                            .threads = it.threads, .cpus = it.cpus, .whole = whole, .usable = usable};
      const Second sum = Sum(Simulation(program).Run(20), 4, 20);
      EXPECT_LE(sum.peak, it.marks == Marks::kStopped ? 1 : 1.05);
      EXPECT_GE(Share(sum), 0.45);
      EXPECT_LE(sum.cycles, cycles * sum.allocated / (256.0 * kMiB));
    }
  }
}

}  // namespace
}  // namespace acre
