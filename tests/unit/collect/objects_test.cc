// Single objects: freeing by hand, looking up, walking; the hard limit; statistics.

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <vector>

#include "tests/support/allocator/ends_support.h"
#include "tests/support/seed.h"

namespace acre {
namespace {

using testing::AttachedMutator;
using testing::CollectedHeap;
using testing::CollectOnFreshThread;
using testing::Keeper;
using testing::OnFreshThread;
using testing::Random;

constexpr size_t kSizes[] = {16, 48, 3000, 32'768, 100'000, 40'000'000};

class ObjectsTest : public ::testing::Test {
 protected:
  Collector& collector() { return heap_.collector(); }
  Ends& ends() { return collector().ends(); }

  CollectedHeap heap_;
  Keeper kept_{heap_};
};

TEST_F(ObjectsTest, FreedMemoryIsHandedOutAgainZeroed) {
  AttachedMutator mutator(heap_);
  for (const size_t bytes : kSizes) {
    for (int i = 0; i < 100; ++i) {
      auto* object = static_cast<unsigned char*>(mutator.Allocate(kConservative, bytes));
      ASSERT_NE(object, nullptr);
      ASSERT_EQ(object[0] | object[bytes / 2] | object[bytes - 1], 0);
      object[0] = object[bytes / 2] = object[bytes - 1] = 0xff;
      collector().Free(mutator.mutator(), object);
    }
  }
  EXPECT_EQ(collector().stats().cycles, 0u) << "what is freed by hand does not count as allocated any more";
  EXPECT_EQ(heap_.heap().huge_list().stats().objects, 0u);
  EXPECT_LT(heap_.heap().page_heap().used_bytes(), 1 * kMiB);
  collector().CheckInvariants();
}

TEST_F(ObjectsTest, FreeingEndsWeakReferencesEphemeronsAndFinalizersAndQueuesCleanups) {
  AttachedMutator mutator(heap_);
  for (const size_t bytes : kSizes) {
    void* object = mutator.Allocate(kPlain, bytes);
    int calls = 0;
    WeakCell* cell = ends().weak_cells().Create(object);
    Ephemeron* pair = ends().ephemerons().Create(object, object);
    WeakKeyTable table(ends().ephemerons());
    ASSERT_TRUE(table.Put(object, nullptr));
    ASSERT_TRUE(ends().finalizers().Set(object, [](void*, void*) { ADD_FAILURE(); }, nullptr));
    (void)ends().cleanups().Add(object, [](void* context) { ++*static_cast<int*>(context); }, &calls);
    collector().Free(mutator.mutator(), object);
    EXPECT_EQ(WeakCells::Get(*cell), nullptr);
    EXPECT_EQ(Ephemerons::Key(*pair), nullptr);
    EXPECT_EQ(table.Count(), 0u);
    EXPECT_EQ(ends().finalizers().Run(SIZE_MAX), 0u);
    EXPECT_EQ(ends().cleanups().Run(SIZE_MAX), 1u);
    EXPECT_EQ(calls, 1);
    ends().weak_cells().Destroy(cell);
    ends().ephemerons().Destroy(pair);
  }
  mutator.Collect();
  EXPECT_EQ(ends().finalizers().queued_count(), 0u);
}

// Random frees between cycles, of swept and unswept objects: the others stay as they are.
TEST_F(ObjectsTest, RandomFreesLeaveTheOthersAlone) {
  Random random(testing::Seed("random frees"));
  AttachedMutator mutator(heap_);
  constexpr size_t kPlaces = 2000;
  auto** table = static_cast<uint64_t**>(mutator.Allocate(kConservative, kPlaces * sizeof(void*)));
  std::vector<size_t> words(kPlaces);
  for (int step = 0; step < 60'000; ++step) {
    const size_t at = random.Below(kPlaces);
    if (table[at] != nullptr) {
      ASSERT_EQ(table[at][0], at);
      ASSERT_EQ(table[at][words[at] - 1], at);
      uint64_t* object = table[at];
      table[at] = nullptr;
      if (!random.OneIn(4)) collector().Free(mutator.mutator(), object);
    } else {
      words[at] = 2 + random.Skewed(random.OneIn(100) ? 14 : 7);
      table[at] = static_cast<uint64_t*>(mutator.Allocate(random.OneIn(2) ? kPlain : kConservative, 8 * words[at]));
      table[at][0] = table[at][words[at] - 1] = at;
    }
    if (step % 5000 == 4999) mutator.Collect();
  }
  EXPECT_GE(collector().stats().cycles, 12u);
  mutator.Collect();
  collector().CheckInvariants();
}

TEST_F(ObjectsTest, WordsAreResolvedToLiveObjectsOnly) {
  AttachedMutator mutator(heap_);
  for (const size_t bytes : kSizes) {
    auto* object = static_cast<char*>(mutator.Allocate(kPlain, bytes));
    const auto base = reinterpret_cast<uintptr_t>(object);
    FoundObject found;
    for (const size_t offset : {size_t{0}, bytes / 2, bytes - 1}) {
      ASSERT_TRUE(collector().FindObject(mutator.mutator(), base + offset, &found)) << bytes << " + " << offset;
      EXPECT_EQ(found.base, base);
      EXPECT_GE(found.bytes, bytes);
      EXPECT_EQ(found.kind, kPlain);
    }
    EXPECT_FALSE(bytes < 32'768 && collector().FindObject(mutator.mutator(), base + found.bytes, &found))
        << "the next slot of the run is no object yet";
    collector().Free(mutator.mutator(), object);
    EXPECT_FALSE(collector().FindObject(mutator.mutator(), base, &found)) << bytes;
  }
  FoundObject found;
  int local;
  EXPECT_FALSE(collector().FindObject(mutator.mutator(), reinterpret_cast<uintptr_t>(&local), &found));
  EXPECT_FALSE(collector().FindObject(mutator.mutator(), ~uintptr_t{0}, &found));
  EXPECT_FALSE(collector().FindObject(mutator.mutator(), 0, &found));
}

TEST_F(ObjectsTest, WalkVisitsExactlyWhatIsLive) {
  std::map<uintptr_t, std::pair<size_t, Kind>> expected;
  OnFreshThread(heap_, [&](AttachedMutator& mutator) {
    auto** table = static_cast<void**>(mutator.Allocate(kConservative, 1000 * sizeof(void*)));
    kept_[0] = table;
    expected[reinterpret_cast<uintptr_t>(table)] = {1000 * sizeof(void*), kConservative};
    for (size_t i = 0; i < 1000; ++i) {
      const size_t bytes = i % 100 == 99 ? 50'000 : i == 500 ? 40'000'000 : 16 + i % 200;
      const Kind kind = i % 3 == 0 ? kPlain : kConservative;
      void* object = mutator.Allocate(kind, bytes);
      (void)mutator.Allocate(kind, bytes / 2);  // Garbage.
      table[i] = object;
      expected[reinterpret_cast<uintptr_t>(object)] = {bytes, kind};
    }
  });
  CollectOnFreshThread(heap_);
  // Room from before: with the world stopped nothing may be allocated.
  std::vector<FoundObject> found;
  found.reserve(2 * expected.size());
  OnFreshThread(heap_, [&](AttachedMutator& mutator) {
    kept_[1] = mutator.Allocate(kPlain, 24);  // After the cycle: seen too; the rest of its run is not.
    expected[reinterpret_cast<uintptr_t>(kept_[1])] = {24, kPlain};
    collector().ForEachObject(
        mutator.mutator(),
        [](void* context, const FoundObject& object) {
          auto* list = static_cast<std::vector<FoundObject>*>(context);
          if (list->size() < list->capacity()) list->push_back(object);
        },
        &found);
  });
  std::map<uintptr_t, FoundObject> seen;
  for (const FoundObject& object : found) EXPECT_TRUE(seen.emplace(object.base, object).second);
  for (const auto& [base, what] : expected) {
    ASSERT_TRUE(seen.contains(base));
    EXPECT_GE(seen[base].bytes, what.first);
    EXPECT_EQ(seen[base].kind, what.second);
  }
  EXPECT_LE(seen.size(), expected.size() + 3) << "stale words may keep a few";
  CollectOnFreshThread(heap_);
  collector().CheckInvariants();
}

using ObjectsDeathTest = ObjectsTest;

TEST_F(ObjectsDeathTest, BadFreesAreFatal) {
  AttachedMutator mutator(heap_);
  for (const size_t bytes : kSizes) {
    auto* object = static_cast<char*>(mutator.Allocate(kPlain, bytes));
    EXPECT_DEATH(collector().Free(mutator.mutator(), object + 8), "free of 0x[0-9a-f]+: not the start of an object");
    EXPECT_DEATH(
        {
          collector().Free(mutator.mutator(), object);
          collector().Free(mutator.mutator(), object);
        },
        "free of 0x[0-9a-f]+: (freed twice or while unreachable|not the start of an object)");
  }
  int local;
  EXPECT_DEATH(collector().Free(mutator.mutator(), &local), "not the start of an object");
}

// ---- The hard limit.

TEST(HardLimit, AllocationsFailAtItAndGoOnWhenMemoryIsFree) {
  constexpr size_t kLimit = 8 * kMiB;
  CollectedHeap heap(CollectorOptions{.hard_limit_bytes = kLimit});
  Keeper kept(heap);
  OnFreshThread(heap, [&](AttachedMutator& mutator) {
    size_t got = 0;
    for (;; ++got) {
      auto** object = static_cast<void**>(mutator.Allocate(kConservative, 1024));
      if (object == nullptr) break;
      object[0] = kept[0];
      kept[0] = object;
      ASSERT_LE(heap.heap().page_heap().used_bytes(), kLimit);
    }
    EXPECT_GE(got, kLimit / 1024 * 9 / 10);
    EXPECT_EQ(mutator.Allocate(kPlain, 100'000), nullptr);
    EXPECT_EQ(mutator.Allocate(kPlain, 100'000'000), nullptr);
  });
  EXPECT_GE(heap.collector().stats().cycles, 1u);
  kept[0] = nullptr;
  CollectOnFreshThread(heap);
  AttachedMutator mutator(heap);
  EXPECT_NE(mutator.Allocate(kConservative, 1024), nullptr);
  EXPECT_NE(mutator.Allocate(kPlain, 4 * kMiB), nullptr);
}

TEST(HardLimit, HugeObjectsCountWhileTheyLive) {
  CollectedHeap heap(CollectorOptions{.hard_limit_bytes = 100 * kMiB});
  AttachedMutator mutator(heap);
  for (int i = 0; i < 10; ++i) {
    void* object = mutator.Allocate(kPlain, 60'000'000);
    ASSERT_NE(object, nullptr);
    EXPECT_EQ(mutator.Allocate(kPlain, 60'000'000), nullptr);
    heap.collector().Free(mutator.mutator(), object);
  }
}

TEST(HardLimit, CallbackRunsBeforeFailureAndMayUseTheReserve) {
  struct State {
    CollectedHeap* heap = nullptr;
    Keeper* kept = nullptr;
    int calls = 0;
    size_t wanted = 0;
    size_t in_callback = 0;
    static OnShortage OnLimit(void* context, CollectedMutator& mutator, size_t bytes) {
      auto* state = static_cast<State*>(context);
      ++state->calls;
      state->wanted = bytes;
      // From the reserve: about a MiB, then null and not another call.
      while (state->heap->collector().Allocate(mutator, kPlain, 64 * kKiB) != nullptr && state->in_callback < 1000) {
        ++state->in_callback;
        (*state->kept)[1] = nullptr;
      }
      if (state->calls > 1) return OnShortage::kGiveUp;
      (*state->kept)[0] = nullptr;
      return OnShortage::kRetry;
    }
  } state;
  CollectedHeap heap(CollectorOptions{.hard_limit_bytes = 8 * kMiB,
                                      .reserve_bytes = 1 * kMiB,
                                      .on_hard_limit = {.function = &State::OnLimit, .context = &state}});
  Keeper kept(heap);
  state.heap = &heap;
  state.kept = &kept;
  OnFreshThread(heap, [&](AttachedMutator& mutator) {
    for (;;) {
      auto** object = static_cast<void**>(mutator.Allocate(kConservative, 2048));
      if (object == nullptr) break;
      object[0] = kept[0];
      kept[0] = object;
      if (state.calls == 1 && state.wanted == 2048) state.wanted = 0;
    }
  });
  EXPECT_EQ(state.calls, 2);
  EXPECT_EQ(state.wanted, 2048u);
  EXPECT_GE(state.in_callback, 8u);
  EXPECT_LE(heap.heap().page_heap().used_bytes(), 9 * kMiB);
}

// ---- Statistics.

TEST(CollectorStats, ObjectsAndBytesAreCountedExactlyAtACycle) {
  CollectedHeap heap(CollectorOptions{.min_trigger_bytes = 1024 * kMiB});
  Keeper kept(heap);
  constexpr uint64_t kCount = 12'345;
  OnFreshThread(heap, [&](AttachedMutator& mutator) {
    for (uint64_t i = 0; i < kCount; ++i) (void)mutator.Allocate(kPlain, 48);
    void* last = nullptr;
    for (uint64_t i = 0; i < 100; ++i) {
      auto** object = static_cast<void**>(mutator.Allocate(kConservative, 32));
      *object = last;
      last = object;
    }
    kept[0] = last;
    kept[1] = mutator.Allocate(kPlain, 100'000);
    kept[2] = mutator.Allocate(kPlain, 40'000'000);
    for (int i = 0; i < 50; ++i) heap.collector().Free(mutator.mutator(), mutator.Allocate(kPlain, 64));
  });
  EXPECT_EQ(heap.collector().stats().freed_objects, 50u);
  CollectOnFreshThread(heap);
  const CycleStats stats = heap.collector().stats();
  EXPECT_EQ(stats.cycles, 1u);
  EXPECT_EQ(stats.allocated_objects, kCount + 100 + 2 + 50);
  EXPECT_GE(stats.live_objects, 102u);
  EXPECT_LE(stats.live_objects, 105u) << "stale words may keep a few";
  EXPECT_EQ(stats.allocated_objects, stats.live_objects + stats.freed_objects);
  EXPECT_EQ(stats.allocated_bytes, stats.live_bytes + stats.dead_bytes);
  EXPECT_EQ(stats.freed_bytes, stats.dead_bytes) << "everything is swept after Collect";
  const size_t small_bytes = kCount * 48 + 100 * 32 + 50 * 64;
  EXPECT_EQ(stats.allocated_bytes, small_bytes + AlignUp(100'000, kPageBytes) + AlignUp(40'000'000, 4096));
  EXPECT_GE(stats.root_bytes, Keeper::kPlaces * sizeof(void*));
  EXPECT_LT(stats.root_bytes, 8 * kMiB);
}

TEST(CollectorStats, EachStopIsInOneBucket) {
  CollectedHeap heap;
  AttachedMutator mutator(heap);
  for (int i = 0; i < 10; ++i) mutator.Collect();
  const CycleStats stats = heap.collector().stats();
  EXPECT_EQ(stats.stops.count, 10u);
  uint64_t stops = 0;
  uint64_t least_ns = 0;
  for (size_t i = 0; i < StopHistogram::kBuckets; ++i) {
    stops += stats.stops.buckets[i];
    least_ns += stats.stops.buckets[i] << i;
  }
  EXPECT_EQ(stops, 10u);
  EXPECT_GE(stats.stops.total_ns, least_ns);
  EXPECT_LT(stats.stops.total_ns, 2 * least_ns);
  EXPECT_EQ(stats.stops.buckets[StopHistogram::BucketOf(stats.stops.longest_ns)] > 0, true);
  EXPECT_EQ(stats.longest_stop_ns, stats.stops.longest_ns);
}

TEST(StopHistogram, BucketsArePowersOfTwo) {
  EXPECT_EQ(StopHistogram::BucketOf(0), 0u);
  EXPECT_EQ(StopHistogram::BucketOf(1), 0u);
  EXPECT_EQ(StopHistogram::BucketOf(2), 1u);
  EXPECT_EQ(StopHistogram::BucketOf(1023), 9u);
  EXPECT_EQ(StopHistogram::BucketOf(1024), 10u);
  EXPECT_EQ(StopHistogram::BucketOf(UINT64_MAX), StopHistogram::kBuckets - 1);
}

}  // namespace
}  // namespace acre
