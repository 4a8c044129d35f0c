#include "allocator/collect/run.h"

#include <gtest/gtest.h>

#include <atomic>
#include <iterator>
#include <string>
#include <thread>

#include "allocator/collect/collector.h"
#include "tests/support/allocator/collected_heap.h"
#include "tests/support/allocator/heap_under_test.h"
#include "tests/support/child.h"
#include "tests/support/sanitizers.h"
#include "tests/support/seed.h"

// Runs whose holes were taken together with them.

namespace acre {
namespace {

using testing::AttachedMutator;
using testing::CollectedHeap;
using testing::CollectOnFreshThread;
using testing::OnFreshThread;
using testing::Random;

constexpr SizeClass kClasses[] = {ClassForSize(16), ClassForSize(48), ClassForSize(64), ClassForSize(2048)};

// Whether the sets hold the same slots.
bool IsSame(const SlotSet& one, const SlotSet& other) {
  for (uint32_t word = 0; word < kLineWords; ++word) {
    if (one.bits[word] != other.bits[word]) return false;
  }
  return one.span == other.span;
}

// Any slots: they become runs in the order of their addresses, each as long as there are neighbours, and what is unused is
// at every moment what was not handed out.
TEST(RunTest, HolesAreUsedUpInOrder) {
  Random random(testing::Seed("holes of runs"));
  testing::HeapUnderTest test;
  for (int round = 0; round < 400; ++round) {
    const SizeClass size_class = kClasses[round % std::size(kClasses)];
    const SizeClassInfo& info = kSizeClasses[size_class];
    Span* span = test.heap().page_heap().AllocateSmall(size_class, kConservative);
    acre::Run run;
    Holes holes;
    holes.slots.span = span;
    const uint32_t density = 1 + static_cast<uint32_t>(random.Below(8));
    for (uint32_t slot = 0; slot < info.slots; ++slot) {
      if (!random.OneIn(density) || round % 7 == 0) SetBits(holes.slots.bits, slot, 1);
    }
    for (holes.word = 0; holes.word < kLineWords && holes.slots.bits[holes.word] == 0;) ++holes.word;
    SlotSet expected = holes.slots;
    uint32_t from = 0;
    const auto word_at = [&expected](uint32_t index) { return expected.bits[index]; };
    while (!holes.is_empty()) {
      MoveToNextHole(run, holes, size_class);
      const uint32_t first = FindOne(from, info.slots, word_at);
      const uint32_t limit = FindZero(first, info.slots, word_at);
      ASSERT_EQ(run.cursor, BaseOf(span) + size_t{first} * info.slot_bytes);
      ASSERT_EQ(run.limit, run.cursor) << "nothing of it is zeroed";
      ASSERT_EQ(run.end, BaseOf(span) + size_t{limit} * info.slot_bytes);
      ASSERT_TRUE(IsSame(UnusedOf(run, holes, size_class), expected));
      for (uint32_t slot = first; slot < limit; ++slot) {
        ClearBits(expected.bits, slot, 1);
        run.cursor += info.slot_bytes;
        ASSERT_TRUE(IsSame(UnusedOf(run, holes, size_class), expected));
      }
      from = limit;
    }
    ASSERT_TRUE(expected.is_empty());
    test.heap().page_heap().Free(span);
  }
}

// A page of 64-byte objects of which every fourth is kept: what is allocated next finds holes of three slots.
class HolesTest : public ::testing::Test {
 protected:
  static constexpr size_t kBytes = 64;
  static constexpr size_t kObjects = 8192 / kBytes;

  explicit HolesTest(const CollectorOptions& options = testing::OptionsOfEnvironment()) : heap_(options) {
    heap_.roots().Add(range_);
    OnFreshThread(heap_, [this](AttachedMutator& mutator) {
      for (size_t i = 0; i < kObjects; ++i) {
        void* object = mutator.Allocate(kConservative, kBytes);
        if (i % 4 == 0) kept_[i / 4] = object;
      }
    });
    CollectOnFreshThread(heap_);
  }
  ~HolesTest() override {
    heap_.collector().CheckInvariants();
    heap_.roots().Remove(range_);
  }

  Collector& collector() { return heap_.collector(); }
  size_t UsedBytes() { return heap_.heap().page_heap().used_bytes(); }

  // The allocation bits of the page, which has one mutator's holes at most.
  uint32_t TakenSlots() const {
    const auto address = reinterpret_cast<uintptr_t>(kept_[0]);
    return CountBits(AllocBitsOf(SpanOfPage(ChunkOf(address), PageOf(address))), 0, kObjects);
  }

