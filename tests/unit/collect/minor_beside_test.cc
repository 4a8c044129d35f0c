// Minor cycles that have more to mark than a stop may take, and so mark beside mutators. A long list of new objects ends at a
// new gate, behind which all is white until the gate opens; nothing but written pages tells of what moves meanwhile.
// And what makes minor cycles impossible for a while: forks, closed descriptors.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/support/allocator/minor_heap.h"
#include "tests/support/child.h"
#include "tests/support/descriptors.h"
#include "tests/support/refuse.h"
#include "tests/support/sanitizers.h"

namespace acre {
namespace {

using os::RootSource;
using testing::AttachedMutator;
using testing::ChildResult;
using testing::CloseOpenedSince;
using testing::Helped;
using testing::Hidden;
using testing::kItemBytes;
using testing::MinorHeap;
using testing::MinorOptions;
using testing::OpenDescriptors;
using testing::Put;
using testing::Refuse;
using testing::RunInChild;
using testing::WordOf;

constexpr size_t kSizes[] = {16, 64, 1000, 20'000, 100'000};

CollectorOptions Options() {
  CollectorOptions options = MinorOptions(Helped::kYes);
  options.min_trigger_bytes = 16 * kMiB;  // The list fits, however short the next nursery is.
  return options;
}

class BesideHeap : public MinorHeap {
 public:
  static constexpr size_t kHolderWords = 100;

  explicit BesideHeap(const CollectorOptions& options = Options()) : MinorHeap(options) {
    holder_ = MakeHeld(kHolder, kConservative, kHolderWords * sizeof(uint64_t));
    CollectAll();
  }

  // Of an old object.
  uint64_t* old_field(size_t index) { return WordOf(holder_, kFirstField + index); }
  // Of the new gate.
  uint64_t* gate_field(size_t index) { return WordOf(gate_, index); }

  // A new gate at the end of a new list.
  void MakeList() {
    Do([&](AttachedMutator& mutator) {
      gate_ = Hidden(mutator.Allocate(gate().kind(), kGateBytes));
      Put(old_field(kList), gate_);
      for (size_t i = 0; i < kNodes; ++i) {
        void* node = mutator.Allocate(kConservative, kNodeBytes);
        Put(node, reinterpret_cast<void*>(*old_field(kList)));
        Put(old_field(kList), node);
      }
    });
  }

  void Begin() {
    minor_cycles_ = collector().stats().minor_cycles;
    Do([&](AttachedMutator& mutator) { BeginMarking(mutator); });
  }
  void End() {
    Do([&](AttachedMutator& mutator) { EndMarking(mutator); });
    EXPECT_EQ(collector().stats().minor_cycles, minor_cycles_ + 1);
  }

 private:
  static constexpr size_t kHolder = kWords - 2;  // Its root.
  static constexpr size_t kFirstField = 2;
  static constexpr size_t kList = kHolderWords - kFirstField - 1;
  static constexpr size_t kGateBytes = 512;
  static constexpr size_t kNodes = 200'000;
  static constexpr size_t kNodeBytes = 16;

