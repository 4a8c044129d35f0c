// What is given back is tested with a clock of the test's own, without a thread. The thread is the real one: a test waits for
// what it must bring about, and fails when that does not come.

#include "allocator/heap/scavenger.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "allocator/heap/scavenge_pace.h"
#include "os/clock.h"
#include "tests/support/allocator/heap_under_test.h"
#include "tests/support/background.h"
#include "tests/support/child.h"
#include "tests/support/sanitizers.h"

namespace acre {
namespace {

using testing::ComesTrue;
using testing::CountThreadsNamed;
using testing::ChildResult;
using testing::HeapUnderTest;
using testing::RunInChild;

constexpr uint64_t kIdleNs = 300 * os::kNsPerMs;  // In place of 5 s.
constexpr uint64_t kForEverNs = 1000 * os::kNsPerSecond;
constexpr size_t kBlockBytes = 2 * kMiB;

class Burst {
 public:
  explicit Burst(HeapUnderTest& test) : test_(test) {}
  void Begin(size_t bytes) {
    for (size_t done = 0; done < bytes; done += kMiB) objects_.push_back(test_.Allocate(kMiB));
  }
  void End() {
    for (void* object : objects_) test_.Free(object);
    objects_.clear();
  }

 private:
  HeapUnderTest& test_;
  std::vector<void*> objects_;
};

void MakeDirty(HeapUnderTest& test, size_t bytes) {
  Burst burst(test);
  burst.Begin(bytes);
  burst.End();
}

// ---- What is given back, by the test's clock -----------------------------------------------------------------------

class ScavengeTest : public ::testing::Test {
 protected:
  // As the thread does it, with a cost of 0.1 µs an os page. `tick` is called before each step.
  template <class Tick>
  void Run(uint64_t until_ns, Tick tick) {
    constexpr uint64_t kStepNs = 100'000;
    while (now_ns_ < until_ns) {
      tick();
      const IdleRelease release = test_.heap().ReleaseIdle(now_ns_, kScavengeStepBytes);
      ASSERT_LE(release.released_bytes, kScavengeStepBytes);
      const ScavengeStep step{
          .released_bytes = release.released_bytes, .worked_ns = kStepNs, .idle_bytes = release.idle_bytes};
      now_ns_ += step.worked_ns;
      now_ns_ += pace_.PauseNs(step, now_ns_);
    }
  }
  size_t used_bytes() { return test_.heap().page_heap().used_bytes(); }
  size_t dirty_bytes() { return test_.heap().page_heap().dirty_bytes(); }

  HeapUnderTest test_;
  ScavengePace pace_;
  uint64_t now_ns_ = os::kNsPerSecond;
};

TEST_F(ScavengeTest, TenSecondsAfterABurstAnIdleHeapHoldsLittleMoreThanWhatLives) {
  Burst live(test_);
  live.Begin(20 * kMiB);
  MakeDirty(test_, 500 * kMiB);
  Run(now_ns_ + 10 * os::kNsPerSecond, [] {});
  EXPECT_LE(used_bytes() + dirty_bytes(), 20 * kMiB * 12 / 10);
  test_.CheckAccount();
  test_.heap().CheckInvariants();
  live.End();
}

TEST_F(ScavengeTest, NothingGoesBackThatWasNeededWithinASecond) {
  Run(now_ns_ + 2 * os::kNsPerSecond, [] {});
  const size_t released_before = test_.heap().stats().pages.released_bytes;
  Burst burst(test_);
  int tick = 0;
  Run(now_ns_ + 20 * os::kNsPerSecond, [&] {
    // In use half of the time.
    if (tick++ % 2 == 0) {
      burst.Begin(100 * kMiB);
    } else {
      burst.End();
    }
  });
  EXPECT_EQ(test_.heap().stats().pages.released_bytes, released_before);
  burst.End();
}

// A heap that asks for huge pages: half of each second block is in use, and 15 in 16 of the others.
TEST_F(ScavengeTest, DenseBlocksAreSparedUntilEverythingIsToGo) {
  test_.heap().set_huge_page_threshold(0);
  constexpr size_t kBlocks = 20;
  constexpr size_t kPiece = kBlockBytes / 16;
  std::vector<void*> pieces;
  for (size_t i = 0; i < kBlocks * 16; ++i) pieces.push_back(test_.AllocateAligned(kPiece, kPiece));
  size_t spared_bytes = 0;
  std::vector<void*> kept;
  for (void* piece : pieces) {
    const auto address = reinterpret_cast<uintptr_t>(piece);
    const size_t place = address % kBlockBytes / kPiece;
    const bool is_dense = address / kBlockBytes % 2 == 0;
    if (is_dense ? place != 3 : place % 2 == 0) {
      kept.push_back(piece);
      continue;
    }
    test_.Free(piece);
    if (is_dense) spared_bytes += kPiece;
  }
  const size_t freed_bytes = dirty_bytes();
  ASSERT_GT(freed_bytes, spared_bytes);
  Run(now_ns_ + 10 * os::kNsPerSecond, [] {});
  EXPECT_EQ(dirty_bytes(), spared_bytes);
  while (test_.heap().ReleaseSome(kScavengeStepBytes) != 0) {
  }
  EXPECT_EQ(dirty_bytes(), 0u);
  for (void* piece : kept) test_.Free(piece);
}

TEST_F(ScavengeTest, WithoutHugePagesNothingIsSpared) {
  Burst live(test_);
  live.Begin(20 * kMiB);
  void* hole = test_.Allocate(100 * kKiB);
  void* behind = test_.Allocate(2 * kMiB);
  test_.Free(hole);
  Run(now_ns_ + 10 * os::kNsPerSecond, [] {});
  EXPECT_EQ(dirty_bytes(), 0u);
  test_.Free(behind);
  live.End();
}

// ---- The thread -----------------------------------------------------------------------------------------------------

class ScavengerTest : public ::testing::Test {
 protected:
  size_t dirty_bytes() { return test_.heap().page_heap().dirty_bytes(); }

