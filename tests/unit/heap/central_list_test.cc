#include "allocator/heap/central_list.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <set>
#include <vector>

#include "os/clock.h"
#include "os/fake/fake_memory.h"

namespace acre {
namespace {

constexpr SizeClass kClass = ClassForSize(64);
constexpr uint32_t kSlots = kSizeClasses[kClass].slots;

class CentralListTest : public ::testing::Test {
 protected:
  ~CentralListTest() override {
    central_.CheckInvariants();
    page_heap_.CheckInvariants();
    page_heap_.ReleaseChunks();
    metadata_.ReleaseAll();
    EXPECT_EQ(fake_.mapped_bytes(), 0u);
  }

  // A magazine with up to `wanted` slots.
  Magazine* Get(uint32_t wanted) {
    Magazine* empty = central_.MakeMagazine(125);
    EXPECT_NE(empty, nullptr);
    return central_.Refill(empty, wanted);
  }

  std::vector<void*> Take(uint32_t count) {
    std::vector<void*> slots;
    while (slots.size() < count) {
      void* slot = central_.AllocateOne();
      EXPECT_NE(slot, nullptr);
      slots.push_back(slot);
    }
    return slots;
  }

  os::FakeMemory fake_;
  os::AddressSpace space_{fake_.calls(), SIZE_MAX};
  std::unique_ptr<ChunkTable> table_ = std::make_unique<ChunkTable>();
  ChunkSpace chunk_space_{space_, *table_};
  PageHeap page_heap_{space_, chunk_space_, *table_};
  Metadata metadata_{space_};
  CentralList central_{kClass, kNoPointers, page_heap_, metadata_};
};

TEST_F(CentralListTest, RefillGivesDistinctSlotsInAscendingOrderOfPopping) {
  Magazine* magazine = Get(100);
  ASSERT_EQ(magazine->count, 100u);
  for (uint32_t i = 1; i < 100; ++i) EXPECT_LT(magazine->slots[i], magazine->slots[i - 1]);
  const CentralStats stats = central_.stats();
  EXPECT_EQ(stats.spans, 1u);
  EXPECT_EQ(stats.slots, kSlots);
  EXPECT_EQ(stats.free_slots, kSlots - 100);
  central_.Drain(magazine);
  central_.DestroyMagazine(magazine);
}

TEST_F(CentralListTest, RefillGoesOnInTheNextSpanWhenOneIsUsedUp) {
  const std::vector<void*> slots = Take(kSlots - 3);
  Magazine* magazine = Get(10);
  EXPECT_EQ(magazine->count, 10u);
  EXPECT_EQ(central_.stats().spans, 2u);
  central_.Drain(magazine);
  central_.DestroyMagazine(magazine);
  for (void* slot : slots) central_.FreeOne(slot);
}

TEST_F(CentralListTest, SlotsOfASpanAreAllItHasAndNoTwoAreTheSame) {
  const std::vector<void*> slots = Take(3 * kSlots);
  EXPECT_EQ(std::set<void*>(slots.begin(), slots.end()).size(), slots.size());
  EXPECT_EQ(central_.stats().spans, 3u);
  EXPECT_EQ(central_.stats().free_slots, 0u);
  for (void* slot : slots) central_.FreeOne(slot);
}

TEST_F(CentralListTest, SpanWhoseSlotsAreAllFreeGoesBackToThePageHeap) {
  const std::vector<void*> slots = Take(2 * kSlots);
  EXPECT_EQ(page_heap_.used_bytes(), 2 * kPageBytes);
  for (uint32_t i = 0; i < kSlots; ++i) central_.FreeOne(slots[i]);
  EXPECT_EQ(page_heap_.used_bytes(), kPageBytes);
  EXPECT_EQ(central_.stats().spans, 1u);
  for (uint32_t i = kSlots; i < 2 * kSlots; ++i) central_.FreeOne(slots[i]);
  EXPECT_EQ(page_heap_.used_bytes(), 0u);
  EXPECT_EQ(central_.stats().slots, 0u);
  EXPECT_EQ(central_.stats().free_slots, 0u);
}

TEST_F(CentralListTest, FullestSpanIsTakenFromFirst) {
  const std::vector<void*> slots = Take(2 * kSlots);
  // The first span becomes almost empty, the second loses one slot.
  for (uint32_t i = 1; i < kSlots; ++i) central_.FreeOne(slots[i]);
  central_.FreeOne(slots[kSlots + 5]);
  EXPECT_EQ(central_.AllocateOne(), slots[kSlots + 5]);
  for (uint32_t i = kSlots; i < 2 * kSlots; ++i) central_.FreeOne(slots[i]);
  central_.FreeOne(slots[0]);
}

TEST_F(CentralListTest, InvariantsHoldAtEveryFillOfASpan) {
  std::vector<void*> slots;
  for (uint32_t i = 0; i < kSlots + 2; ++i) {
    slots.push_back(central_.AllocateOne());
    central_.CheckInvariants();
  }
  for (size_t i = 0; i < slots.size(); ++i) {
    central_.FreeOne(slots[(i * 37) % slots.size()]);
    central_.CheckInvariants();
  }
  EXPECT_EQ(page_heap_.used_bytes(), 0u);
}

TEST_F(CentralListTest, FullMagazineIsTradedThroughTheDepot) {
  Magazine* full = Get(29);
  const std::vector<void*> slots(full->slots, full->slots + full->count);
  bool is_drained = true;
  Magazine* empty = central_.TakeBack(full, 61, &is_drained);
  EXPECT_FALSE(is_drained);
  EXPECT_EQ(empty->count, 0u);
  EXPECT_EQ(empty->capacity, 61u);
  EXPECT_EQ(central_.stats().depot_slots, 29u);
  Magazine* again = central_.Refill(empty, 1);
  EXPECT_EQ(again, full) << "a full magazine is worth more than the one slot asked for";
  EXPECT_EQ(std::vector<void*>(again->slots, again->slots + again->count), slots);
  EXPECT_EQ(central_.stats().depot_slots, 0u);
  central_.Drain(again);
  central_.DestroyMagazine(again);
}

TEST_F(CentralListTest, DepotTakesAMegabyteAndDrainsWhatIsBeyond) {
  std::vector<Magazine*> magazines;
  for (int i = 0; i < 200; ++i) magazines.push_back(Get(125));
  int drained = 0;
  for (Magazine* magazine : magazines) {
    bool is_drained = false;
    Magazine* empty = central_.TakeBack(magazine, 125, &is_drained);
    EXPECT_EQ(empty->count, 0u);
    EXPECT_EQ(is_drained, empty == magazine);
    drained += is_drained;
    central_.DestroyMagazine(empty);
    ASSERT_LE(central_.stats().depot_slots * 64, kMiB);
  }
  EXPECT_GT(drained, 0);
  central_.DrainDepot();
  EXPECT_EQ(page_heap_.used_bytes(), 0u);
}

TEST_F(CentralListTest, DepotThatNobodyNeedsDrainsWithinAQuarterOfASecond) {
  bool is_drained = false;
  central_.DestroyMagazine(central_.TakeBack(Get(100), 125, &is_drained));
  ASSERT_EQ(central_.stats().depot_slots, 100u);
  uint64_t now = os::CoarseMonotonicNs();
  for (int i = 0; i < 10; ++i) central_.ReleaseIdle(now += 25'000'000);
  EXPECT_EQ(central_.stats().depot_slots, 0u);
  EXPECT_EQ(page_heap_.used_bytes(), 0u);
}

TEST_F(CentralListTest, MagazineThatIsTradedAgainAndAgainStaysInTheDepot) {
  bool is_drained = false;
  Magazine* empty = central_.TakeBack(Get(100), 125, &is_drained);
  uint64_t now = os::CoarseMonotonicNs();
  for (int i = 0; i < 40; ++i) {
    Magazine* full = central_.Refill(empty, 100);
    ASSERT_EQ(full->count, 100u);
    empty = central_.TakeBack(full, 125, &is_drained);
    central_.ReleaseIdle(now += 10'000'000);
    ASSERT_EQ(central_.stats().depot_slots, 100u) << "trade " << i;
  }
  central_.DestroyMagazine(empty);
  central_.DrainDepot();
}

TEST_F(CentralListTest, WithoutMemoryTheMagazineComesBackEmpty) {
  Magazine* empty = central_.MakeMagazine(13);
  fake_.FailNth(1, ENOMEM, os::FakeMemory::Repeat::kForever);
  EXPECT_EQ(central_.Refill(empty, 10), empty);
  EXPECT_EQ(empty->count, 0u);
  EXPECT_EQ(central_.AllocateOne(), nullptr);
  fake_.StopFailing();
  EXPECT_NE(central_.AllocateOne(), nullptr);
  central_.DestroyMagazine(empty);
}

}  // namespace
}  // namespace acre