  Hidden holder_;
  Hidden gate_;
  uint64_t minor_cycles_ = 0;
};

class MinorBeside : public testing::MinorTest {};

// ---- What moves meanwhile -------------------------------------------------------------------------------------------

// The only pointer to a white item moves into an old object. Returns whether the item lives.
bool LivesWhenItsPointerMoves(BesideHeap& heap, size_t bytes = kItemBytes) {
  heap.MakeList();
  const Hidden item = heap.Make(kConservative, bytes);
  const Hidden child = heap.Make();
  Put(item.get(), child);
  Put(heap.gate_field(0), item);
  heap.Begin();
  Put(heap.old_field(0), item);
  Put(heap.gate_field(0), nullptr);
  heap.End();
  return heap.IsKept(item) && heap.IsKept(child);
}

TEST_F(MinorBeside, APointerThatMovesIntoAnOldObjectKeepsItsObject) {
  BesideHeap heap;
  for (const size_t bytes : kSizes) {
    EXPECT_TRUE(LivesWhenItsPointerMoves(heap, bytes)) << bytes;
    heap.collector().CheckInvariants();
  }
}

// So nothing else kept it in the test above.
TEST_F(MinorBeside, TheVerifierSeesWhatIsLostWithoutThePages) {
  for (const Helped helped : {Helped::kYes, Helped::kNo}) {
    const ChildResult result = RunInChild([&] {
      CollectorOptions options = MinorOptions(helped);
      options.debug.dropped_roots = RootSource::kPages;
      MinorHeap heap(options);
      const Hidden old = heap.MakeHeld(0);
      heap.CollectAll();
      const Hidden item = heap.Make();
      Put(old.get(), item);
      heap.CollectYoung();
      return 0;
    });
    EXPECT_TRUE(result.killed_by(SIGABRT)) << result.Describe();
    EXPECT_NE(result.error_output.find("marking has missed the live object"), std::string::npos) << result.Describe();
  }
}

// New objects in a field of an old object, of one that is new and black, in a root, and in each other.
TEST_F(MinorBeside, ObjectsThatAreBornMeanwhileLive) {
  BesideHeap heap;
  for (const size_t bytes : kSizes) {
    SCOPED_TRACE(bytes);
    heap.MakeList();
    const Hidden item = heap.Make();
    Put(heap.gate_field(0), item);
    const Hidden black = heap.MakeHeld(0);
    heap.Begin();
    std::vector<Hidden> born;
    heap.Do([&](AttachedMutator& mutator) {
      for (int i = 0; i < 6; ++i) born.emplace_back(mutator.Allocate(kConservative, bytes));
    });
    Put(heap.old_field(1), born[0]);
    Put(black.get(), born[1]);
    heap.held(1) = born[2].get();
    for (size_t i = 0; i < 3; ++i) Put(born[i].get(), born[i + 3]);
    Put(born[5].get(), item);
    Put(heap.gate_field(0), nullptr);
    heap.End();
    for (int cycle = 0; cycle < 2; ++cycle) {
      for (const Hidden& object : born) EXPECT_TRUE(heap.Lives(object));
      EXPECT_TRUE(heap.IsKept(item));
      heap.CollectYoung();
    }
    WeakCell* const cell = heap.Watch(item);
    heap.held(1) = nullptr;
    heap.CollectAll();
    EXPECT_TRUE(MinorHeap::IsDead(cell));
    heap.collector().CheckInvariants();
  }
}

TEST_F(MinorBeside, NewObjectsThatNothingHoldsDie) {
  BesideHeap heap;
  heap.MakeList();
  std::vector<WeakCell*> cells;
  for (const size_t bytes : kSizes) cells.push_back(heap.Watch(heap.Make(kConservative, bytes)));
  heap.Begin();
  for (const size_t bytes : kSizes) cells.push_back(heap.Watch(heap.Make(kConservative, bytes)));
  heap.End();
  for (const WeakCell* cell : cells) EXPECT_TRUE(MinorHeap::IsDead(cell));
}

struct Outside {
  Collector* collector = nullptr;
  std::atomic<uintptr_t> hidden{~uintptr_t{0}};

