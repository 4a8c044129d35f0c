#include "allocator/heap/thread_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

#include "tests/support/allocator/heap_under_test.h"

namespace acre {
namespace {

using testing::HeapUnderTest;

constexpr SizeClass kClass = ClassForSize(64);

class ThreadCacheTest : public ::testing::Test {
 protected:
  void* Allocate() {
    void* slot = test_.cache().Allocate(kClass);
    return slot != nullptr ? slot : test_.cache().AllocateSlow(kClass);
  }

  uint8_t State(const void* slot) {
    const uintptr_t address = testing::AddressOf(slot);
    return PageRefOf(address).State(address);
  }

  HeapUnderTest test_;
};

TEST_F(ThreadCacheTest, UnopenedCacheServesNothingAndHarmsNothing) {
  ThreadCache closed;
  void* slot = Allocate();
  EXPECT_FALSE(closed.is_open());
  EXPECT_EQ(closed.Allocate(kClass), nullptr);
  EXPECT_FALSE(closed.Free(test_.table(), slot));
  EXPECT_FALSE(closed.MakeRoom(kClass));
  EXPECT_EQ(State(slot), LiveState(testing::AddressOf(slot))) << "a free that failed has changed nothing";
  EXPECT_TRUE(test_.cache().Free(test_.table(), slot));
}

TEST_F(ThreadCacheTest, FreshCacheIsEmptyAndTheFirstRefillIsSmall) {
  EXPECT_TRUE(test_.cache().is_open());
  EXPECT_EQ(test_.cache().Allocate(kClass), nullptr);
  EXPECT_NE(test_.cache().AllocateSlow(kClass), nullptr);
  EXPECT_LE((1 + test_.cache().CachedSlots(kClass)) * 64, 1024u);
}

TEST_F(ThreadCacheTest, FirstSlotsOfAThreadAscend) {
  const void* previous = Allocate();
  for (int i = 0; i < 50; ++i) {
    const void* next = Allocate();
    EXPECT_GT(next, previous);
    previous = next;
  }
}

TEST_F(ThreadCacheTest, LastFreedSlotIsAllocatedFirst) {
  void* slots[3] = {Allocate(), Allocate(), Allocate()};
  for (void* slot : slots) ASSERT_TRUE(test_.cache().Free(test_.table(), slot));
  EXPECT_EQ(Allocate(), slots[2]);
  EXPECT_EQ(Allocate(), slots[1]);
  EXPECT_EQ(Allocate(), slots[0]);
}

TEST_F(ThreadCacheTest, StateFollowsTheSlot) {
  void* slot = Allocate();
  EXPECT_EQ(State(slot), LiveState(testing::AddressOf(slot)));
  ASSERT_TRUE(test_.cache().Free(test_.table(), slot));
  EXPECT_EQ(State(slot), kFreed);
  EXPECT_FALSE(test_.cache().Free(test_.table(), slot)) << "a second free";
  EXPECT_EQ(Allocate(), slot);
  EXPECT_EQ(State(slot), LiveState(testing::AddressOf(slot)));
}

TEST_F(ThreadCacheTest, FreeRefusesEveryAddressThatIsNoLiveSlot) {
  auto* slot = static_cast<char*>(Allocate());
  for (int offset = 1; offset < 64; ++offset) EXPECT_FALSE(test_.cache().Free(test_.table(), slot + offset)) << offset;
  EXPECT_FALSE(test_.cache().Free(test_.table(), nullptr));
  EXPECT_FALSE(test_.cache().Free(test_.table(), &slot));
  EXPECT_FALSE(test_.cache().Free(test_.table(), ChunkOf(testing::AddressOf(slot)))) << "the chunk's records";
  void* large = test_.Allocate(100 * kKiB);
  EXPECT_FALSE(test_.cache().Free(test_.table(), large));
  test_.Free(large);
}

TEST_F(ThreadCacheTest, SlotsBeyondTwoMagazinesGoBackAndNothingIsLost) {
  std::vector<void*> slots;
  for (int i = 0; i < 20'000; ++i) slots.push_back(Allocate());
  EXPECT_EQ(std::set<void*>(slots.begin(), slots.end()).size(), slots.size());
  for (void* slot : slots) test_.Free(slot);
  test_.heap().CheckInvariants();
  EXPECT_LE(test_.cache().CachedSlots(kClass), 2u * Magazine::kMaxCapacity);
  test_.ExpectEmptyAfterRelease();
}

TEST_F(ThreadCacheTest, CachedSlotsCountsBothMagazines) {
  std::vector<void*> slots;
  for (int i = 0; i < 40; ++i) slots.push_back(Allocate());
  const size_t before = test_.heap().class_stats(kClass).live_slots;
  EXPECT_EQ(before, 40u);
  for (size_t i = 0; i < slots.size(); ++i) {
    test_.Free(slots[i]);
    ASSERT_EQ(test_.heap().class_stats(kClass).live_slots, slots.size() - 1 - i);
  }
}

TEST_F(ThreadCacheTest, GoingBackAndForthAtAMagazinesEndDoesNotTrade) {
  std::vector<void*> slots;
  for (int i = 0; i < 1000; ++i) slots.push_back(Allocate());
  for (int i = 0; i < 500; ++i) {
    test_.Free(slots.back());
    slots.pop_back();
  }
  const size_t depot = test_.heap().class_stats(kClass).spans;
  for (int round = 0; round < 1000; ++round) {
    void* pair[2] = {Allocate(), Allocate()};
    test_.Free(pair[0]);
    test_.Free(pair[1]);
  }
  EXPECT_EQ(test_.heap().class_stats(kClass).spans, depot);
  for (void* slot : slots) test_.Free(slot);
}

TEST_F(ThreadCacheTest, FlushedCacheIsEmptyAndWorksOn) {
  for (int i = 0; i < 100; ++i) test_.Free(Allocate());
  test_.cache().Flush();
  EXPECT_EQ(test_.cache().CachedSlots(kClass), 0u);
  EXPECT_EQ(test_.heap().page_heap().used_bytes(), 0u);
  void* slot = Allocate();
  EXPECT_NE(slot, nullptr);
  test_.Free(slot);
}

TEST_F(ThreadCacheTest, TrimmedCacheKeepsItsLoadedMagazine) {
  std::vector<void*> slots;
  for (int i = 0; i < 300; ++i) slots.push_back(Allocate());
  for (void* slot : slots) test_.Free(slot);
  test_.cache().Trim();
  test_.heap().CheckInvariants();
  EXPECT_LE(test_.cache().CachedSlots(kClass), Magazine::kMaxCapacity);
  for (void*& slot : slots) slot = Allocate();
  EXPECT_EQ(std::set<void*>(slots.begin(), slots.end()).size(), slots.size());
  for (void* slot : slots) test_.Free(slot);
  test_.ExpectEmptyAfterRelease();
}

TEST_F(ThreadCacheTest, IdleCacheOfManyClassesHoldsLittle) {
  // A thread that allocates and frees one object of every class keeps less than 100 KiB.
  for (size_t bytes = 16; bytes <= 4 * kKiB; bytes += 16) test_.Free(test_.Allocate(bytes));
  size_t cached = 0;
  for (uint32_t number = 1; number < kSizeClassCount; ++number) {
    cached += test_.cache().CachedSlots(static_cast<SizeClass>(number)) * kSizeClasses[number].slot_bytes;
  }
  EXPECT_LE(cached, 100 * kKiB);
}

TEST_F(ThreadCacheTest, WithoutMemoryForMagazinesFreesStillReachTheSpans) {
  std::vector<void*> slots;
  for (int i = 0; i < 2000; ++i) slots.push_back(test_.Allocate(2000));
  ThreadCache closed;
  for (void* slot : slots) test_.heap().Free(closed, slot);
  test_.ExpectEmptyAfterRelease();
}

}  // namespace
}  // namespace acre
