#include "allocator/collect/mark_bits.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <vector>

#include "tests/support/allocator/mark_heap.h"
#include "tests/support/child.h"

namespace acre {
namespace {

using testing::MarkHeap;

class MarkBitsTest : public ::testing::Test {
 protected:
  Resolved Find(uintptr_t word) {
    Resolved resolved{};
    EXPECT_TRUE(Resolve(heap_.table(), word, &resolved));
    return resolved;
  }
  MarkHeap heap_;
};

TEST_F(MarkBitsTest, AnObjectIsFreshOnceWhoeverMarks) {
  const uintptr_t first = heap_.Allocate(kConservative, 64);
  const uintptr_t second = heap_.Allocate(kConservative, 64);
  ClearMarks(heap_.table());
  EXPECT_FALSE(IsMarked(Find(first)));
  EXPECT_TRUE(SetMark<Markers::kOne>(Find(first)));
  EXPECT_FALSE(SetMark<Markers::kOne>(Find(first)));
  EXPECT_FALSE(SetMark<Markers::kSeveral>(Find(first + 8)));
  EXPECT_TRUE(SetMark<Markers::kSeveral>(Find(second)));
  EXPECT_FALSE(SetMark<Markers::kSeveral>(Find(second)));
  EXPECT_TRUE(IsMarked(Find(second)));
  CheckMarks(heap_.table());
}

TEST_F(MarkBitsTest, FreeAndNeverAllocatedSlotsAndTheTailAreNotMarked) {
  const uintptr_t object = heap_.Allocate(kConservative, 48);
  const Span* span = FindSlot(heap_.table(), object).span;
  heap_.Free(object);
  ClearMarks(heap_.table());
  for (const uintptr_t word : {object, object + 48, BaseOf(span) + BytesOf(span) - 1}) {
    EXPECT_FALSE(SetMark<Markers::kOne>(Find(word)));
    EXPECT_FALSE(SetMark<Markers::kSeveral>(Find(word)));
    EXPECT_FALSE(IsMarked(Find(word)));
  }
}

TEST_F(MarkBitsTest, CountAndWalkSeeWhatIsMarkedAndClearForgetsIt) {
  std::vector<uintptr_t> marked;
  size_t bytes = 0;
  for (const size_t size : {16, 48, 832, 32 * 1024, 100 * 1024, 16}) {
    const uintptr_t object = heap_.Allocate(kConservative, size);
    EXPECT_NE(heap_.Allocate(kConservative, size), 0u);  // Stays unmarked.
    marked.push_back(object);
    bytes += SlotBytesOf(Find(object).grey);
  }
  ClearMarks(heap_.table());
  for (const uintptr_t object : marked) EXPECT_TRUE(SetMark<Markers::kOne>(Find(object)));
  const MarkCount count = CountMarks(heap_.table());
  EXPECT_EQ(count.objects, marked.size());
  EXPECT_EQ(count.bytes, bytes);
  std::vector<uintptr_t> seen;
  ForEachSpan(heap_.table(), [&](const Span* span) {
    ForEachMarked(span, [&](Grey grey) { seen.push_back(ObjectOf(grey)); });
  });
  std::sort(seen.begin(), seen.end());
  std::sort(marked.begin(), marked.end());
  EXPECT_EQ(seen, marked);
  ClearMarks(heap_.table());
  EXPECT_EQ(CountMarks(heap_.table()).objects, 0u);
}

TEST_F(MarkBitsTest, AWhiteBitWithoutAllocationIsFoundByTheCheck) {
  const uintptr_t object = heap_.Allocate(kConservative, 64);
  ClearMarks(heap_.table());
  CheckMarks(heap_.table());
  heap_.Free(object);
  const testing::ChildResult result = testing::RunInChild([&] {
    CheckMarks(heap_.table());
    return 0;
  });
  EXPECT_TRUE(result.killed_by(SIGABRT)) << result.Describe();
}

TEST_F(MarkBitsTest, APendingPageIsTheFirstOfItsSpan) {
  const uintptr_t object = heap_.Allocate(kConservative, 20 * kKiB);
  const uintptr_t second = heap_.Allocate(kConservative, 20 * kKiB);
  SetPending(Find(second).grey);
  const Chunk* chunk = ChunkOf(object);
  EXPECT_TRUE(TestBit(chunk->pending_marks, PageOf(BaseOf(FindSlot(heap_.table(), second).span))));
  EXPECT_EQ(CountBits(chunk->pending_marks, 0, kChunkPages), 1u);
}

}  // namespace
}  // namespace acre
