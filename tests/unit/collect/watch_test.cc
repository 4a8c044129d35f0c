// Cycles that mark beside mutators and ask the kernel what they wrote. The marker is held up by a gate with the graph
// still white behind it. Stores are plain ones, by a thread that has no mutator: nothing but the pages tells of them,
// and no stack holds what they move.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "os/page_watch.h"
#include "tests/support/allocator/collected_heap.h"
#include "tests/support/allocator/marking_heap.h"
#include "tests/support/child.h"
#include "tests/support/descriptors.h"
#include "tests/support/fresh_thread.h"
#include "tests/support/refuse.h"
#include "tests/support/sanitizers.h"

namespace acre {
namespace {

using os::RootSource;
using os::RootSources;
using testing::AttachedMutator;
using testing::ChildResult;
using testing::CollectedHeap;
using testing::CloseOpenedSince;
using testing::CollectOnFreshThread;
using testing::Hidden;
using testing::MarkingHeap;
using testing::OpenDescriptors;
using testing::Refuse;
using testing::RunInChild;

constexpr size_t kItemBytes = 64;
constexpr uint64_t kSign = 0x1234'5678'9abc;
constexpr size_t kSizes[] = {16, 64, 1000, 20'000, 100'000, 40 * kMiB};

CollectorOptions Options() {
  CollectorOptions options = testing::ConcurrentOptions(Tracker::kPages);
  options.debug.clobbers_freed = true;
  return options;
}
CollectorOptions Verified() {
  CollectorOptions options = Options();
  options.debug.verifies_marks = true;
  return options;
}
CollectorOptions Without(RootSources dropped) {
  CollectorOptions options = Options();
  options.debug.dropped_roots = dropped;
  return options;
}

// A store that no barrier sees.
void Put(void* field, const void* object) {
  __atomic_store_n(static_cast<uint64_t*>(field), reinterpret_cast<uint64_t>(object), __ATOMIC_RELAXED);
}
void Put(void* field, const Hidden& object) { Put(field, object.get()); }

uint64_t* MakeItem(AttachedMutator& mutator, Kind kind = kConservative, size_t bytes = kItemBytes) {
  auto* item = static_cast<uint64_t*>(mutator.Allocate(kind, bytes));
  __atomic_store_n(&item[1], kSign, __ATOMIC_RELAXED);  // The marker may look at it already.
  return item;
}

bool IsKept(MarkingHeap& heap, AttachedMutator& mutator, const Hidden& item) {
  return heap.Lives(mutator, item) && static_cast<const uint64_t*>(item.get())[1] == kSign;
}

// An item behind the gate: it stands in the gate's field.
Hidden MakeWhite(MarkingHeap& heap, size_t field, Kind kind = kConservative, size_t bytes = kItemBytes) {
  Hidden item;
  heap.Do([&](AttachedMutator& mutator) {
    item = Hidden(MakeItem(mutator, kind, bytes));
    Put(heap.field(field), item);
  });
  return item;
}

// An object that a root holds: it is marked, and scanned, when the marker comes to the gate.
Hidden MakeBlack(MarkingHeap& heap, size_t root, size_t bytes = kItemBytes) {
  Hidden object;
  heap.Do([&](AttachedMutator& mutator) {
    object = Hidden(mutator.Allocate(kConservative, bytes));
    heap.held(root) = object.get();
  });
  return object;
}

void Begin(MarkingHeap& heap) {
  heap.Do([&](AttachedMutator& mutator) { heap.BeginMarking(mutator); });
}
void End(MarkingHeap& heap) {
  heap.Do([&](AttachedMutator& mutator) { heap.EndMarking(mutator); });
}
bool Lives(MarkingHeap& heap, const Hidden& object) {
  bool lives = false;
  heap.Do([&](AttachedMutator& mutator) { lives = heap.Lives(mutator, object); });
  return lives;
}
bool IsKept(MarkingHeap& heap, const Hidden& item) {
  bool is_kept = false;
  heap.Do([&](AttachedMutator& mutator) { is_kept = IsKept(heap, mutator, item); });
  return is_kept;
}

uint64_t* LastWordOf(const Hidden& object, size_t bytes) {
  return static_cast<uint64_t*>(object.get()) + bytes / sizeof(uint64_t) - 1;
}

class WatchedMarking : public ::testing::Test {
 protected:
  void SetUp() override {
    os::PageWatch watch;
    const int error = watch.Open();
    if (error != 0) GTEST_SKIP() << "pages cannot be watched here: " << std::strerror(error);
  }
};

// ---- Written objects ------------------------------------------------------------------------------------------------

// The only pointer to a white item moves into a black object of so many bytes. Its last word leads to the gate, so that
// all of it has been scanned when the marker stands there.
bool LivesWhenItsPointerMoves(const CollectorOptions& options, size_t bytes) {
  MarkingHeap heap(options);
  const Hidden item = MakeWhite(heap, 0);
  const Hidden black = MakeBlack(heap, 0, bytes);
  uint64_t* const field = static_cast<uint64_t*>(black.get()) + bytes / sizeof(uint64_t) / 2 - 1;
  Put(LastWordOf(black, bytes), heap.root());
  heap.root() = nullptr;
  Begin(heap);
  Put(field, item);
  Put(heap.field(0), nullptr);
  End(heap);
  const bool is_kept = IsKept(heap, item);
  if (is_kept) {  // And ever after.
    CollectOnFreshThread(heap.heap());
    EXPECT_TRUE(IsKept(heap, item)) << bytes;
    Put(field, nullptr);
    CollectOnFreshThread(heap.heap());
    EXPECT_FALSE(Lives(heap, item)) << bytes;
  }
  heap.collector().CheckInvariants();
  return is_kept;
}

TEST_F(WatchedMarking, APointerThatMovesIntoAMarkedObjectKeepsItsObject) {
  for (const size_t bytes : kSizes) EXPECT_TRUE(LivesWhenItsPointerMoves(Verified(), bytes)) << bytes;
}

// So nothing else kept it in the test above.
TEST_F(WatchedMarking, WithoutThePagesItIsLost) {
  for (const size_t bytes : kSizes) {
    EXPECT_FALSE(LivesWhenItsPointerMoves(Without(RootSource::kPages), bytes)) << bytes;
  }
}

TEST_F(WatchedMarking, TheVerifierSeesWhatIsLostWithoutThePages) {
  const ChildResult result = RunInChild([] {
    CollectorOptions options = Verified();
    options.debug.dropped_roots = RootSource::kPages;
    (void)LivesWhenItsPointerMoves(options, kItemBytes);
    return 0;
  });
  EXPECT_TRUE(result.killed_by(SIGABRT)) << result.Describe();
  EXPECT_NE(result.error_output.find("marking has missed the live object"), std::string::npos) << result.Describe();
}

// The marker finds a list's head only, on many pages, and follows it.
TEST_F(WatchedMarking, WhatAMovedPointerLedToLives) {
  constexpr size_t kNodes = 20'000;
  MarkingHeap heap(Verified());
  std::vector<Hidden> nodes;
  heap.Do([&](AttachedMutator& mutator) {
    void* next = nullptr;
    for (size_t i = 0; i < kNodes; ++i) {
      uint64_t* node = MakeItem(mutator);
      Put(node, next);
      Put(heap.field(0), node);
      next = node;
      nodes.emplace_back(node);
    }
  });
  const Hidden black = MakeBlack(heap, 0);
  Begin(heap);
  Put(black.get(), nodes.back());
  Put(heap.field(0), nullptr);
  End(heap);
  heap.Do([&](AttachedMutator& mutator) {
    for (const Hidden& node : nodes) ASSERT_TRUE(IsKept(heap, mutator, node));
  });
}

// What is overwritten and put nowhere was not of a snapshot: there is none.
TEST_F(WatchedMarking, WhatIsDroppedWhileMarkingMayDieInTheSameCycle) {
  MarkingHeap heap(Verified());
  const Hidden item = MakeWhite(heap, 0);
  Begin(heap);
  Put(heap.field(0), nullptr);
  End(heap);
  EXPECT_FALSE(Lives(heap, item));
}

TEST_F(WatchedMarking, PointersMayMoveInEveryCycle) {
  constexpr int kCycles = 10;
  MarkingHeap heap(Verified());
  const Hidden item = MakeWhite(heap, 0);
  const Hidden black = MakeBlack(heap, 0);
  for (int cycle = 0; cycle < kCycles; ++cycle) {
    Begin(heap);
    Put(black.get(), item);
    Put(heap.field(0), nullptr);
    End(heap);
    ASSERT_TRUE(IsKept(heap, item)) << cycle;
    Put(heap.field(0), item);
    Put(black.get(), nullptr);
  }
}

// Roots and stacks are read again: a thread may take a pointer out of the heap, and keep it to itself.
TEST_F(WatchedMarking, APointerThatMovesToAStackOrARootKeepsItsObject) {
  MarkingHeap heap(Verified());
  const Hidden items[] = {MakeWhite(heap, 0), MakeWhite(heap, 1)};
  heap.Do([&](AttachedMutator& mutator) {
    heap.BeginMarking(mutator);
    void* volatile held = items[0].get();
    heap.held(5) = items[1].get();
    Put(heap.field(0), nullptr);
    Put(heap.field(1), nullptr);
    heap.EndMarking(mutator);
    for (const Hidden& item : items) EXPECT_TRUE(IsKept(heap, mutator, item));
    EXPECT_EQ(held, items[0].get());
  });
}

// ---- New objects ----------------------------------------------------------------------------------------------------

// A new object, in a root, leads to another, and this one to a white item whose last pointer that is then.
TEST_F(WatchedMarking, NewObjectsLiveAndWhatTheyHold) {
  for (const size_t bytes : kSizes) {
    MarkingHeap heap(Verified());
    const Hidden item = MakeWhite(heap, 0);
    Hidden first;
    Hidden second;
    Begin(heap);
    heap.Do([&](AttachedMutator& mutator) {
      first = Hidden(mutator.Allocate(kConservative, bytes));
      second = Hidden(mutator.Allocate(kConservative, bytes));
    });
    ASSERT_NE(second.get(), nullptr);
    heap.held(0) = first.get();
    Put(LastWordOf(first, bytes), second.get());
    Put(LastWordOf(second, bytes), item.get());
    Put(heap.field(0), nullptr);
    End(heap);
    for (int round = 0; round < 3; ++round) {
      EXPECT_TRUE(Lives(heap, first)) << bytes << " bytes, round " << round;
      EXPECT_TRUE(Lives(heap, second)) << bytes << " bytes, round " << round;
      EXPECT_TRUE(IsKept(heap, item)) << bytes << " bytes, round " << round;
      CollectOnFreshThread(heap.heap());
      heap.collector().CheckInvariants();
    }
    heap.held(0) = nullptr;
    CollectOnFreshThread(heap.heap());
    EXPECT_FALSE(Lives(heap, first)) << bytes;
    EXPECT_FALSE(Lives(heap, second)) << bytes;
    EXPECT_FALSE(Lives(heap, item)) << bytes;
  }
}

// In a field of an object that is black already, not in a root.
TEST_F(WatchedMarking, NewObjectsLiveThatAMarkedObjectHolds) {
  MarkingHeap heap(Verified());
  const Hidden black = MakeBlack(heap, 0, 1000);
  std::vector<Hidden> items;
  Begin(heap);
  heap.Do([&](AttachedMutator& mutator) {
    for (const size_t bytes : kSizes) items.emplace_back(mutator.Allocate(kConservative, bytes));
  });
  for (size_t i = 0; i < items.size(); ++i) Put(static_cast<uint64_t*>(black.get()) + i, items[i]);
  End(heap);
  for (const Hidden& item : items) EXPECT_TRUE(Lives(heap, item));
}

// A new object takes the place of the first of a list, as often as one likes: each leads on to the ones before.
TEST_F(WatchedMarking, AListThatGrowsAtItsHeadWhileMarkingLives) {
  constexpr size_t kNodes = 5000;
  MarkingHeap heap(Verified());
  const Hidden item = MakeWhite(heap, 0);
  const Hidden black = MakeBlack(heap, 0);
  std::vector<Hidden> nodes = {item};
  Begin(heap);
  heap.Do([&](AttachedMutator& mutator) {
    for (size_t i = 0; i < kNodes; ++i) {
      uint64_t* node = MakeItem(mutator);
      Put(node, nodes.back());
      Put(black.get(), Hidden(node));
      if (i == 0) Put(heap.field(0), nullptr);
      nodes.emplace_back(node);
    }
  });
  End(heap);
  heap.Do([&](AttachedMutator& mutator) {
    for (const Hidden& node : nodes) ASSERT_TRUE(IsKept(heap, mutator, node));
  });
}

TEST_F(WatchedMarking, AChunkThatComesWhileMarkingIsMarkedAsWell) {
  constexpr size_t kBytes = 1 * kMiB;
  constexpr size_t kObjects = 2 * kChunkBytes / kBytes;
  MarkingHeap heap(Verified());
  const Hidden item = MakeWhite(heap, 0);
  std::vector<Hidden> objects;
  Begin(heap);
  const size_t chunks = heap.heap().heap().stats().pages.chunks;
  heap.Do([&](AttachedMutator& mutator) {
    for (size_t i = 0; i < kObjects; ++i) objects.emplace_back(mutator.Allocate(kConservative, kBytes));
  });
  EXPECT_GT(heap.heap().heap().stats().pages.chunks, chunks);
  heap.held(0) = objects[0].get();
  for (size_t i = 0; i + 1 < kObjects; ++i) Put(LastWordOf(objects[i], kBytes), objects[i + 1].get());
  Put(LastWordOf(objects.back(), kBytes), item.get());
  Put(heap.field(0), nullptr);
  End(heap);
  for (const Hidden& object : objects) EXPECT_TRUE(Lives(heap, object));
  EXPECT_TRUE(IsKept(heap, item));
}

// Born and dropped while the cycle marked.
TEST_F(WatchedMarking, NewGarbageDiesInTheSameCycle) {
  MarkingHeap heap(Verified());
  WeakCells& cells = heap.collector().ends().weak_cells();
  std::vector<WeakCell*> weak;
  Begin(heap);
  heap.Do([&](AttachedMutator& mutator) {
    for (const size_t bytes : kSizes) weak.push_back(cells.Create(mutator.Allocate(kConservative, bytes)));
  });
  End(heap);
  for (size_t i = 0; i < std::size(kSizes); ++i) EXPECT_EQ(WeakCells::Get(*weak[i]), nullptr) << kSizes[i];
  for (WeakCell* cell : weak) cells.Destroy(cell);
  heap.collector().CheckInvariants();
}

TEST_F(WatchedMarking, GarbageOfBeforeDies) {
  MarkingHeap heap(Verified());
  std::vector<Hidden> items;
  heap.Do([&](AttachedMutator& mutator) {
    for (const size_t bytes : kSizes) items.emplace_back(mutator.Allocate(kConservative, bytes));
  });
  Begin(heap);
  End(heap);
  for (size_t i = 0; i < items.size(); ++i) EXPECT_FALSE(Lives(heap, items[i])) << kSizes[i];
}

// ---- Slots that nobody has used -------------------------------------------------------------------------------------

// Whether one of `count` new objects of an item's size and kind lies at the address.
[[gnu::noinline]] bool IsUsed(AttachedMutator& mutator, const Hidden& address, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    if (mutator.Allocate(kConservative, kItemBytes) == address.get()) return true;
  }
  return false;
}

// A mutator goes while marking, and leaves a run that it has taken before or meanwhile.
TEST_F(WatchedMarking, ADetachedMutatorsUnusedSlotsComeBack) {
  for (const bool is_taken_before : {true, false}) {
    MarkingHeap heap(Options());
    CollectedMutator leaving;
    Hidden item;
    const auto take = [&] {
      testing::OnFreshThread([&] {
        World::Unpark(leaving);
        void* object = heap.collector().Allocate(leaving, kConservative, kItemBytes);
        heap.held(0) = object;
        item = Hidden(object);
        World::Park(leaving);
      });
    };
    testing::OnFreshThread([&] {
      ASSERT_TRUE(heap.collector().Attach(leaving));
      World::Park(leaving);
    });
    if (is_taken_before) take();
    Begin(heap);
    if (!is_taken_before) take();
    testing::OnFreshThread([&] {
      World::Unpark(leaving);
      heap.collector().Detach(leaving);
    });
    const Hidden next(static_cast<char*>(item.get()) + kItemBytes);
    End(heap);
    EXPECT_TRUE(Lives(heap, item));
    CollectOnFreshThread(heap.heap());
    EXPECT_TRUE(Lives(heap, item));
    EXPECT_FALSE(Lives(heap, next));
    heap.Do([&](AttachedMutator& mutator) { EXPECT_TRUE(IsUsed(mutator, next, 100'000)) << is_taken_before; });
    EXPECT_TRUE(Lives(heap, item));
    heap.collector().CheckInvariants();
  }
}

// Words that mean slots which are taken and not handed out yet keep nothing for ever, and do no harm.
TEST_F(WatchedMarking, PointersToUnusedSlotsDoNoHarm) {
  MarkingHeap heap(Verified());
  CollectedMutator parked;
  Hidden item;
  testing::OnFreshThread([&] {
    ASSERT_TRUE(heap.collector().Attach(parked));
    item = Hidden(heap.collector().Allocate(parked, kConservative, kItemBytes));
    World::Park(parked);
  });
  heap.held(0) = item.get();
  for (size_t i = 0; i < MarkingHeap::kWords; ++i) {
    Put(heap.field(i), Hidden(static_cast<char*>(item.get()) + i * kItemBytes));
  }
  for (int cycle = 0; cycle < 3; ++cycle) {
    Begin(heap);
    End(heap);
    EXPECT_TRUE(Lives(heap, item));
    heap.collector().CheckInvariants();
  }
  testing::OnFreshThread([&] {  // It goes on with its slots, which are zeroed and its own.
    World::Unpark(parked);
    for (size_t i = 0; i < 100; ++i) {
      const auto* object = static_cast<const uint64_t*>(heap.collector().Allocate(parked, kConservative, kItemBytes));
      for (size_t word = 0; word < kItemBytes / sizeof(uint64_t); ++word) ASSERT_EQ(object[word], 0u);
    }
    heap.collector().Detach(parked);
  });
}

// ---- Explicit frees -------------------------------------------------------------------------------------------------

TEST_F(WatchedMarking, AFreedObjectsSlotIsUsedAgainAfterTheCycleAndNotBefore) {
  MarkingHeap heap(testing::ConcurrentOptions(Tracker::kPages));
  const Hidden item = MakeWhite(heap, 0);
  const Hidden other = MakeWhite(heap, 1);
  Hidden born;
  Begin(heap);
  heap.Do([&](AttachedMutator& mutator) {
    born = Hidden(MakeItem(mutator));
    Put(heap.field(0), nullptr);
    heap.collector().Free(mutator.mutator(), item.get());
    heap.collector().Free(mutator.mutator(), born.get());
  });
  heap.Do([&](AttachedMutator& mutator) {
    EXPECT_FALSE(IsUsed(mutator, item, 5000));
    EXPECT_FALSE(IsUsed(mutator, born, 5000));
    EXPECT_TRUE(heap.collector().is_marking_beside());
  });
  End(heap);
  EXPECT_FALSE(Lives(heap, item));
  EXPECT_FALSE(Lives(heap, born));
  EXPECT_TRUE(IsKept(heap, other));
  heap.Do([&](AttachedMutator& mutator) { EXPECT_TRUE(IsUsed(mutator, item, 100'000)); });
  heap.collector().CheckInvariants();
}

TEST_F(WatchedMarking, FreedLargeAndHugeObjectsGoAtTheCyclesEnd) {
  MarkingHeap heap(Verified());
  const Hidden large = MakeWhite(heap, 0, kConservative, 100'000);
  const Hidden huge = MakeWhite(heap, 1, kConservative, 40 * kMiB);
  const Hidden black = MakeBlack(heap, 0, 40 * kMiB);
  Hidden born;
  Begin(heap);
  Put(black.get(), huge);  // Written, and freed nevertheless.
  Put(heap.field(0), nullptr);
  Put(heap.field(1), nullptr);
  heap.held(0) = nullptr;
  heap.Do([&](AttachedMutator& mutator) {
    born = Hidden(mutator.Allocate(kConservative, 40 * kMiB));
    for (const Hidden& object : {large, huge, black, born}) heap.collector().Free(mutator.mutator(), object.get());
  });
  EXPECT_EQ(heap.heap().heap().huge_list().stats().objects, 3u);
  End(heap);
  EXPECT_EQ(heap.heap().heap().huge_list().stats().objects, 0u);
  EXPECT_FALSE(Lives(heap, large));
  heap.collector().CheckInvariants();
}

TEST_F(WatchedMarking, AnObjectThatIsFreedTwiceWhileMarkingIsFatal) {
  const ChildResult result = RunInChild([] {
    MarkingHeap heap(testing::ConcurrentOptions(Tracker::kPages));
    const Hidden item = MakeWhite(heap, 0);
    (void)MakeWhite(heap, 1);  // Else its span would go with the item.
    Begin(heap);
    Put(heap.field(0), nullptr);
    heap.Do([&](AttachedMutator& mutator) {
      for (int i = 0; i < 2; ++i) heap.collector().Free(mutator.mutator(), item.get());
    });
    End(heap);
    return 0;
  });
  EXPECT_TRUE(result.killed_by(SIGABRT)) << result.Describe();
  EXPECT_NE(result.error_output.find("freed twice or while unreachable"), std::string::npos) << result.Describe();
}

// ---- Forks ----------------------------------------------------------------------------------------------------------

pid_t ForkChild(const std::function<int()>& body) {
  const pid_t child = fork();
  if (child != 0) return child;
  alarm(60);
  _exit(body());
}

void ExpectSuccess(pid_t child) {
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
}

// In all of it every marking is verified.
class WatchedFork : public WatchedMarking {
 protected:
  void SetUp() override {
    WatchedMarking::SetUp();
    if (testing::kHasThreadSanitizer) GTEST_SKIP() << "the child must not make threads";
  }

  // Some more cycles beside mutators, in each of which the pointer moves. 0: all is well.
  static int GoOn(MarkingHeap& heap, const Hidden& item, const Hidden& black, int more_cycles = 3) {
    for (int cycle = 0; cycle < more_cycles; ++cycle) {
      const uint64_t cycles = heap.collector().stats().concurrent_cycles;
      Put(heap.field(0), item);
      Put(black.get(), nullptr);
      Begin(heap);
      if (!heap.collector().is_marking_beside()) return 1;
      Put(black.get(), item);
      Put(heap.field(0), nullptr);
      End(heap);
      if (heap.collector().stats().concurrent_cycles != cycles + 1) return 2;
      if (!IsKept(heap, item)) return 3;
    }
    CollectOnFreshThread(heap.heap());
    if (!IsKept(heap, item)) return 4;
    heap.collector().CheckInvariants();
    return ::testing::Test::HasFailure() ? 5 : 0;
  }
};

TEST_F(WatchedFork, BetweenCycles) {
  MarkingHeap heap(Verified());
  const Hidden item = MakeWhite(heap, 0);
  const Hidden black = MakeBlack(heap, 0);
  Begin(heap);
  End(heap);
  ExpectSuccess(ForkChild([&] { return GoOn(heap, item, black); }));
  EXPECT_EQ(GoOn(heap, item, black), 0);
}

// All is armed in pieces, which takes some milliseconds; the fork follows at once. Arming begins anew, here and there.
TEST_F(WatchedFork, WhileArming) {
  constexpr size_t kBytes = 1 * kMiB;
  constexpr size_t kObjects = 100;
  constexpr size_t kTrigger = 128 * kMiB + kBytes / 2;  // Come to with the 129th, whatever little there is besides.
  CollectorOptions options = Verified();
  options.min_trigger_bytes = kTrigger;
  options.huge_page_threshold_bytes = SIZE_MAX;  // More to be armed.
  MarkingHeap heap(options);
  const Hidden item = MakeWhite(heap, 0);
  const Hidden black = MakeBlack(heap, 0);
  heap.Do([&](AttachedMutator& mutator) {
    for (size_t i = 0; i < kObjects; ++i) {
      auto* object = static_cast<uint64_t*>(mutator.Allocate(kConservative, kBytes));
      for (size_t word = 0; word < kBytes / sizeof(uint64_t); word += 4096 / sizeof(uint64_t)) object[word] = word;
      object[0] = reinterpret_cast<uint64_t>(heap.held(1));
      heap.held(1) = object;
    }
  });
  for (int round = 0; round < 3; ++round) {
    heap.Do([&](AttachedMutator& mutator) {
      while (heap.collector().stats().allocated_bytes < kTrigger) {
        ASSERT_NE(mutator.Allocate(kPlain, kBytes), nullptr);
      }
      ASSERT_NE(mutator.Allocate(kPlain, kBytes), nullptr);
    });
    EXPECT_FALSE(heap.collector().is_marking_beside());
    ExpectSuccess(ForkChild([&] { return GoOn(heap, item, black, 1); }));
    EXPECT_EQ(heap.collector().stats().cycles, 0u);
  }
  EXPECT_EQ(GoOn(heap, item, black, 1), 0);
}

TEST_F(WatchedFork, WhileMarking) {
  MarkingHeap heap(Verified());
  const Hidden item = MakeWhite(heap, 0);
  const Hidden black = MakeBlack(heap, 0);
  Begin(heap);
  Put(black.get(), item);
  Put(heap.field(0), nullptr);
  heap.gate().Open();  // Nobody allocates, so that the marking goes on until the fork.
  ExpectSuccess(ForkChild([&] { return IsKept(heap, item) ? GoOn(heap, item, black) : 10; }));
  EXPECT_EQ(heap.collector().stats().concurrent_cycles, 1u);
  EXPECT_TRUE(IsKept(heap, item));
  EXPECT_EQ(GoOn(heap, item, black), 0);
}

// A kind whose objects tell when they were traced.
struct Telling {
  std::atomic<int> traced{0};

  static bool Trace(void* context, void* object, size_t bytes, acre_tracer* tracer) {
    for (size_t i = 0; i < bytes / sizeof(uint64_t); ++i) tracer->Visit(static_cast<const uint64_t*>(object)[i]);
    auto& self = *static_cast<Telling*>(context);
    ++self.traced;
    self.traced.notify_all();
    return true;
  }
};

// The marker has come to the last object, and looks at written pages or waits for the end.
TEST_F(WatchedFork, WhenAllIsMarked) {
  const auto telling = std::make_unique<Telling>();
  MarkingHeap heap(Verified());
  Kind kind;
  ASSERT_EQ(heap.collector().kinds().AddFunction(&Telling::Trace, telling.get(), &kind), Status::kOk);
  const Hidden item = MakeWhite(heap, 0);
  const Hidden last = MakeWhite(heap, 1, kind);
  const Hidden black = MakeBlack(heap, 0);
  for (int round = 0; round < 5; ++round) {
    Put(heap.field(0), item);
    Put(black.get(), nullptr);
    Begin(heap);
    Put(black.get(), item);
    Put(heap.field(0), nullptr);
    const int traced = telling->traced;
    heap.gate().Open();
    telling->traced.wait(traced);
    Put(static_cast<uint64_t*>(last.get()) + 3, item.get());  // One more page for a round, or for the stop.
    Put(black.get(), nullptr);
    ExpectSuccess(ForkChild([&] { return IsKept(heap, item) ? GoOn(heap, item, black) : 10; }));
    EXPECT_TRUE(IsKept(heap, item));
    Put(static_cast<uint64_t*>(last.get()) + 3, nullptr);
    Put(heap.field(0), item);
  }
  EXPECT_EQ(GoOn(heap, item, black), 0);
}

// The child collects while the parent marks; it has descriptors of its own, and takes none of its parent's pages.
TEST_F(WatchedFork, AChildsCyclesTakeNothingOfItsParentsMarking) {
  MarkingHeap heap(Verified());
  const Hidden item = MakeWhite(heap, 0);
  const Hidden black = MakeBlack(heap, 0);
  Begin(heap);
  End(heap);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t child = ForkChild([&] {
    close(ends[1]);
    char byte;
    (void)!read(ends[0], &byte, 1);  // Until the parent has written to its pages.
    return GoOn(heap, item, black);
  });
  close(ends[0]);
  Begin(heap);
  Put(black.get(), item);
  Put(heap.field(0), nullptr);
  close(ends[1]);
  ExpectSuccess(child);
  End(heap);
  EXPECT_TRUE(IsKept(heap, item));
  EXPECT_EQ(GoOn(heap, item, black), 0);
}

// ---- Descriptors that the program closes ----------------------------------------------------------------------------

TEST_F(WatchedMarking, ClosedBetweenCyclesItIsOpenedAnew) {
  const std::set<int> before = OpenDescriptors();
  MarkingHeap heap(Verified());
  const Hidden item = MakeWhite(heap, 0);
  const Hidden black = MakeBlack(heap, 0);
  Begin(heap);
  End(heap);
  for (int round = 0; round < 5; ++round) {
    CloseOpenedSince(before);
    Begin(heap);
    EXPECT_EQ(OpenDescriptors().size(), before.size() + 2);
    Put(black.get(), item);
    Put(heap.field(0), nullptr);
    End(heap);
    EXPECT_TRUE(IsKept(heap, item));
    Put(heap.field(0), item);
    Put(black.get(), nullptr);
  }
  EXPECT_EQ(heap.collector().stats().concurrent_cycles, 6u);
}

// The cycle marks anew in its stop, since nobody knows what was written.
TEST_F(WatchedMarking, ClosedWhileMarkingNothingIsLost) {
  const std::set<int> before = OpenDescriptors();
  MarkingHeap heap(Verified());
  const Hidden item = MakeWhite(heap, 0);
  const Hidden black = MakeBlack(heap, 0);
  Begin(heap);
  CloseOpenedSince(before);
  Put(black.get(), item);
  Put(heap.field(0), nullptr);
  End(heap);
  EXPECT_TRUE(IsKept(heap, item));
  heap.collector().CheckInvariants();
  Put(heap.field(0), item);
  Put(black.get(), nullptr);
  Begin(heap);  // With new ones.
  Put(black.get(), item);
  Put(heap.field(0), nullptr);
  End(heap);
  EXPECT_TRUE(IsKept(heap, item));
  EXPECT_EQ(heap.collector().stats().concurrent_cycles, 2u);
}

// Whether so many more cycles stop the world from begin to end.
bool AreStopped(MarkingHeap& heap, uint64_t count) {
  const CycleStats before = heap.collector().stats();
  heap.Do([&](AttachedMutator& mutator) {
    for (int i = 0; i < 1'000'000 && heap.collector().stats().cycles < before.cycles + count; ++i) {
      (void)mutator.Allocate(kPlain, 2000);
    }
  });
  const CycleStats after = heap.collector().stats();
  return after.cycles >= before.cycles + count && after.concurrent_cycles == before.concurrent_cycles;
}

TEST_F(WatchedMarking, AfterThreeLostMarkingsTheWorldIsStoppedAndOneLineSaysSo) {
  if (testing::kHasThreadSanitizer) GTEST_SKIP() << "the child must not make threads";
  const ChildResult result = RunInChild([] {
    const std::set<int> before = OpenDescriptors();
    MarkingHeap heap(Verified());
    const Hidden item = MakeWhite(heap, 0);
    const Hidden black = MakeBlack(heap, 0);
    for (int failure = 0; failure < 3; ++failure) {
      Put(heap.field(0), item);
      Put(black.get(), nullptr);
      Begin(heap);
      CloseOpenedSince(before);
      Put(black.get(), item);
      Put(heap.field(0), nullptr);
      End(heap);
      if (!IsKept(heap, item)) return 1;
    }
    if (::testing::Test::HasFailure()) return 2;
    if (!AreStopped(heap, 5)) return 3;
    return IsKept(heap, item) ? 0 : 4;
  }, 60);
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
  ASSERT_EQ(result.error_lines().size(), 1u) << result.Describe();
  EXPECT_NE(result.error_lines()[0].find("pages cannot be watched any more, after 3 failures"), std::string::npos);
}

TEST_F(WatchedMarking, WhatCannotBeOpenedAnewThreeTimesIsGivenUpWithOneLine) {
  if (testing::kHasThreadSanitizer) GTEST_SKIP() << "the child must not make threads";
  const ChildResult result = RunInChild([] {
    const std::set<int> before = OpenDescriptors();
    MarkingHeap heap(Verified());
    const Hidden item = MakeWhite(heap, 0);
    if (!Refuse(SYS_userfaultfd, EPERM)) return 1;
    CloseOpenedSince(before);
    if (!AreStopped(heap, 8)) return 2;
    return IsKept(heap, item) && !::testing::Test::HasFailure() ? 0 : 3;
  }, 60);
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
  ASSERT_EQ(result.error_lines().size(), 1u) << result.Describe();
  EXPECT_NE(result.error_lines()[0].find("pages cannot be watched any more, after 3 failures"), std::string::npos);
}

TEST_F(WatchedMarking, WhereItCannotBeOpenedTheWorldIsStoppedAndOneLineSaysSo) {
  if (testing::kHasThreadSanitizer) GTEST_SKIP() << "the child must not make threads";
  const ChildResult result = RunInChild([] {
    if (!Refuse(SYS_userfaultfd, EPERM)) return 1;
    MarkingHeap heap(Verified());
    const Hidden item = MakeWhite(heap, 0);
    if (!AreStopped(heap, 5)) return 2;
    return IsKept(heap, item) && !::testing::Test::HasFailure() ? 0 : 3;
  }, 60);
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
  ASSERT_EQ(result.error_lines().size(), 1u) << result.Describe();
  EXPECT_NE(result.error_lines()[0].find("pages cannot be watched (userfaultfd or PAGEMAP_SCAN: error 1)"),
            std::string::npos)
      << result.Describe();
}

// ---- The heap's end -------------------------------------------------------------------------------------------------

TEST_F(WatchedMarking, AHeapMayBeDestroyedWhileItIsMarked) {
  constexpr size_t kNodes = 30'000;
  const std::set<int> before = OpenDescriptors();
  for (int round = 0; round < 5; ++round) {
    MarkingHeap heap(Options());
    heap.Do([&](AttachedMutator& mutator) {
      for (size_t i = 0; i < kNodes; ++i) {  // Of which much is left to mark when the gate opens.
        uint64_t* node = MakeItem(mutator);
        Put(node, reinterpret_cast<void*>(*heap.field(0)));
        Put(heap.field(0), node);
      }
    });
    Begin(heap);
    if (round % 2 == 0) Put(heap.field(0), nullptr);
    heap.gate().Open();
  }
  EXPECT_EQ(OpenDescriptors(), before);
}

}  // namespace
}  // namespace acre
