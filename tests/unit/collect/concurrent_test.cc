// Cycles that mark beside mutators. The marker is held up by a gate with the graph still white behind it; the test
// changes the graph, opens the gate, and looks at what the cycle has kept.

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/allocator/collected_heap.h"
#include "tests/support/allocator/marking_heap.h"
#include "tests/support/child.h"
#include "tests/support/fresh_thread.h"

namespace acre {
namespace {

using os::RootSource;
using os::RootSources;
using testing::AttachedMutator;
using testing::ChildResult;
using testing::CollectedHeap;
using testing::CollectOnFreshThread;
using testing::ConcurrentOptions;
using testing::Hidden;
using testing::MarkingHeap;
using testing::OnFreshThread;

constexpr size_t kItemBytes = 64;
constexpr uint64_t kSign = 0x1234'5678'9abc;

// With freed memory overwritten.
CollectorOptions Without(RootSources dropped) {
  CollectorOptions options = ConcurrentOptions();
  options.debug.dropped_roots = dropped;
  options.debug.clobbers_freed = true;
  return options;
}

uint64_t* MakeItem(AttachedMutator& mutator, Kind kind = kConservative, size_t bytes = kItemBytes) {
  auto* item = static_cast<uint64_t*>(mutator.Allocate(kind, bytes));
  item[1] = kSign;
  return item;
}

bool IsItem(const Hidden& item) { return static_cast<const uint64_t*>(item.get())[1] == kSign; }

class ConcurrentMarking : public ::testing::Test {
 protected:
  // Items behind the gate, one for each of its first fields.
  static std::vector<Hidden> MakeItems(MarkingHeap& heap, size_t count, Kind kind = kConservative,
                                       size_t bytes = kItemBytes) {
    std::vector<Hidden> items;
    heap.Do([&](AttachedMutator& mutator) {
      for (size_t i = 0; i < count; ++i) {
        void* item = MakeItem(mutator, kind, bytes);
        heap.Store(mutator, heap.field(i), item);
        items.emplace_back(item);
      }
    });
    return items;
  }

  static bool IsKept(MarkingHeap& heap, AttachedMutator& mutator, const Hidden& item) {
    return heap.Lives(mutator, item) && IsItem(item);
  }
};

// ---- Overwritten pointers -------------------------------------------------------------------------------------------

enum class MovedTo : uint8_t { kNowhere, kNewObject };

bool LivesWhenItsPointerIsMoved(RootSources dropped, MovedTo where) {
  MarkingHeap heap(Without(dropped));
  Hidden item;
  bool lives = false;
  heap.Do([&](AttachedMutator& mutator) {
    void* object = MakeItem(mutator);
    heap.Store(mutator, heap.field(0), object);
    item = Hidden(object);
  });
  heap.Do([&](AttachedMutator& mutator) {
    heap.BeginMarking(mutator);
    if (where == MovedTo::kNewObject) {
      auto* object = static_cast<uint64_t*>(mutator.Allocate(kConservative, kItemBytes));
      heap.Store(mutator, object, item.get());
      heap.held(0) = object;
    }
    heap.Store(mutator, heap.field(0), nullptr);
    heap.EndMarking(mutator);
    lives = heap.Lives(mutator, item) && IsItem(item);
  });
  return lives;
}

TEST_F(ConcurrentMarking, AnOverwrittenPointerKeepsItsObjectWhereverItHasGone) {
  EXPECT_TRUE(LivesWhenItsPointerIsMoved({}, MovedTo::kNowhere));
  EXPECT_TRUE(LivesWhenItsPointerIsMoved({}, MovedTo::kNewObject));
}

// So nothing else kept it in the test above.
TEST_F(ConcurrentMarking, WithoutTheBarrierAnOverwrittenPointersObjectIsLost) {
  EXPECT_FALSE(LivesWhenItsPointerIsMoved(RootSource::kBarrier, MovedTo::kNowhere));
  EXPECT_FALSE(LivesWhenItsPointerIsMoved(RootSource::kBarrier, MovedTo::kNewObject));
}

TEST_F(ConcurrentMarking, TheVerifierSeesWhatIsLostWithoutTheBarrier) {
  const ChildResult result = testing::RunInChild([] {
    CollectorOptions options = ConcurrentOptions();
    options.debug.dropped_roots = RootSource::kBarrier;
    options.debug.verifies_marks = true;
    MarkingHeap heap(options);
    MakeItems(heap, 1);
    heap.Do([&](AttachedMutator& mutator) {
      heap.BeginMarking(mutator);
      auto* object = static_cast<uint64_t*>(mutator.Allocate(kConservative, kItemBytes));
      heap.Store(mutator, object, reinterpret_cast<void*>(*heap.field(0)));
      heap.held(0) = object;
      heap.Store(mutator, heap.field(0), nullptr);
      heap.EndMarking(mutator);
    });
    return 0;
  });
  EXPECT_TRUE(result.killed_by(SIGABRT)) << result.Describe();
  EXPECT_NE(result.error_output.find("marking has missed the live object"), std::string::npos) << result.Describe();
}

// More than a mutator keeps by itself, and more than a block of the bag holds; what they lead to as well.
TEST_F(ConcurrentMarking, ManyOverwrittenPointersKeepWhatTheyLedTo) {
  constexpr size_t kCount = 3000;
  CollectorOptions options = Without({});
  options.debug.verifies_marks = true;
  MarkingHeap heap(options, kCount);
  const std::vector<Hidden> items = MakeItems(heap, kCount);
  std::vector<Hidden> leaves;
  heap.Do([&](AttachedMutator& mutator) {
    for (const Hidden& item : items) {
      void* leaf = MakeItem(mutator, kPlain);
      heap.Store(mutator, static_cast<uint64_t*>(item.get()) + 3, leaf);
      leaves.emplace_back(leaf);
    }
  });
  heap.Do([&](AttachedMutator& mutator) {
    heap.BeginMarking(mutator);
    for (size_t i = 0; i < kCount; ++i) heap.Store(mutator, heap.field(i), nullptr);
    heap.EndMarking(mutator);
    for (const Hidden& item : items) ASSERT_TRUE(IsKept(heap, mutator, item));
    for (const Hidden& leaf : leaves) ASSERT_TRUE(IsKept(heap, mutator, leaf));
  });
  CollectOnFreshThread(heap.heap());
  heap.Do([&](AttachedMutator& mutator) {
    for (const Hidden& item : items) ASSERT_FALSE(heap.Lives(mutator, item)) << "garbage since it was overwritten";
  });
  heap.collector().CheckInvariants();
}

// A pointer that is written while marking, and overwritten again: it led to nothing that the marker needs to know.
TEST_F(ConcurrentMarking, FieldsMayBeWrittenAgainAndAgain) {
  CollectorOptions options = Without({});
  options.debug.verifies_marks = true;
  MarkingHeap heap(options);
  const std::vector<Hidden> items = MakeItems(heap, MarkingHeap::kWords);
  heap.Do([&](AttachedMutator& mutator) {
    heap.BeginMarking(mutator);
    for (size_t round = 0; round < 50; ++round) {  // Pointers go round, and words that are none with them.
      const uint64_t first = *heap.field(0);
      for (size_t i = 0; i + 1 < items.size(); ++i) {
        heap.Store(mutator, heap.field(i), reinterpret_cast<void*>(*heap.field(i + 1)));
      }
      heap.Store(mutator, heap.field(items.size() - 1), reinterpret_cast<void*>(round % 10 == 0 ? round : first));
    }
    heap.EndMarking(mutator);
    for (const Hidden& item : items) EXPECT_TRUE(IsKept(heap, mutator, item));
  });
  heap.collector().CheckInvariants();
}

// Of words by which a field may mean an object, each of another kind.
enum class Means : uint8_t { kBase, kInside, kTagged, kEnd };

class ConcurrentFilter : public ConcurrentMarking, public ::testing::WithParamInterface<Means> {
 protected:
  static constexpr uint64_t kTag = uint64_t{0xfff9} << 48;