  CollectedHeap heap_;
  void* kept_[kObjects / 4] = {};
  RootRange range_{.next = nullptr, .previous = nullptr, .base = kept_, .limit = kept_ + kObjects / 4};
};

TEST_F(HolesTest, AreFilledWithoutAnotherPage) {
  AttachedMutator mutator(heap_);
  for (size_t i = 0; i < kObjects * 3 / 4; ++i) {
    const auto object = reinterpret_cast<uintptr_t>(mutator.Allocate(kConservative, kBytes));
    EXPECT_EQ(object, reinterpret_cast<uintptr_t>(kept_[0]) + (i / 3 * 4 + 1 + i % 3) * kBytes);
  }
  EXPECT_EQ(UsedBytes(), kPageBytes);
  (void)mutator.Allocate(kConservative, kBytes);
  EXPECT_EQ(UsedBytes(), 2 * kPageBytes);
}

TEST_F(HolesTest, AreGivenBackByAMutatorThatLeaves) {
  const uint64_t before = collector().stats().allocated_objects;
  OnFreshThread(heap_, [this](AttachedMutator& mutator) {
    (void)mutator.Allocate(kConservative, kBytes);
    EXPECT_GT(TakenSlots(), kObjects / 4 + 3) << "more than a hole";
  });
  EXPECT_EQ(TakenSlots(), kObjects / 4 + 1);
  EXPECT_EQ(collector().stats().allocated_objects, before + 1);
  collector().CheckInvariants();
}

TEST_F(HolesTest, AreGivenBackAfterACycle) {
  OnFreshThread(heap_, [this](AttachedMutator& mutator) {
    (void)mutator.Allocate(kConservative, kBytes);
    CollectOnFreshThread(heap_);
  });
  EXPECT_GE(TakenSlots(), kObjects / 4);
  EXPECT_LE(TakenSlots(), kObjects / 4 + 1) << "the one object, as a stale word may keep it";
  collector().CheckInvariants();
}

TEST_F(HolesTest, StayTheMutatorsOverACycleAndAreNoObjects) {
  OnFreshThread(heap_, [this](AttachedMutator& mutator) {
    (void)mutator.Allocate(kConservative, kBytes);
    const uint32_t taken = TakenSlots();
    CollectOnFreshThread(heap_);
    EXPECT_GE(TakenSlots(), taken - 1);
    const CycleStats stats = collector().stats();
    EXPECT_GE(stats.live_objects, kObjects / 4);
    EXPECT_LE(stats.live_objects, kObjects / 4 + 1);
    EXPECT_EQ(stats.allocated_objects, kObjects + 1);
    EXPECT_EQ(stats.allocated_objects, stats.live_objects + stats.freed_objects);
    FoundObject found;
    for (size_t slot = 0; slot < kObjects; ++slot) {
      const uintptr_t address = reinterpret_cast<uintptr_t>(kept_[0]) + slot * kBytes;
      const bool is_found = collector().FindObject(mutator.mutator(), address, &found);
      EXPECT_EQ(is_found && slot != 1, slot % 4 == 0) << slot << ": slot 1 has an object";
    }
    for (size_t i = 0; i < 4; ++i) {
      const auto object = reinterpret_cast<uintptr_t>(mutator.Allocate(kConservative, kBytes));
      EXPECT_EQ(object, reinterpret_cast<uintptr_t>(kept_[0]) + (i < 2 ? 2 + i : 3 + i) * kBytes);
    }
  });
}

TEST_F(HolesTest, WordsThatMeanThemKeepNothing) {
  OnFreshThread(heap_, [this](AttachedMutator& mutator) {
    (void)mutator.Allocate(kConservative, kBytes);
    void* const object = kept_[1];
    kept_[1] = static_cast<char*>(kept_[0]) + 6 * kBytes;  // In the second hole.
    CollectOnFreshThread(heap_);
    EXPECT_LE(collector().stats().live_objects, kObjects / 4);
    EXPECT_GE(collector().stats().live_objects, kObjects / 4 - 1);
    kept_[1] = kept_[0];
    (void)object;
  });
}

TEST_F(HolesTest, OfAThreadThatAChildDoesNotHaveAreFreed) {
  if (testing::kHasThreadSanitizer) GTEST_SKIP() << "it ends a child that makes a thread";
  std::atomic<bool> has_begun = false;
  std::atomic<bool> is_over = false;
  std::thread other([&] {
    AttachedMutator mutator(heap_);
    (void)mutator.Allocate(kConservative, kBytes);
    has_begun = true;
    while (!is_over) std::this_thread::yield();
  });
  while (!has_begun) std::this_thread::yield();
  const testing::ChildResult result = testing::RunInChild([&] {
    if (TakenSlots() <= kObjects / 4 + 3) return 1;
    for (int cycle = 0; cycle < 2; ++cycle) CollectOnFreshThread(heap_);
    return TakenSlots() == kObjects / 4 ? 0 : 2;
  });
  is_over = true;
  other.join();
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
}

TEST_F(HolesTest, AreNotFreedByHand) {
  const testing::ChildResult result = testing::RunInChild([&] {
    OnFreshThread(heap_, [this](AttachedMutator& mutator) {
      (void)mutator.Allocate(kConservative, kBytes);
      collector().Free(mutator.mutator(), static_cast<char*>(kept_[0]) + 6 * kBytes);
    });
    return 0;
  });
  EXPECT_NE(result.error_output.find("freed twice or while unreachable"), std::string::npos) << result.Describe();
}

class ClobberedHolesTest : public HolesTest {
 protected:
  static CollectorOptions Clobbering() {
    CollectorOptions options;
    options.debug.clobbers_freed = true;
    return options;
  }
  ClobberedHolesTest() : HolesTest(Clobbering()) {}
};

// A write into a hole that waits, or that was given back, would be a fatal error here.
TEST_F(ClobberedHolesTest, AreClobberedUntilTheyAreHandedOut) {
  for (int round = 0; round < 3; ++round) {
    OnFreshThread(heap_, [&](AttachedMutator& mutator) {
      for (int i = 0; i < 4; ++i) {
        auto* object = static_cast<unsigned char*>(mutator.Allocate(kConservative, kBytes));
        for (size_t at = 0; at < kBytes; ++at) ASSERT_EQ(object[at], 0);
        object[0] = 1;
      }
      const auto* waiting = static_cast<const unsigned char*>(kept_[0]) + 10 * kBytes;
      for (size_t at = 0; at < kBytes; ++at) ASSERT_EQ(waiting[at], kClobberByte);
      CollectOnFreshThread(heap_);
      if (round == 1) mutator.Collect();
    });
  }
}

}  // namespace
}  // namespace acre