  // Memory that only goes back when everything does.
  void MakeSpared() {
    test_.heap().set_huge_page_threshold(0);
    constexpr size_t kPiece = kBlockBytes / 16;
    for (size_t i = 0; i < 20 * 16; ++i) {
      void* piece = test_.AllocateAligned(kPiece, kPiece);
      if (reinterpret_cast<uintptr_t>(piece) % kBlockBytes == 0) spared_.push_back(piece);
    }
    for (void* piece : spared_) test_.Free(piece);
    ASSERT_GT(dirty_bytes(), 0u);
  }

  HeapUnderTest test_;
  std::vector<void*> spared_;
};

TEST_F(ScavengerTest, TheThreadGivesBackWhatIsIdleAndEnds) {
  Scavenger scavenger(test_.heap(), kIdleNs);
  MakeDirty(test_, 100 * kMiB);
  ASSERT_TRUE(scavenger.Start());
  EXPECT_TRUE(scavenger.is_running());
  EXPECT_TRUE(ComesTrue([&] { return CountThreadsNamed("acre-scavenge") == 1; }));
  EXPECT_TRUE(ComesTrue([&] { return !scavenger.is_running(); }));
}

TEST_F(ScavengerTest, ALongerLivingThreadGivesAllOfItBack) {
  Scavenger scavenger(test_.heap());
  MakeDirty(test_, 100 * kMiB);
  ASSERT_TRUE(scavenger.Start());
  EXPECT_TRUE(ComesTrue([&] { return dirty_bytes() == 0; }));
  MakeDirty(test_, 100 * kMiB);
  EXPECT_TRUE(ComesTrue([&] { return dirty_bytes() == 0; })) << "without a further call";
}

TEST_F(ScavengerTest, ThereIsOneThreadHoweverOftenItIsStarted) {
  Scavenger scavenger(test_.heap());
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(scavenger.Start());
  EXPECT_TRUE(ComesTrue([] { return CountThreadsNamed("acre-scavenge") == 1; }));
  scavenger.Stop();
  EXPECT_TRUE(ComesTrue([] { return CountThreadsNamed("acre-scavenge") == 0; })) << "it may still be on its way out";
}

TEST_F(ScavengerTest, OneThatHasEndedIsStartedAgain) {
  Scavenger scavenger(test_.heap(), 0);
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(scavenger.Start());
    ASSERT_TRUE(ComesTrue([&] { return !scavenger.is_running(); }));
  }
}

TEST_F(ScavengerTest, AfterStopThereIsNone) {
  Scavenger scavenger(test_.heap());
  scavenger.Stop();
  EXPECT_TRUE(scavenger.Start());
  EXPECT_FALSE(scavenger.is_running());
}

TEST_F(ScavengerTest, UnderPressureEverythingGoesBack) {
  MakeSpared();
  Scavenger scavenger(test_.heap(), kForEverNs);
  scavenger.Press();  // Nobody hears it.
  EXPECT_GT(dirty_bytes(), 0u);
  ASSERT_TRUE(scavenger.Start());
  scavenger.Press();
  EXPECT_TRUE(ComesTrue([&] { return dirty_bytes() == 0; }));
  scavenger.Stop();
  test_.heap().CheckInvariants();
}

TEST_F(ScavengerTest, WithoutPressureWhatIsSparedStays) {
  MakeSpared();
  const size_t before = dirty_bytes();
  constexpr uint64_t kTwoSecondsNs = 2 * os::kNsPerSecond;  // A second more than it takes memory to become idle.
  os::PollCalls calls = os::SystemPollCalls();
  calls.open_pressure = [](os::PressureSource*, uint32_t) -> uint32_t { return 0; };  // The machine may be short of memory.
  Scavenger scavenger(test_.heap(), kTwoSecondsNs, calls);
  ASSERT_TRUE(scavenger.Start());
  EXPECT_TRUE(ComesTrue([&] { return !scavenger.is_running(); }));
  EXPECT_EQ(dirty_bytes(), before);
}

TEST_F(ScavengerTest, TheHeapMayEndWhileItWorks) {
  for (int i = 0; i < 20; ++i) {
    HeapUnderTest other;
    MakeDirty(other, 64 * kMiB);
    Scavenger scavenger(other.heap());
    ASSERT_TRUE(scavenger.Start());
    scavenger.Press();
    if (i % 2 == 0) std::this_thread::yield();
  }
}

TEST_F(ScavengerTest, WhatIsAllocatedMeanwhileIsWhole) {
  Scavenger scavenger(test_.heap());
  ASSERT_TRUE(scavenger.Start());
  constexpr size_t kObjects = 64;
  constexpr int kRounds = 3000;
  struct Held {
    unsigned char* bytes = nullptr;
    size_t size = 0;
    unsigned char pattern = 0;
  };
  std::vector<Held> held(kObjects);
  uint64_t random = 1;
  const auto is_whole = [](const Held& object) {
    for (size_t i = 0; i < object.size; i += 4096) {
      if (object.bytes[i] != object.pattern) return false;
    }
    return true;
  };
  for (int round = 0; round < kRounds; ++round) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    Held& object = held[(random >> 40) % kObjects];
    ASSERT_TRUE(is_whole(object)) << round;
    if (object.bytes != nullptr) test_.Free(object.bytes);
    object.size = 40'000 + (random >> 20) % 500'000;
    object.pattern = static_cast<unsigned char>(round);
    object.bytes = static_cast<unsigned char*>(test_.Allocate(object.size));
    std::memset(object.bytes, object.pattern, object.size);
    if (round % 16 == 0) scavenger.Press();
  }
  for (const Held& object : held) {
    EXPECT_TRUE(is_whole(object));
    if (object.bytes != nullptr) test_.Free(object.bytes);
  }
  scavenger.Stop();
  test_.heap().CheckInvariants();
  test_.CheckReadyBytes();
}