  static CollectorOptions Options() {
    CollectorOptions options = Without({});
    options.end_pointers = EndPointers::kCount;
    options.value_format = {
        .tag_mask = uint64_t{0xffff} << 48, .tag = kTag, .tag_xor = kTag, .tag_and = ~uint64_t{0}};
    return options;
  }

  static uint64_t WordFor(const void* item) {
    const auto base = reinterpret_cast<uint64_t>(item);
    switch (GetParam()) {
      case Means::kBase:
        return base;
      case Means::kInside:
        return base + 17;
      case Means::kTagged:
        return base | kTag;
      case Means::kEnd:
        return base + kItemBytes;
    }
    return 0;
  }
};

// Whole buffers of a mutator's go through the filter. Behind each item is a free slot, so that its end means no other.
TEST_P(ConcurrentFilter, EveryOverwrittenWordThatMeansAWhiteObjectKeepsIt) {
  constexpr size_t kCount = 1000;
  MarkingHeap heap(Options(), kCount);
  std::vector<Hidden> items;
  heap.Do([&](AttachedMutator& mutator) {
    std::vector<Hidden> between;
    for (size_t i = 0; i < kCount; ++i) {
      void* item = MakeItem(mutator);
      heap.collector().Store(mutator.mutator(), heap.field(i), WordFor(item));
      items.emplace_back(item);
      between.emplace_back(MakeItem(mutator));
    }
    for (const Hidden& each : between) heap.collector().Free(mutator.mutator(), each.get());
  });
  heap.Do([&](AttachedMutator& mutator) {
    heap.BeginMarking(mutator);
    for (size_t i = 0; i < kCount; ++i) heap.Store(mutator, heap.field(i), nullptr);
    heap.EndMarking(mutator);
    for (size_t i = 0; i < kCount; ++i) ASSERT_TRUE(IsKept(heap, mutator, items[i])) << "item " << i;
  });
  heap.collector().CheckInvariants();
}

INSTANTIATE_TEST_SUITE_P(Words, ConcurrentFilter,
                         ::testing::Values(Means::kBase, Means::kInside, Means::kTagged, Means::kEnd));

TEST_F(ConcurrentMarking, AnOverwrittenPointerToAHugeObjectIsNotLostAmongOthers) {
  MarkingHeap heap(Without({}));
  const std::vector<Hidden> items = MakeItems(heap, 1, kConservative, 40 * kMiB);
  heap.Do([&](AttachedMutator& mutator) {
    heap.BeginMarking(mutator);
    heap.Store(mutator, heap.field(0), nullptr);
    for (uint64_t i = 1; i <= 1000; ++i) heap.collector().Store(mutator.mutator(), heap.field(1), i);
    heap.EndMarking(mutator);
    EXPECT_TRUE(IsKept(heap, mutator, items[0]));
  });
}

// What the marker need not know is not kept for it.
TEST_F(ConcurrentMarking, OverwrittenWordsOfNoInterestTakeNoMemory) {
  constexpr size_t kStores = 200'000;  // 1.5 MiB of words: six times what records are mapped by.
  MarkingHeap heap(Without({}));
  heap.Do([&](AttachedMutator& mutator) {
    heap.BeginMarking(mutator);
    uint64_t* object = MakeItem(mutator);
    heap.held(0) = object;
    const uint64_t words[] = {reinterpret_cast<uint64_t>(object), 17, reinterpret_cast<uint64_t>(heap.field(0)), 0,
                              reinterpret_cast<uint64_t>(object) + 9};
    const size_t bytes = heap.heap().heap().stats().space.metadata_bytes;
    for (size_t i = 0; i < kStores; ++i) {
      heap.collector().Store(mutator.mutator(), &object[2 + i % 3], words[i % std::size(words)]);
    }
    EXPECT_EQ(heap.heap().heap().stats().space.metadata_bytes, bytes);
    EXPECT_TRUE(heap.collector().is_marking_beside());
    heap.EndMarking(mutator);
  });
}

// However fast it writes, the marker comes to the end of its work, and whoever allocates ends the cycle.
TEST_F(ConcurrentMarking, CyclesEndWhileAnotherThreadWritesWithoutAPause) {
  constexpr int kMostAllocations = 100'000;
  MarkingHeap heap(Without({}));
  std::atomic<bool> is_there = false;
  std::atomic<bool> is_over = false;
  std::thread writer([&] {
    AttachedMutator mutator(heap.heap());
    uint64_t* object = MakeItem(mutator);
    const void* pointers[] = {object, heap.field(0)};  // Roots lead to both, so that they are black by the snapshot.
    for (size_t i = 2; i < 5; ++i) heap.Store(mutator, &object[i], pointers[i % 2]);
    is_there = true;
    is_there.notify_all();
    while (!is_over) {
      for (size_t i = 0; i < 1000; ++i) heap.Store(mutator, &object[2 + i % 3], pointers[i % 2]);
    }
  });
  is_there.wait(false);
  heap.Do([&](AttachedMutator& mutator) {
    for (int round = 0; round < 5; ++round) {
      heap.BeginMarking(mutator);
      const CycleStats before = heap.collector().stats();
      heap.gate().Open();
      for (int i = 0; i < kMostAllocations && heap.collector().stats().cycles == before.cycles; ++i) {
        ASSERT_NE(mutator.Allocate(kPlain, 2000), nullptr);
      }
      EXPECT_EQ(heap.collector().stats().concurrent_cycles, before.concurrent_cycles + 1);
    }
  });
  is_over = true;
  writer.join();
}

// ---- New objects ----------------------------------------------------------------------------------------------------

// A cycle is due after them, not between.
constexpr size_t kSizes[] = {16, 64, 1000, 20'000, 100'000, 40 * kMiB};

TEST_F(ConcurrentMarking, NewObjectsLiveAndWhatTheyHoldOfTheSnapshot) {
  CollectorOptions options = Without({});
  options.debug.verifies_marks = true;
  MarkingHeap heap(options);
  const std::vector<Hidden> items = MakeItems(heap, std::size(kSizes));
  std::vector<Hidden> objects;
  heap.Do([&](AttachedMutator& mutator) {
    heap.BeginMarking(mutator);
    for (size_t i = 0; i < items.size(); ++i) {
      auto* object = static_cast<uint64_t*>(mutator.Allocate(kConservative, kSizes[i]));
      ASSERT_NE(object, nullptr);
      heap.Store(mutator, object + kSizes[i] / sizeof(uint64_t) - 1, items[i].get());
      heap.Store(mutator, heap.field(i), nullptr);
      heap.held(i) = object;
      objects.emplace_back(object);
    }
    heap.EndMarking(mutator);
  });
  // In the next cycles they are objects like all others.
  for (int round = 0; round < 3; ++round) {
    heap.Do([&](AttachedMutator& mutator) {
      for (size_t i = 0; i < items.size(); ++i) {
        EXPECT_TRUE(heap.Lives(mutator, objects[i])) << kSizes[i] << " bytes, after " << round << " more cycles";
        EXPECT_TRUE(IsKept(heap, mutator, items[i])) << kSizes[i] << " bytes, after " << round << " more cycles";
      }
      mutator.Collect();
    });
    heap.collector().CheckInvariants();
  }
  for (size_t i = 0; i < items.size(); ++i) heap.held(i) = nullptr;
  CollectOnFreshThread(heap.heap());
  heap.Do([&](AttachedMutator& mutator) {
    for (size_t i = 0; i < items.size(); ++i) {
      EXPECT_FALSE(heap.Lives(mutator, objects[i])) << kSizes[i] << " bytes";
      EXPECT_FALSE(heap.Lives(mutator, items[i]));
    }
  });
}

TEST_F(ConcurrentMarking, GarbageThatIsMadeWhileMarkingDiesInTheNextCycle) {
  MarkingHeap heap(Without({}));
  WeakCells& cells = heap.collector().ends().weak_cells();
  std::vector<WeakCell*> weak;
  heap.Do([&](AttachedMutator& mutator) {
    heap.BeginMarking(mutator);
    for (const size_t bytes : kSizes) weak.push_back(cells.Create(mutator.Allocate(kConservative, bytes)));
    heap.EndMarking(mutator);
    for (const WeakCell* cell : weak) EXPECT_NE(WeakCells::Get(*cell), nullptr);
  });
  CollectOnFreshThread(heap.heap());
  for (WeakCell* cell : weak) {
    EXPECT_EQ(WeakCells::Get(*cell), nullptr);
    cells.Destroy(cell);
  }
}

TEST_F(ConcurrentMarking, GarbageOfBeforeDiesWithItsWeakReferences) {
  MarkingHeap heap(Without({}));
  WeakCells& cells = heap.collector().ends().weak_cells();
  std::vector<WeakCell*> weak;
  std::vector<Hidden> items;
  heap.Do([&](AttachedMutator& mutator) {
    for (const size_t bytes : kSizes) {
      items.emplace_back(mutator.Allocate(kConservative, bytes));
      weak.push_back(cells.Create(items.back().get()));
    }
  });
  heap.Do([&](AttachedMutator& mutator) {
    heap.BeginMarking(mutator);
    heap.EndMarking(mutator);
    for (const Hidden& item : items) EXPECT_FALSE(heap.Lives(mutator, item));
  });
  for (WeakCell* cell : weak) {
    EXPECT_EQ(WeakCells::Get(*cell), nullptr);
    cells.Destroy(cell);
  }
}

// ---- Ends -----------------------------------------------------------------------------------------------------------

TEST_F(ConcurrentMarking, AnObjectThatIsLookedUpWhileMarkingLives) {
  MarkingHeap heap(Without({}));
  std::vector<Hidden> items;
  heap.Do([&](AttachedMutator& mutator) {
    for (const size_t bytes : kSizes) items.emplace_back(MakeItem(mutator, kConservative, bytes));
  });
  heap.Do([&](AttachedMutator& mutator) {
    heap.BeginMarking(mutator);
    for (const Hidden& item : items) EXPECT_TRUE(heap.Lives(mutator, item)) << "nothing has freed it yet";
    heap.EndMarking(mutator);
    for (const Hidden& item : items) EXPECT_TRUE(IsKept(heap, mutator, item));
  });
  CollectOnFreshThread(heap.heap());
  heap.Do([&](AttachedMutator& mutator) {
    for (const Hidden& item : items) EXPECT_FALSE(heap.Lives(mutator, item));
  });
}

// With the key moved away from the graph, the value is the ephemeron's alone.
TEST_F(ConcurrentMarking, EphemeronsKeepTheValuesOfKeysThatHaveMoved) {
  MarkingHeap heap(Without({}));
  Ephemerons& ephemerons = heap.collector().ends().ephemerons();
  const std::vector<Hidden> keys = MakeItems(heap, 2);
  Hidden values[2];
  Ephemeron* made[2];
  heap.Do([&](AttachedMutator& mutator) {
    for (int i = 0; i < 2; ++i) {
      void* value = MakeItem(mutator);
      made[i] = ephemerons.Create(keys[static_cast<size_t>(i)].get(), value);
      values[i] = Hidden(value);
    }
  });
  heap.Do([&](AttachedMutator& mutator) {
    heap.BeginMarking(mutator);
    heap.held(0) = keys[0].get();
    heap.Store(mutator, heap.field(0), nullptr);
    heap.EndMarking(mutator);
    for (int i = 0; i < 2; ++i) {
      EXPECT_EQ(Ephemerons::Key(*made[i]), keys[static_cast<size_t>(i)].get());
      EXPECT_EQ(Ephemerons::Value(*made[i]), values[i].get());
      EXPECT_TRUE(IsKept(heap, mutator, values[i]));
    }
  });
  for (Ephemeron* ephemeron : made) ephemerons.Destroy(ephemeron);
}

TEST_F(ConcurrentMarking, FinalizersAreQueuedByTheCyclesEndAndTheirObjectsLive) {
  struct Counts {
    std::atomic<int> notified{0};
    std::atomic<int> finalized{0};
  };
  const auto counts = std::make_unique<Counts>();
  MarkingHeap heap(Without({}));
  Ends& ends = heap.collector().ends();
  ends.SetNotifier([](void* context) { ++static_cast<Counts*>(context)->notified; }, counts.get());
  Hidden item;
  heap.Do([&](AttachedMutator& mutator) {
    void* object = MakeItem(mutator);
    item = Hidden(object);
    ASSERT_TRUE(ends.finalizers().Set(
        object,
        [](void* dying, void* context) {
          EXPECT_TRUE(IsItem(Hidden(dying)));
          ++static_cast<Counts*>(context)->finalized;
        },
        counts.get()));
  });
  heap.Do([&](AttachedMutator& mutator) {
    heap.BeginMarking(mutator);
    EXPECT_EQ(ends.finalizers().Run(10), 0u);
    heap.EndMarking(mutator);
    EXPECT_EQ(counts->notified, 1);
    EXPECT_TRUE(IsKept(heap, mutator, item));
    EXPECT_EQ(ends.finalizers().Run(10), 1u);
  });
  EXPECT_EQ(counts->finalized, 1);
}

// A marking that something else ends than an allocation or a collection: the notifier is called later, but it is.
TEST_F(ConcurrentMarking, NotifierIsCalledForWhatAnEndOnTheWayHasQueued) {
  const auto notified = std::make_unique<std::atomic<int>>(0);
  MarkingHeap heap(Without({}));
  Ends& ends = heap.collector().ends();
  ends.SetNotifier([](void* context) { ++*static_cast<std::atomic<int>*>(context); }, notified.get());
  heap.Do([&](AttachedMutator& mutator) {
    ASSERT_TRUE(ends.finalizers().Set(MakeItem(mutator), [](void*, void*) {}, nullptr));
  });
  heap.Do([&](AttachedMutator& mutator) {
    heap.BeginMarking(mutator);
    heap.gate().Open();
    heap.collector().CheckInvariants();
    EXPECT_EQ(heap.collector().stats().concurrent_cycles, 1u);
    heap.BeginMarking(mutator);
    heap.EndMarking(mutator);
    EXPECT_EQ(*notified, 1);
    EXPECT_EQ(ends.finalizers().Run(10), 1u);
  });
}

// ---- Objects that are traced in the stop ----------------------------------------------------------------------------

// Outside of the heap and of all roots: a trace function reads it, when the world is stopped.
struct Outside {
  Collector* collector = nullptr;
  std::atomic<uintptr_t> hidden{0};
  std::atomic<int> put_off{0};
  std::atomic<int> traced{0};
  uint64_t noted = 0;

