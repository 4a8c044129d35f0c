#include "allocator/span/span.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "allocator/span/chunk.h"
#include "tests/support/allocator/chunk_under_test.h"

namespace acre {
namespace {

class SpanTest : public ::testing::Test {
 protected:
  testing::ChunkUnderTest test_;
};

TEST_F(SpanTest, RecordsLeaveMostOfTheChunkToPages) {
  EXPECT_LE(size_t{kFirstPage} * kPageBytes, 10 * kMiB);
  EXPECT_EQ(size_t{kFirstPage} * kPageBytes % (2 * kMiB), 0u);
  EXPECT_GE(size_t{kFirstPage} * kPageBytes, sizeof(Chunk));
}

TEST_F(SpanTest, NewSpanOfSlotsIsWhollyFreeAndValid) {
  for (uint32_t number = 1; number < kSizeClassCount; ++number) {
    Span* span = test_.Make(static_cast<SizeClass>(number));
    CheckSpan(span);
    EXPECT_EQ(span->free_slots, kSizeClasses[number].slots);
    for (uint32_t page = 0; page < span->pages; ++page) {
      const PageDescriptor descriptor = test_.chunk().descriptors[FirstPageOf(span) + page];
      EXPECT_EQ(descriptor.size_class(), number);
      EXPECT_EQ(descriptor.kind(), kNoPointers);
      EXPECT_EQ(descriptor.number_in_span(), page);
    }
  }
}

TEST_F(SpanTest, SlotStatesBeginAsNeverUsedAlsoWhenRowsAreUsedAgain) {
  for (int round = 0; round < 2; ++round) {
    Span* span = test_.Make(ClassForSize(100));
    const uintptr_t limit = BaseOf(span) + BytesOf(span);
    const auto state_at = [](uintptr_t address) -> SlotState& { return PageRefOf(address).State(address); };
    for (uintptr_t address = BaseOf(span); address < limit; address += kSlotAlignment) {
      ASSERT_EQ(state_at(address), kNeverUsed) << "round " << round;
    }
    for (uintptr_t address = BaseOf(span); address < limit; address += kKiB)
      state_at(address) = LiveState(address);
    test_.Unmake(span);
  }
}

TEST_F(SpanTest, SlotsOfAllLiveSpansHaveAByteEach) {
  std::vector<SlotState*> bytes;
  for (uint32_t number = 1; number < kSizeClassCount; ++number) {
    Span* span = test_.Make(static_cast<SizeClass>(number));
    const SizeClassInfo& info = kSizeClasses[number];
    for (uint32_t slot = 0; slot < info.slots; ++slot) {
      const uintptr_t address = BaseOf(span) + slot * info.slot_bytes;
      bytes.push_back(&PageRefOf(address).State(address));
    }
  }
  const size_t count = bytes.size();
  std::sort(bytes.begin(), bytes.end());
  EXPECT_EQ(static_cast<size_t>(std::unique(bytes.begin(), bytes.end()) - bytes.begin()), count);
  EXPECT_GE(bytes.front(), test_.chunk().states);
  EXPECT_LT(bytes.back(), test_.chunk().states + kStateBytes);
}

TEST_F(SpanTest, UnmadeSpanLeavesNoTraceInDescriptorsOrRows) {
  Span* span = test_.Make(ClassForSize(20'000));
  const uint32_t first = FirstPageOf(span);
  const uint32_t pages = span->pages;
  test_.Unmake(span);
  EXPECT_EQ(span->size_class, kNoClass);
  for (uint32_t page = first; page < first + pages; ++page) {
    EXPECT_TRUE(test_.chunk().descriptors[page].is_none());
    EXPECT_TRUE(test_.chunk().page_refs[page].is_none());
  }
}

TEST_F(SpanTest, LargeSpanHasNoStateRowsAndFollowsItsSize) {
  Span* span = test_.Make(kLargeClass, 10);
  CheckSpan(span);
  const uint32_t first = FirstPageOf(span);
  EXPECT_TRUE(test_.chunk().page_refs[first].is_none());
  ResizeLargeSpan(span, 4);
  EXPECT_EQ(SpanOfPage(&test_.chunk(), first + 3), span);
  EXPECT_EQ(SpanOfPage(&test_.chunk(), first + 4), nullptr);
  CheckSpan(span);
  ResizeLargeSpan(span, 9);
  EXPECT_EQ(SpanOfPage(&test_.chunk(), first + 8), span);
  EXPECT_EQ(SpanOfPage(&test_.chunk(), first + 9), nullptr);
  EXPECT_EQ(span->pages, 9u);
}

TEST_F(SpanTest, CheckSpanSeesAWrongCountOfFreeSlots) {
  Span* span = test_.Make(ClassForSize(64));
  --span->free_slots;
  EXPECT_DEATH(CheckSpan(span), "check failed: CountBits");
}

TEST_F(SpanTest, CheckSpanSeesADescriptorThatLeadsElsewhere) {
  Span* span = test_.Make(ClassForSize(20'000));
  test_.chunk().descriptors[FirstPageOf(span) + 1] = PageDescriptor();
  EXPECT_DEATH(CheckSpan(span), "check failed: SpanOfPage");
}

TEST_F(SpanTest, CheckSpanSeesAMissingStateRow) {
  Span* span = test_.Make(ClassForSize(64));
  test_.chunk().page_refs[FirstPageOf(span)] = PageRef();
  EXPECT_DEATH(CheckSpan(span), "check failed: ref.is_none");
}

}  // namespace
}  // namespace acre