  static bool Trace(void* context, void* object, size_t, acre_tracer* tracer) {
    auto& outside = *static_cast<Outside*>(context);
    auto* const noted = static_cast<uint64_t*>(object) + 2;
    if (outside.collector->PutOff(reinterpret_cast<uintptr_t>(object), noted)) return true;
    tracer->Visit(~outside.hidden);
    return true;
  }
};

// A pointer moves to where no page tells of it, and an old object's trace function does.
TEST_F(MinorBeside, WhatAnOldObjectRefersToOutsideOfTheHeapInTheEndLives) {
  const auto outside = std::make_unique<Outside>();
  BesideHeap heap;
  outside->collector = &heap.collector();
  Kind kind;
  ASSERT_EQ(heap.collector().kinds().AddFunction(&Outside::Trace, outside.get(), &kind), Status::kOk);
  (void)heap.MakeHeld(0, kind);
  heap.CollectAll();
  for (int round = 0; round < 3; ++round) {
    heap.MakeList();
    const Hidden item = heap.Make();
    Put(heap.gate_field(0), item);
    heap.Begin();
    outside->hidden = item.bits();
    Put(heap.gate_field(0), nullptr);
    heap.End();
    EXPECT_TRUE(heap.IsKept(item)) << round;
  }
}

// ---- Threads, frees, and other ends of the marking ------------------------------------------------------------------

// One that has come before a cycle leaves its slots while it marks.
TEST_F(MinorBeside, AThreadMayLeaveMeanwhile) {
  for (const bool is_taken_before : {true, false}) {
    BesideHeap heap;
    CollectedMutator leaving;
    const auto take = [&] {
      testing::OnFreshThread([&] {
        World::Unpark(leaving);
        heap.held(0) = heap.collector().Allocate(leaving, kConservative, kItemBytes);
        World::Park(leaving);
      });
    };
    testing::OnFreshThread([&] {
      ASSERT_TRUE(heap.collector().Attach(leaving));
      World::Park(leaving);
    });
    if (is_taken_before) {
      take();
      heap.CollectYoung();  // What it has left is neither new nor old.
    }
    heap.MakeList();
    heap.Begin();
    take();
    testing::OnFreshThread([&] {
      World::Unpark(leaving);
      heap.collector().Detach(leaving);
    });
    const Hidden item(heap.held(0));
    Put(heap.old_field(2), item);
    heap.held(0) = nullptr;
    heap.End();
    EXPECT_TRUE(heap.Lives(item));
    heap.CollectYoung();
    EXPECT_TRUE(heap.Lives(item));
    heap.collector().CheckInvariants();
    heap.CollectAll();
    heap.CollectAll();
    EXPECT_TRUE(heap.Lives(item));
    heap.collector().CheckInvariants();
  }
}

TEST_F(MinorBeside, OldAndNewObjectsMayBeFreedMeanwhile) {
  BesideHeap heap;
  std::vector<Hidden> freed;
  for (const size_t bytes : kSizes) {
    freed.push_back(heap.Make(kConservative, bytes));
    Put(heap.old_field(10 + freed.size()), freed.back());
  }
  heap.CollectAll();
  heap.MakeList();
  for (const size_t bytes : kSizes) {
    freed.push_back(heap.Make(kConservative, bytes));
    Put(heap.old_field(10 + freed.size()), freed.back());
  }
  std::vector<WeakCell*> cells;
  heap.Begin();
  for (size_t i = 0; i < freed.size(); ++i) {
    cells.push_back(heap.Watch(freed[i]));
    Put(heap.old_field(11 + i), nullptr);
  }
  heap.Do([&](AttachedMutator& mutator) {
    for (const Hidden& object : freed) heap.collector().Free(mutator.mutator(), object.get());
  });
  heap.End();
  for (const WeakCell* cell : cells) EXPECT_TRUE(MinorHeap::IsDead(cell));
  heap.collector().CheckInvariants();
  heap.CollectYoung();
  heap.CollectAll();
  heap.collector().CheckInvariants();
}

// The pages of its neighbours are looked at in later cycles like those of all that is old.
TEST_F(MinorBeside, NeighboursOfANewObjectThatIsFreedMeanwhileHoldWhatTheyHold) {
  constexpr size_t kBytes = 4000;  // Two to a page.
  BesideHeap heap;
  heap.MakeList();
  std::vector<Hidden> items;
  heap.Do([&](AttachedMutator& mutator) {
    for (size_t i = 0; i < 20; ++i) {
      items.push_back(MinorHeap::MakeBy(mutator, kConservative, kBytes));
      Put(heap.old_field(10 + i), items.back());
    }
  });
  heap.Begin();
  Put(heap.old_field(14), nullptr);
  heap.Do([&](AttachedMutator& mutator) { heap.collector().Free(mutator.mutator(), items[4].get()); });
  heap.End();
  items.erase(items.begin() + 4);
  std::vector<Hidden> children;
  for (const Hidden& item : items) {
    children.push_back(heap.Make());
    Put(item.get(), children.back());
  }
  heap.CollectYoung();
  for (const Hidden& child : children) EXPECT_TRUE(heap.IsKept(child));
  heap.collector().CheckInvariants();
}

TEST_F(MinorBeside, AFullCycleMayEndIt) {
  BesideHeap heap;
  heap.MakeList();
  const Hidden item = heap.Make();
  Put(heap.gate_field(0), item);
  WeakCell* const lost = heap.Watch(heap.MakeHeld(0));
  heap.Begin();
  Put(heap.old_field(0), item);
  Put(heap.gate_field(0), nullptr);
  heap.held(0) = nullptr;
  heap.gate().Open();
  heap.CollectAll();
  EXPECT_TRUE(heap.IsKept(item));
  EXPECT_TRUE(MinorHeap::IsDead(lost));
  EXPECT_EQ(heap.collector().stats().minor_cycles, 1u);
  EXPECT_EQ(heap.collector().stats().cycles, 3u);
  EXPECT_TRUE(LivesWhenItsPointerMoves(heap));
  heap.collector().CheckInvariants();
}

TEST_F(MinorBeside, AHeapMayBeDestroyedMeanwhile) {
  const std::set<int> before = OpenDescriptors();
  for (int round = 0; round < 3; ++round) {
    BesideHeap heap;
    heap.MakeList();
    heap.Begin();
    heap.gate().Open();
  }
  EXPECT_EQ(OpenDescriptors(), before);
}

// ---- Forks ----------------------------------------------------------------------------------------------------------

class MinorFork : public testing::MinorTest {
 protected:
  void SetUp() override {
    MinorTest::SetUp();
    if (testing::kHasThreadSanitizer) GTEST_SKIP() << "the child must not make threads";
  }

