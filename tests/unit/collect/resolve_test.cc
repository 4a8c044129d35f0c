// Every byte of spans of every class is resolved and compared with FindSlot, which reads span records.

#include "allocator/collect/resolve.h"

#include <gtest/gtest.h>

#include "allocator/collect/mark_bits.h"
#include "tests/support/allocator/chunk_under_test.h"

namespace acre {
namespace {

class ResolveTest : public ::testing::Test {
 protected:
  void Expect(uintptr_t word) {
    const Slot slot = FindSlot(test_.table(), word);
    Resolved resolved;
    ASSERT_EQ(Resolve(test_.table(), word, &resolved), slot.span != nullptr) << std::hex << word;
    if (slot.span == nullptr) return;
    ASSERT_EQ(ObjectOf(resolved.grey), slot.base);
    ASSERT_EQ(ClassOf(resolved.grey), slot.span->size_class);
    ASSERT_EQ(KindOf(resolved.grey), slot.span->kind);
    ASSERT_EQ(resolved.white_word, WhiteBitsOf(slot.span) + slot.index / kWordBits);
    ASSERT_EQ(resolved.white_mask, uint64_t{1} << slot.index % kWordBits);
    ASSERT_EQ(AllocWordOf(resolved.white_word), AllocBitsOf(slot.span) + slot.index / kWordBits);
  }

  testing::ChunkUnderTest test_;
};

TEST_F(ResolveTest, EveryWordOfASpanOfEveryClassLeadsToItsSlot) {
  for (uint32_t number = 1; number < kSizeClassCount; ++number) {
    const Span* span = test_.Make(static_cast<SizeClass>(number));
    for (size_t offset = 0; offset < BytesOf(span); ++offset) Expect(BaseOf(span) + offset);
    if (HasFatalFailure()) FAIL() << "class " << number;
  }
}

TEST_F(ResolveTest, EveryPageOfALargeObjectLeadsToItsBeginning) {
  test_.Make(1);
  const Span* span = test_.Make(kLargeClass, kUsablePages - 10);
  for (uint32_t page = 0; page < span->pages; ++page) {
    Expect(BaseOf(span) + size_t{page} * kPageBytes);
    Expect(BaseOf(span) + size_t{page + 1} * kPageBytes - 1);
  }
}

TEST_F(ResolveTest, WordsThatMeanNothingAreNotResolved) {
  Span* span = test_.Make(5);
  const uintptr_t freed = BaseOf(span);
  test_.Unmake(span);
  Resolved resolved;
  for (const uintptr_t word : {uintptr_t{0}, uintptr_t{1}, ~uintptr_t{0}, uintptr_t{1} << 63, uintptr_t{1} << 47,
                               (uintptr_t{1} << 47) - 1, freed, test_.chunk().base(), test_.chunk().base() - 1,
                               test_.chunk().base() + kChunkBytes, test_.chunk().base() + kChunkBytes - 1}) {
    EXPECT_FALSE(Resolve(test_.table(), word, &resolved)) << std::hex << word;
  }
}

TEST_F(ResolveTest, TheChunkTableKnowsTheRangeOfAllChunksThereEverWere) {
  EXPECT_EQ(test_.table().base(), test_.chunk().base());
  EXPECT_EQ(test_.table().limit(), test_.chunk().base() + kChunkBytes);
  ChunkTable& table = test_.table();
  table.Set(4 * kChunkBytes, ChunkUse::kHuge);
  EXPECT_EQ(table.base(), 4 * kChunkBytes);
  table.Set(4 * kChunkBytes, ChunkUse::kNone);
  EXPECT_EQ(table.base(), 4 * kChunkBytes);
  EXPECT_EQ(std::make_unique<ChunkTable>()->base(), 0u);
  EXPECT_EQ(std::make_unique<ChunkTable>()->limit(), 0u);
}

}  // namespace
}  // namespace acre