  static bool Trace(void* context, void* object, size_t, acre_tracer* tracer) {
    auto& outside = *static_cast<Outside*>(context);
    if (outside.collector->PutOff(reinterpret_cast<uintptr_t>(object), &outside.noted)) {
      ++outside.put_off;
      return true;
    }
    ++outside.traced;
    tracer->Visit(~outside.hidden);
    return true;
  }
};

TEST_F(ConcurrentMarking, AnObjectThatIsPutOffIsTracedInTheStop) {
  const auto outside = std::make_unique<Outside>();
  MarkingHeap heap(Without({}));
  outside->collector = &heap.collector();
  Kind kind;
  ASSERT_EQ(heap.collector().kinds().AddFunction(&Outside::Trace, outside.get(), &kind), Status::kOk);
  MakeItems(heap, 1, kind);
  Hidden item;
  heap.Do([&](AttachedMutator& mutator) {
    uint64_t* object = MakeItem(mutator);
    item = Hidden(object);
    outside->hidden = item.bits();
  });
  heap.Do([&](AttachedMutator& mutator) {
    heap.BeginMarking(mutator);
    EXPECT_EQ(outside->put_off, 0);
    heap.EndMarking(mutator);
    EXPECT_EQ(outside->put_off, 1);
    EXPECT_EQ(outside->traced, 1);
    EXPECT_TRUE(IsKept(heap, mutator, item));
  });
}

// ---- Explicit frees -------------------------------------------------------------------------------------------------

// Whether one of `count` new objects of an item's size and kind lies where `item` was.
[[gnu::noinline]] bool IsUsedAgain(AttachedMutator& mutator, const Hidden& item, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    if (mutator.Allocate(kConservative, kItemBytes) == item.get()) return true;
  }
  return false;
}

TEST_F(ConcurrentMarking, AFreedObjectsSlotIsUsedAgainAfterTheCycleAndNotBefore) {
  MarkingHeap heap(ConcurrentOptions());
  const std::vector<Hidden> items = MakeItems(heap, 10);
  WeakCells& cells = heap.collector().ends().weak_cells();
  Hidden born;
  heap.Do([&](AttachedMutator& mutator) {
    WeakCell* weak = cells.Create(items[3].get());
    heap.BeginMarking(mutator);
    born = Hidden(MakeItem(mutator));
    WeakCell* weak_of_born = cells.Create(born.get());
    heap.Store(mutator, heap.field(3), nullptr);
    heap.collector().Free(mutator.mutator(), items[3].get());
    heap.collector().Free(mutator.mutator(), born.get());
    EXPECT_EQ(WeakCells::Get(*weak), nullptr);
    EXPECT_EQ(WeakCells::Get(*weak_of_born), nullptr);
    EXPECT_FALSE(IsUsedAgain(mutator, items[3], 5000));
    EXPECT_FALSE(IsUsedAgain(mutator, born, 5000));
    EXPECT_TRUE(heap.collector().is_marking_beside());
    heap.EndMarking(mutator);
    EXPECT_FALSE(heap.Lives(mutator, items[3]));
    EXPECT_FALSE(heap.Lives(mutator, born));
    EXPECT_TRUE(IsUsedAgain(mutator, items[3], 100'000));
    EXPECT_TRUE(IsKept(heap, mutator, items[4]));
    cells.Destroy(weak);
    cells.Destroy(weak_of_born);
  });
  heap.collector().CheckInvariants();
}

TEST_F(ConcurrentMarking, FreedLargeAndHugeObjectsGoAtTheCyclesEnd) {
  CollectorOptions options = ConcurrentOptions();
  options.debug.verifies_marks = true;
  MarkingHeap heap(options);
  const std::vector<Hidden> large = MakeItems(heap, 2, kConservative, 100'000);
  std::vector<Hidden> huge;
  heap.Do([&](AttachedMutator& mutator) {
    for (size_t i = 2; i < 4; ++i) {
      huge.emplace_back(MakeItem(mutator, kConservative, 40 * kMiB));
      heap.Store(mutator, heap.field(i), huge.back().get());
    }
  });
  heap.Do([&](AttachedMutator& mutator) {
    heap.BeginMarking(mutator);
    heap.Store(mutator, heap.field(0), nullptr);
    heap.Store(mutator, heap.field(2), nullptr);
    heap.collector().Free(mutator.mutator(), large[0].get());
    heap.collector().Free(mutator.mutator(), huge[0].get());
    EXPECT_EQ(heap.heap().heap().huge_list().stats().objects, 2u);
    EXPECT_TRUE(IsItem(huge[0])) << "its memory is there still";
    heap.EndMarking(mutator);
    EXPECT_EQ(heap.heap().heap().huge_list().stats().objects, 1u);
    EXPECT_FALSE(heap.Lives(mutator, large[0]));
    EXPECT_FALSE(heap.Lives(mutator, huge[0]));
    EXPECT_TRUE(IsKept(heap, mutator, large[1]));
    EXPECT_TRUE(IsKept(heap, mutator, huge[1]));
  });
  heap.collector().CheckInvariants();
}

TEST_F(ConcurrentMarking, AnObjectThatIsFreedTwiceWhileMarkingIsFatal) {
  const ChildResult result = testing::RunInChild([] {
    MarkingHeap heap(ConcurrentOptions());
    const std::vector<Hidden> items = MakeItems(heap, 10);
    heap.Do([&](AttachedMutator& mutator) {
      heap.BeginMarking(mutator);
      heap.Store(mutator, heap.field(3), nullptr);
      heap.collector().Free(mutator.mutator(), items[3].get());
      heap.collector().Free(mutator.mutator(), items[3].get());
      heap.EndMarking(mutator);
    });
    return 0;
  });
  EXPECT_TRUE(result.killed_by(SIGABRT)) << result.Describe();
  EXPECT_NE(result.error_output.find("freed twice or while unreachable"), std::string::npos) << result.Describe();
}

TEST_F(ConcurrentMarking, AFreeThatMeansNoObjectIsFatalAtOnce) {
  const ChildResult result = testing::RunInChild([] {
    MarkingHeap heap(ConcurrentOptions());
    const std::vector<Hidden> items = MakeItems(heap, 10);
    heap.Do([&](AttachedMutator& mutator) {
      heap.BeginMarking(mutator);
      heap.collector().Free(mutator.mutator(), static_cast<char*>(items[3].get()) + 8);
    });
    return 0;
  });
  EXPECT_TRUE(result.killed_by(SIGABRT)) << result.Describe();
  EXPECT_NE(result.error_output.find("not the start of an object"), std::string::npos) << result.Describe();
}

// ---- What lives -----------------------------------------------------------------------------------------------------

// A tree behind the gate. What a cycle marks beside a mutator is counted by its helper, mostly.
class ConcurrentCounts : public ConcurrentMarking {
 protected:
  static constexpr size_t kNodes = 100'000;  // More than a stop marks that is not the last.
  static constexpr size_t kTreeBytes = kNodes * kItemBytes;
  static constexpr size_t kSlackBytes = 64 * kKiB;  // Of runs that were taken, and the gate's object.

  // The tree and no more, but for what was allocated since: what is taken while the helper counts may be counted twice.
  static void ExpectOnlyTheTree(const CycleStats& before, const CycleStats& stats) {
    const size_t born_bytes = stats.allocated_bytes - before.allocated_bytes;
    EXPECT_GE(stats.live_bytes, kTreeBytes);
    EXPECT_LE(stats.live_bytes, kTreeBytes + 2 * born_bytes + kSlackBytes);
  }

  static Hidden MakeTree(MarkingHeap& heap, AttachedMutator& mutator) {
    std::vector<Hidden> nodes;
    for (size_t i = 0; i < kNodes; ++i) {
      uint64_t* node = MakeItem(mutator);
      uint64_t* place =
          i == 0 ? heap.field(0) : static_cast<uint64_t*>(nodes[(i - 1) / 2].get()) + 2 + (i - 1) % 2;
      heap.Store(mutator, place, node);
      nodes.emplace_back(node);
    }
    return nodes[0];
  }

  // Behind the gate the marker finds nothing, and the only pointer that led to the tree is in the mutator's own buffer:
  // the first stop that tries to end the marking does not come to an end.
  static void FailToEnd(MarkingHeap& heap, AttachedMutator& mutator) {
    heap.Store(mutator, heap.field(0), nullptr);
    heap.gate().Open();
    const CycleStats before = heap.collector().stats();
    for (int i = 0; i < 100'000 && heap.collector().stats().repeated_stops == before.repeated_stops; ++i) {
      ASSERT_NE(mutator.Allocate(kPlain, 2000), nullptr);
      ASSERT_EQ(heap.collector().stats().cycles, before.cycles);
    }
    ASSERT_EQ(heap.collector().stats().repeated_stops, before.repeated_stops + 1);
  }
};

TEST_F(ConcurrentCounts, WhatLivesIsCountedAnewAfterAStopThatFoundTooMuchToMark) {
  MarkingHeap heap(Without({}));
  Hidden tree;
  heap.Do([&](AttachedMutator& mutator) { tree = MakeTree(heap, mutator); });
  heap.Do([&](AttachedMutator& mutator) {
    heap.BeginMarking(mutator);
    heap.held(0) = tree.get();
    const CycleStats before = heap.collector().stats();
    FailToEnd(heap, mutator);
    heap.collector().CheckInvariants();  // It ends the marking, and allocates nothing.
    const CycleStats stats = heap.collector().stats();
    EXPECT_EQ(stats.concurrent_cycles, before.concurrent_cycles + 1);
    ExpectOnlyTheTree(before, stats);
    EXPECT_TRUE(IsKept(heap, mutator, tree));
  });
}

// Large ones, and a huge one, that the snapshot found by roots: they are marked when they are counted.
class ConcurrentFrees : public ConcurrentCounts {
 protected:
  static constexpr size_t kLarge = 50;
  static constexpr size_t kLargeBytes = 100'000;
  static constexpr size_t kHugeBytes = 40 * kMiB;

  static CollectorOptions Options() {
    CollectorOptions options = ConcurrentOptions();
    options.min_trigger_bytes = 64 * kMiB;
    return options;
  }

  static void Hold(MarkingHeap& heap, AttachedMutator& mutator) {
    for (size_t i = 0; i < kLarge; ++i) heap.held(i) = mutator.Allocate(kPlain, kLargeBytes);
    heap.held(kLarge) = mutator.Allocate(kPlain, kHugeBytes);
  }

  static void FreeHeld(MarkingHeap& heap, AttachedMutator& mutator) {
    for (size_t i = 0; i <= kLarge; ++i) {
      void* object = heap.held(i);
      heap.held(i) = nullptr;
      heap.collector().Free(mutator.mutator(), object);
    }
  }
};

TEST_F(ConcurrentFrees, WhatWasFreedWhileMarkingDoesNotCountAsLive) {
  MarkingHeap heap(Options());
  heap.Do([&](AttachedMutator& mutator) {
    MakeTree(heap, mutator);
    Hold(heap, mutator);
  });
  heap.Do([&](AttachedMutator& mutator) {
    heap.BeginMarking(mutator);
    const CycleStats before = heap.collector().stats();
    FreeHeld(heap, mutator);
    heap.EndMarking(mutator);
    const CycleStats stats = heap.collector().stats();
    ExpectOnlyTheTree(before, stats);
  });
}

// In a stop, that is: the marker has not come so far.
TEST_F(ConcurrentFrees, NorDoesItWhenWhatLivesIsCountedAtTheEnd) {
  MarkingHeap heap(Options());
  heap.Do([&](AttachedMutator& mutator) {
    MakeTree(heap, mutator);
    Hold(heap, mutator);
  });
  heap.Do([&](AttachedMutator& mutator) {
    heap.BeginMarking(mutator);
    const CycleStats before = heap.collector().stats();
    FreeHeld(heap, mutator);
    FailToEnd(heap, mutator);
    heap.collector().CheckInvariants();
    const CycleStats stats = heap.collector().stats();
    EXPECT_EQ(stats.concurrent_cycles, before.concurrent_cycles + 1);
    ExpectOnlyTheTree(before, stats);
  });
}

TEST_F(ConcurrentFrees, WhatWasFreedBeforeItWasMarkedIsNotTakenFromWhatLives) {
  MarkingHeap heap(Options());
  heap.Do([&](AttachedMutator& mutator) {
    MakeTree(heap, mutator);
    heap.Store(mutator, heap.field(1), mutator.Allocate(kPlain, kHugeBytes));
  });
  heap.Do([&](AttachedMutator& mutator) {
    heap.BeginMarking(mutator);
    const CycleStats before = heap.collector().stats();
    void* object = reinterpret_cast<void*>(*heap.field(1));
    heap.Store(mutator, heap.field(1), nullptr);
    heap.collector().Free(mutator.mutator(), object);
    heap.EndMarking(mutator);
    const CycleStats stats = heap.collector().stats();
    ExpectOnlyTheTree(before, stats);
  });
}

TEST_F(ConcurrentFrees, WhatOnlyTheLastStopHasMarkedCountsAsLive) {
  MarkingHeap heap(Options());
  heap.Do([&](AttachedMutator& mutator) {
    heap.Store(mutator, heap.field(1), mutator.Allocate(kPlain, kHugeBytes));
    heap.Store(mutator, heap.field(2), mutator.Allocate(kPlain, 20 * kMiB));
  });
  heap.Do([&](AttachedMutator& mutator) {
    heap.BeginMarking(mutator);
    for (size_t i = 1; i <= 2; ++i) {
      heap.held(i) = reinterpret_cast<void*>(*heap.field(i));
      heap.Store(mutator, heap.field(i), nullptr);
    }
    heap.EndMarking(mutator);
    EXPECT_GE(heap.collector().stats().live_bytes, kHugeBytes + 20 * kMiB);
  });
}

// ---- Threads --------------------------------------------------------------------------------------------------------

TEST_F(ConcurrentMarking, BarriersAreOnWhileMarkingForThoseWhoAreThereAndThoseWhoCome) {
  MarkingHeap heap;
  CollectedMutator parked;
  heap.Do([&](AttachedMutator& mutator) {
    testing::OnFreshThread([&] {
      ASSERT_TRUE(heap.collector().Attach(parked));
      World::Park(parked);
    });
    EXPECT_EQ(mutator.mutator().barrier, 0u);
    heap.BeginMarking(mutator);
    EXPECT_EQ(mutator.mutator().barrier, 1u);
    EXPECT_EQ(parked.barrier, 1u);
    heap.Do([&](AttachedMutator& comes) { EXPECT_EQ(comes.mutator().barrier, 1u); });
    heap.EndMarking(mutator);
    EXPECT_EQ(mutator.mutator().barrier, 0u);
    EXPECT_EQ(parked.barrier, 0u);
    heap.Do([&](AttachedMutator& comes) { EXPECT_EQ(comes.mutator().barrier, 0u); });
    testing::OnFreshThread([&] {
      World::Unpark(parked);
      heap.collector().Detach(parked);
    });
  });
}

// What a thread has noted counts after it has gone.
TEST_F(ConcurrentMarking, ThreadsComeOverwriteAndGo) {
  for (const size_t count : {size_t{1}, size_t{300}}) {  // Fewer and more than a mutator keeps by itself.
    MarkingHeap heap(Without({}), count);
    const std::vector<Hidden> items = MakeItems(heap, count);
    heap.Do([&](AttachedMutator& mutator) { heap.BeginMarking(mutator); });
    heap.Do([&](AttachedMutator& mutator) {
      (void)mutator.Allocate(kConservative, kItemBytes);  // The rest of the run is given back while marking.
      for (size_t i = 0; i < count; ++i) heap.Store(mutator, heap.field(i), nullptr);
    });
    heap.Do([&](AttachedMutator& mutator) {
      heap.EndMarking(mutator);
      for (const Hidden& item : items) ASSERT_TRUE(IsKept(heap, mutator, item));
    });
    heap.collector().CheckInvariants();
  }
}

TEST_F(ConcurrentMarking, AParkedMutatorsNotesCountAndItGoesOnAfterwards) {
  MarkingHeap heap(Without({}));
  const std::vector<Hidden> items = MakeItems(heap, 2);
  CollectedMutator parked;
  testing::OnFreshThread([&] {
    ASSERT_TRUE(heap.collector().Attach(parked));
    World::Park(parked);
  });
  heap.Do([&](AttachedMutator& mutator) { heap.BeginMarking(mutator); });
  testing::OnFreshThread([&] {
    World::Unpark(parked);
    heap.collector().Store(parked, heap.field(0), 0);
    World::Park(parked);
  });
  heap.Do([&](AttachedMutator& mutator) {
    heap.EndMarking(mutator);
    EXPECT_TRUE(IsKept(heap, mutator, items[0]));
  });
  heap.Do([&](AttachedMutator& mutator) { heap.BeginMarking(mutator); });
  testing::OnFreshThread([&] {  // The next cycle, and a pointer that is not the first that it has noted.
    World::Unpark(parked);
    heap.collector().Store(parked, heap.field(1), 0);
    EXPECT_NE(heap.collector().Allocate(parked, kConservative, kItemBytes), nullptr);
    heap.collector().Detach(parked);
  });
  heap.Do([&](AttachedMutator& mutator) {
    heap.EndMarking(mutator);
    EXPECT_FALSE(heap.Lives(mutator, items[0]));
    EXPECT_TRUE(IsKept(heap, mutator, items[1]));
  });
}

// Its stack belongs to the snapshot; when it runs on, it may put what it held anywhere.
TEST_F(ConcurrentMarking, WhatABlockedThreadHeldInTheBeginningLives) {
  MarkingHeap heap(Without({}));
  struct Blocked {
    std::atomic<bool> is_there{false};
    std::atomic<bool> may_go{false};
    std::atomic<bool> has_stored{false};
    std::atomic<bool> may_end{false};
  } blocked;
  Hidden item;
  std::thread holder([&] {
    AttachedMutator mutator(heap.heap());
    uint64_t* volatile object = MakeItem(mutator);
    item = Hidden(object);
    World::Block(
        mutator.mutator(),
        [](void* argument) {
          auto& state = *static_cast<Blocked*>(argument);
          state.is_there = true;
          state.is_there.notify_all();
          state.may_go.wait(false);
        },
        &blocked);
    auto* fresh = static_cast<uint64_t*>(mutator.Allocate(kConservative, kItemBytes));
    heap.Store(mutator, fresh, object);
    heap.held(0) = fresh;
    object = nullptr;
    blocked.has_stored = true;
    blocked.has_stored.notify_all();
    World::Block(
        mutator.mutator(), [](void* argument) { static_cast<Blocked*>(argument)->may_end.wait(false); }, &blocked);
  });
  blocked.is_there.wait(false);
  heap.Do([&](AttachedMutator& mutator) {
    heap.BeginMarking(mutator);
    blocked.may_go = true;
    blocked.may_go.notify_all();
    World::Block(
        mutator.mutator(), [](void* argument) { static_cast<Blocked*>(argument)->has_stored.wait(false); }, &blocked);
    heap.EndMarking(mutator);
    EXPECT_TRUE(IsKept(heap, mutator, item));
    mutator.Collect();
    EXPECT_TRUE(IsKept(heap, mutator, item)) << "by the object that was new then";
  });
  blocked.may_end = true;
  blocked.may_end.notify_all();
  holder.join();
}

// ---- Cycles ---------------------------------------------------------------------------------------------------------

TEST_F(ConcurrentMarking, ACollectionEndsTheMarkingAndIsAWholeCycleBesides) {
  MarkingHeap heap(Without({}));
  const std::vector<Hidden> items = MakeItems(heap, 2);
  Hidden garbage;
  heap.Do([&](AttachedMutator& mutator) { heap.BeginMarking(mutator); });
  heap.Do([&](AttachedMutator& mutator) {
    garbage = Hidden(MakeItem(mutator));
    heap.Store(mutator, heap.field(0), nullptr);
  });
  heap.gate().Open();
  CollectOnFreshThread(heap.heap());
  const CycleStats stats = heap.collector().stats();
  EXPECT_EQ(stats.concurrent_cycles, 1u);
  EXPECT_EQ(stats.cycles, 2u);
  heap.Do([&](AttachedMutator& mutator) {
    EXPECT_FALSE(heap.Lives(mutator, garbage));
    EXPECT_FALSE(heap.Lives(mutator, items[0]));
    EXPECT_TRUE(IsKept(heap, mutator, items[1]));
  });
}

TEST_F(ConcurrentMarking, ACycleIsAStoppedOneOnceConcurrentOnesAreForbidden) {
  MarkingHeap heap;
  heap.Do([&](AttachedMutator& mutator) {
    heap.BeginMarking(mutator);
    heap.collector().ForbidConcurrent();
    heap.EndMarking(mutator);  // This one ends as it began.
    const uint64_t cycles = heap.collector().stats().cycles;
    for (int i = 0; i < 1'000'000 && heap.collector().stats().cycles < cycles + 3; ++i) {
      (void)mutator.Allocate(kPlain, 2000);
      ASSERT_FALSE(heap.collector().is_marking_beside());
    }
    EXPECT_EQ(heap.collector().stats().cycles, cycles + 3);
    EXPECT_EQ(heap.collector().stats().concurrent_cycles, 1u);
  });
}

TEST_F(ConcurrentMarking, AHeapWithoutThreadsOfItsOwnIsCollectedInStops) {
  CollectorOptions options = ConcurrentOptions();
  options.background = false;
  CollectedHeap heap(options);
  OnFreshThread(heap, [&](AttachedMutator& mutator) {
    for (int i = 0; i < 1'000'000 && heap.collector().stats().cycles < 3; ++i) (void)mutator.Allocate(kPlain, 2000);
    EXPECT_EQ(heap.collector().stats().cycles, 3u);
    EXPECT_EQ(heap.collector().stats().concurrent_cycles, 0u);
  });
}

// Who allocates beyond the goal waits a little for each run, and no longer: a marker that stands still stops nobody.
TEST_F(ConcurrentMarking, AllocationBeyondTheGoalIsSlowedDownButGoesOn) {
  constexpr size_t kObjectBytes = 8192;  // Each a run.
  constexpr int kBeyond = 100;
  MarkingHeap heap;
  const std::vector<Hidden> items = MakeItems(heap, 1);
  heap.Do([&](AttachedMutator& mutator) {
    heap.BeginMarking(mutator);
    for (int i = 0; i < 64; ++i) (void)mutator.Allocate(kPlain, kObjectBytes);  // Now the goal is behind.
    const auto began = std::chrono::steady_clock::now();
    std::vector<std::thread> threads;
    for (int number = 0; number < 2; ++number) {
      threads.emplace_back([&] {
        AttachedMutator other(heap.heap());
        for (int i = 0; i < kBeyond; ++i) ASSERT_NE(other.Allocate(kPlain, kObjectBytes), nullptr);
      });
    }
    World::Block(
        mutator.mutator(),
        [](void* argument) {
          for (std::thread& thread : *static_cast<std::vector<std::thread>*>(argument)) thread.join();
        },
        &threads);
    EXPECT_GE(std::chrono::steady_clock::now() - began, std::chrono::milliseconds(kBeyond / 2));
    EXPECT_TRUE(heap.collector().is_marking_beside());
    EXPECT_EQ(heap.collector().stats().cycles, 0u);
    heap.EndMarking(mutator);
    EXPECT_TRUE(IsKept(heap, mutator, items[0]));
  });
}

// ---- The heap's end -------------------------------------------------------------------------------------------------

TEST_F(ConcurrentMarking, AHeapMayBeDestroyedWhileItIsMarked) {
  constexpr size_t kNodes = 30'000;
  for (int round = 0; round < 5; ++round) {
    MarkingHeap heap;
    heap.Do([&](AttachedMutator& mutator) {
      void* list = nullptr;  // Of which much is left to mark when the gate opens.
      for (size_t i = 0; i < kNodes; ++i) {
        uint64_t* node = MakeItem(mutator);
        heap.Store(mutator, node, list);
        list = node;
      }
      heap.Store(mutator, heap.field(0), list);
      heap.BeginMarking(mutator);
      heap.Store(mutator, heap.field(0), round % 2 == 0 ? nullptr : list);
      heap.collector().Free(mutator.mutator(), MakeItem(mutator));
    });
    heap.gate().Open();
    EXPECT_TRUE(heap.collector().is_marking_beside()) << "until somebody allocates";
  }
}

}  // namespace
}  // namespace acre