  static void ExpectSuccess(const std::function<int()>& body) {
    const pid_t child = fork();
    if (child == 0) {
      alarm(60);
      _exit(body());
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
  }

  // What an old object holds, stored before and after cycles. 0: all is well.
  static int GoOn(MinorHeap& heap, const Hidden& old) {
    for (int cycle = 0; cycle < 3; ++cycle) {
      const Hidden item = heap.Make();
      Put(old.get(), item);
      WeakCell* const lost = heap.Watch(heap.Make());
      heap.CollectYoung();
      if (!heap.IsKept(item)) return 1;
      if (!MinorHeap::IsDead(lost)) return 2;
    }
    heap.collector().CheckInvariants();
    return ::testing::Test::HasFailure() ? 3 : 0;
  }
};

// In the child what is written is not known until a full cycle has been.
TEST_F(MinorFork, TheChildsFirstCycleIsFullAndItsParentsGoOn) {
  for (const Helped helped : {Helped::kNo, Helped::kYes}) {
    if (helped == Helped::kYes && testing::kHasAddressSanitizer) continue;
    MinorHeap heap(MinorOptions(helped));
    const Hidden old = heap.MakeHeld(0);
    heap.CollectAll();
    EXPECT_EQ(GoOn(heap, old), 0);
    const Hidden item = heap.Make();
    Put(old.get(), item);
    ExpectSuccess([&] {
      const Hidden second = heap.Make();
      Put(item.get(), second);
      const CycleStats before = heap.collector().stats();
      heap.Do([&](AttachedMutator& mutator) { heap.AwaitCycle(mutator); });
      const CycleStats after = heap.collector().stats();
      if (after.cycles != before.cycles + 1 || after.minor_cycles != before.minor_cycles) return 10;
      if (!heap.IsKept(item) || !heap.IsKept(second)) return 11;
      return GoOn(heap, old);
    });
    heap.CollectYoung();
    EXPECT_TRUE(heap.IsKept(item));
    EXPECT_EQ(GoOn(heap, old), 0);
  }
}

TEST_F(MinorFork, WhileItMarksBesideMutators) {
  if (testing::kHasAddressSanitizer) GTEST_SKIP() << "the child may find a lock of the sanitizer's held";
  BesideHeap heap;
  const Hidden old = heap.MakeHeld(0);
  heap.CollectAll();
  heap.MakeList();
  const Hidden item = heap.Make();
  Put(heap.gate_field(0), item);
  heap.Begin();
  Put(heap.old_field(0), item);
  Put(heap.gate_field(0), nullptr);
  heap.gate().Open();
  ExpectSuccess([&] {
    if (!heap.IsKept(item)) return 10;
    heap.CollectAll();
    return heap.IsKept(item) ? GoOn(heap, old) : 11;
  });
  EXPECT_EQ(heap.collector().stats().minor_cycles, 1u);
  EXPECT_TRUE(heap.IsKept(item));
  EXPECT_EQ(GoOn(heap, old), 0);
}

// ---- Descriptors ----------------------------------------------------------------------------------------------------

TEST_F(MinorBeside, WhenDescriptorsWereClosedAFullCycleComesAndThenMinorOnes) {
  for (const Helped helped : {Helped::kNo, Helped::kYes}) {
    const std::set<int> before = OpenDescriptors();
    MinorHeap heap(MinorOptions(helped));
    const Hidden old = heap.MakeHeld(0);
    heap.CollectAll();
    for (int round = 0; round < 5; ++round) {
      const Hidden item = heap.Make();
      Put(old.get(), item);
      CloseOpenedSince(before);
      const uint64_t minor_cycles = heap.collector().stats().minor_cycles;
      heap.Do([&](AttachedMutator& mutator) { heap.AwaitCycle(mutator); });
      EXPECT_EQ(heap.collector().stats().minor_cycles, minor_cycles);
      EXPECT_TRUE(heap.IsKept(item));
      const Hidden next = heap.Make();
      Put(old.get(), next);
      heap.CollectYoung();
      EXPECT_TRUE(heap.IsKept(next));
    }
  }
}

// Nobody knows what was written: the cycle marks all anew in its stop.
TEST_F(MinorBeside, ClosedMeanwhileNothingIsLost) {
  const std::set<int> before = OpenDescriptors();
  BesideHeap heap;
  heap.MakeList();
  const Hidden item = heap.Make();
  Put(heap.gate_field(0), item);
  heap.Begin();
  CloseOpenedSince(before);
  Put(heap.old_field(0), item);
  Put(heap.gate_field(0), nullptr);
  heap.Do([&](AttachedMutator& mutator) { heap.EndMarking(mutator); });
  EXPECT_TRUE(heap.IsKept(item));
  EXPECT_EQ(heap.collector().stats().minor_cycles, 0u);
  heap.CollectAll();
  EXPECT_TRUE(heap.IsKept(item));
  EXPECT_TRUE(LivesWhenItsPointerMoves(heap));
  heap.collector().CheckInvariants();
}

TEST_F(MinorBeside, WherePagesCannotBeWatchedAllCyclesAreFull) {
  if (testing::kHasThreadSanitizer) GTEST_SKIP() << "the child must not make threads";
  const ChildResult result = RunInChild([] {
    if (!Refuse(SYS_userfaultfd, EPERM)) return 1;
    MinorHeap heap(MinorOptions(Helped::kYes));
    const Hidden old = heap.MakeHeld(0);
    WeakCell* const lost = heap.Watch(heap.MakeHeld(1));
    heap.CollectAll();
    heap.held(1) = nullptr;
    const Hidden item = heap.Make();
    Put(old.get(), item);
    heap.Do([&](AttachedMutator& mutator) {
      while (heap.collector().stats().cycles < 3) heap.AwaitCycle(mutator);
    });
    if (heap.collector().stats().minor_cycles != 0) return 2;
    heap.collector().CheckInvariants();
    return heap.IsKept(item) && MinorHeap::IsDead(lost) && !::testing::Test::HasFailure() ? 0 : 3;
  }, 60);
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
  ASSERT_EQ(result.error_lines().size(), 1u) << result.Describe();
}

// The world is stopped while all is marked anew; later cycles are full too.
TEST_F(MinorBeside, WhatCannotBeOpenedAnewIsGivenUpAndNothingIsLost) {
  if (testing::kHasThreadSanitizer) GTEST_SKIP() << "the child must not make threads";
  for (const Helped helped : {Helped::kNo, Helped::kYes}) {
    const ChildResult result = RunInChild([&] {
      const std::set<int> before = OpenDescriptors();
      MinorHeap heap(MinorOptions(helped));
      const Hidden old = heap.MakeHeld(0);
      heap.CollectAll();
      heap.CollectYoung();
      if (!Refuse(SYS_userfaultfd, EPERM)) return 1;
      CloseOpenedSince(before);
      const uint64_t minor_cycles = heap.collector().stats().minor_cycles;
      for (int cycle = 0; cycle < 6; ++cycle) {
        const Hidden item = heap.Make();
        Put(old.get(), item);
        WeakCell* const lost = heap.Watch(heap.Make());
        heap.Do([&](AttachedMutator& mutator) { heap.AwaitCycle(mutator); });
        if (!heap.IsKept(item) || !MinorHeap::IsDead(lost)) return 2;
      }
      heap.collector().CheckInvariants();
      return heap.collector().stats().minor_cycles == minor_cycles && !::testing::Test::HasFailure() ? 0 : 3;
    }, 60);
    EXPECT_TRUE(result.exited_with(0)) << result.Describe();
    ASSERT_EQ(result.error_lines().size(), 1u) << result.Describe();
    EXPECT_NE(result.error_lines()[0].find("pages cannot be watched any more"), std::string::npos);
  }
}

}  // namespace
}  // namespace acre