TEST_F(ScavengerTest, WhereThereIsNoThreadOthersDoABoundedPartOfItsWork) {
  Scavenger scavenger(test_.heap());
  MakeDirty(test_, 100 * kMiB);
  const uint64_t began_ns = os::kNsPerSecond;
  size_t before = dirty_bytes();
  for (uint64_t now_ns = began_ns; now_ns < began_ns + 4 * os::kNsPerSecond; now_ns += 10 * os::kNsPerMs) {
    scavenger.WorkInstead(now_ns);
    EXPECT_LE(before - dirty_bytes(), 32 * kMiB);
    before = dirty_bytes();
  }
  EXPECT_EQ(dirty_bytes(), 0u);
  EXPECT_EQ(CountThreadsNamed("acre-scavenge"), 0u);
}

TEST_F(ScavengerTest, WithoutDescriptorsMemoryGoesBackAllTheSame) {
  const ChildResult result = RunInChild([&] {
    while (dup(STDERR_FILENO) >= 0) {
    }
    Scavenger scavenger(test_.heap());
    MakeDirty(test_, 50 * kMiB);
    if (!scavenger.Start() || scavenger.pressure_error() != EMFILE) return 1;
    return ComesTrue([&] { return dirty_bytes() == 0; }, std::chrono::seconds(20)) ? 0 : 2;
  });
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
}

TEST_F(ScavengerTest, AForkedChildHasNoneAndCanHaveItsOwn) {
  if (testing::kHasThreadSanitizer) GTEST_SKIP() << "ThreadSanitizer forbids threads in the child of threads";
  Scavenger scavenger(test_.heap(), kForEverNs);
  ASSERT_TRUE(scavenger.Start());
  MakeDirty(test_, 50 * kMiB);
  for (int i = 0; i < 20; ++i) {
    scavenger.Press();  // So that it has something to do.
    scavenger.work_mutex().LockForFork();
    test_.heap().LockAll();
    const ChildResult result = RunInChild([&] {
      test_.heap().UnlockAll();
      scavenger.AfterForkInChild();
      scavenger.work_mutex().UnlockAfterFork();
      if (scavenger.is_running()) return 1;
      test_.heap().CheckInvariants();
      if (!scavenger.Start()) return 2;
      scavenger.Press();
      if (!ComesTrue([&] { return dirty_bytes() == 0; }, std::chrono::seconds(20))) return 3;
      scavenger.Stop();
      test_.heap().CheckInvariants();
      return 0;
    });
    test_.heap().UnlockAll();
    scavenger.work_mutex().UnlockAfterFork();
    ASSERT_TRUE(result.exited_with(0)) << result.Describe();
    MakeDirty(test_, 50 * kMiB);
  }
  scavenger.Press();
  EXPECT_TRUE(ComesTrue([&] { return dirty_bytes() == 0; })) << "the parent's own goes on";
}

}  // namespace
}  // namespace acre
