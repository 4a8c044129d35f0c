// Single facts; tests/model compares the whole with a plain map.

#include "allocator/page/chunk_pages.h"

#include <gtest/gtest.h>

#include <memory>

namespace acre {
namespace {

constexpr uint32_t kFirst = 100;
constexpr uint32_t kLimit = 1000;
constexpr uint32_t kNone = ChunkPages::kNone;

class ChunkPagesTest : public ::testing::Test {
 protected:
  ChunkPagesTest() { pages_->Initialise(kFirst, kLimit); }
  ~ChunkPagesTest() override { pages_->CheckInvariants(); }

  uint32_t Allocate(uint32_t count, uint32_t alignment = 1) {
    return pages_->Allocate(count, alignment, &scavenged_);
  }

  std::unique_ptr<ChunkPages> pages_ = std::make_unique<ChunkPages>();
  uint32_t scavenged_ = 0;
};

TEST_F(ChunkPagesTest, FreshPagesAreFreeAndScavenged) {
  EXPECT_EQ(pages_->free_pages(), kLimit - kFirst);
  EXPECT_EQ(pages_->dirty_pages(), 0u);
  EXPECT_EQ(pages_->FreeTail(), kLimit - kFirst);
  EXPECT_TRUE(pages_->IsInUse(kFirst - 1));
  EXPECT_FALSE(pages_->IsInUse(kFirst));
  EXPECT_TRUE(pages_->IsScavenged(kFirst));
  EXPECT_FALSE(pages_->IsInUse(kLimit - 1));
  EXPECT_TRUE(pages_->IsInUse(kLimit)) << "pages above the limit are not ours";
}

TEST_F(ChunkPagesTest, AllocationTakesTheLowestRunThatFits) {
  EXPECT_EQ(Allocate(3), kFirst);
  EXPECT_EQ(Allocate(5), kFirst + 3);
  pages_->Free(kFirst, 3);
  EXPECT_EQ(Allocate(4), kFirst + 8) << "three free pages do not hold four";
  EXPECT_EQ(Allocate(2), kFirst);
  EXPECT_EQ(Allocate(1), kFirst + 2);
}

TEST_F(ChunkPagesTest, FreedRunIsFoundAgainAtLowestAddress) {
  for (uint32_t i = 0; i < 300; ++i) ASSERT_EQ(Allocate(3), kFirst + 3 * i);
  EXPECT_EQ(Allocate(1), kNone);
  pages_->Free(kFirst + 600, 3);
  pages_->Free(kFirst + 30, 3);
  EXPECT_EQ(Allocate(3), kFirst + 30);
  EXPECT_EQ(Allocate(3), kFirst + 600);
}

TEST_F(ChunkPagesTest, NeighbouringFreedRunsBecomeOne) {
  for (uint32_t i = 0; i < 9; ++i) ASSERT_EQ(Allocate(100), kFirst + 100 * i);
  EXPECT_EQ(Allocate(1), kNone);
  pages_->Free(kFirst + 400, 100);
  pages_->Free(kFirst + 300, 100);
  pages_->Free(kFirst + 500, 100);
  EXPECT_EQ(Allocate(301), kNone);
  EXPECT_EQ(Allocate(300), kFirst + 300);
}

TEST_F(ChunkPagesTest, AlignedRunBeginsAtAMultiple) {
  EXPECT_EQ(Allocate(1, 64), 128u);
  EXPECT_EQ(Allocate(10, 256), 256u);
  EXPECT_EQ(Allocate(500, 512), kNone);
  EXPECT_EQ(Allocate(400, 512), 512u);
  EXPECT_EQ(Allocate(1), kFirst) << "an aligned search hides no lower page";
}

TEST_F(ChunkPagesTest, WholeRangeCanBeTakenAndNoMore) {
  EXPECT_EQ(Allocate(kLimit - kFirst + 1), kNone);
  EXPECT_EQ(Allocate(kLimit - kFirst), kFirst);
  EXPECT_EQ(scavenged_, kLimit - kFirst);
  EXPECT_EQ(pages_->free_pages(), 0u);
  EXPECT_EQ(pages_->FreeTail(), 0u);
}

TEST_F(ChunkPagesTest, FreedPagesAreDirtyAndTakenAgainAsSuch) {
  ASSERT_EQ(Allocate(10), kFirst);
  EXPECT_EQ(scavenged_, 10u);
  pages_->Free(kFirst + 2, 5);
  EXPECT_EQ(pages_->dirty_pages(), 5u);
  EXPECT_EQ(pages_->AllocateDirty(6, 1), kNone);
  EXPECT_EQ(pages_->AllocateDirty(4, 1), kFirst + 2);
  EXPECT_EQ(pages_->AllocateDirty(1, 2), (kFirst + 6) % 2 == 0 ? kFirst + 6 : kNone);
}

TEST_F(ChunkPagesTest, DirtyRunEndsWhereScavengedPagesBegin) {
  ASSERT_EQ(Allocate(4), kFirst);
  pages_->Free(kFirst, 4);
  EXPECT_EQ(pages_->AllocateDirty(5, 1), kNone) << "the fifth page holds no memory";
  EXPECT_EQ(Allocate(5), kFirst);
  EXPECT_EQ(scavenged_, 1u);
}

TEST_F(ChunkPagesTest, AllocateAtTakesAllOrNothing) {
  uint32_t scavenged = 77;
  EXPECT_TRUE(pages_->AllocateAt(200, 10, &scavenged));
  EXPECT_EQ(scavenged, 10u);
  EXPECT_FALSE(pages_->AllocateAt(195, 6, &scavenged));
  EXPECT_FALSE(pages_->AllocateAt(209, 2, &scavenged));
  EXPECT_FALSE(pages_->AllocateAt(kLimit - 1, 2, &scavenged));
  EXPECT_TRUE(pages_->AllocateAt(195, 5, &scavenged));
  EXPECT_TRUE(pages_->AllocateAt(kLimit - 1, 1, &scavenged));
  EXPECT_EQ(pages_->free_pages(), kLimit - kFirst - 16);
}

TEST_F(ChunkPagesTest, TakeDirtyTakesTheHighestRunUpToItsBound) {
  ASSERT_EQ(Allocate(100), kFirst);
  pages_->Free(kFirst + 10, 20);
  pages_->Free(kFirst + 50, 30);
  uint32_t first = 0;
  EXPECT_EQ(pages_->TakeDirty(12, Spare::kNothing, &first), 12u);
  EXPECT_EQ(first, kFirst + 68);
  EXPECT_EQ(pages_->TakeDirty(100, Spare::kNothing, &first), 18u);
  EXPECT_EQ(first, kFirst + 50);
  EXPECT_EQ(pages_->TakeDirty(100, Spare::kNothing, &first), 20u);
  EXPECT_EQ(first, kFirst + 10);
  EXPECT_EQ(pages_->TakeDirty(100, Spare::kNothing, &first), 0u);
}

// A block may have an eighth of its pages free and is dense still.
TEST_F(ChunkPagesTest, DenseBlocksAreSpared) {
  constexpr uint32_t kBlock = ChunkPages::kBlockPages;
  constexpr uint32_t kFew = kBlock - ChunkPages::kDensePages;
  ASSERT_EQ(Allocate(kLimit - kFirst), kFirst);
  pages_->Free(2 * kBlock - kFew, kFew + kFew + 1);  // Over the border of a dense one and one that is not.
  uint32_t first = 0;
  EXPECT_EQ(pages_->TakeDirty(kBlock, Spare::kDenseBlocks, &first), kFew + 1);
  EXPECT_EQ(first, 2 * kBlock);
  pages_->FreeScavenged(first, kFew + 1);
  EXPECT_EQ(pages_->TakeDirty(kBlock, Spare::kDenseBlocks, &first), 0u);
  pages_->Free(kBlock + 7, 1);
  EXPECT_EQ(pages_->TakeDirty(kBlock, Spare::kDenseBlocks, &first), kFew);
  EXPECT_EQ(first, 2 * kBlock - kFew);
  pages_->FreeScavenged(first, kFew);
  EXPECT_EQ(pages_->TakeDirty(kBlock, Spare::kDenseBlocks, &first), 1u) << "scavenged pages are not in use";
  EXPECT_EQ(pages_->TakeDirty(kBlock, Spare::kNothing, &first), 0u);
}

TEST_F(ChunkPagesTest, PagesGivenBackAreScavengedAndPagesRefusedAreDirty) {
  ASSERT_EQ(Allocate(20), kFirst);
  pages_->Free(kFirst, 20);
  uint32_t first = 0;
  ASSERT_EQ(pages_->TakeDirty(8, Spare::kNothing, &first), 8u);
  EXPECT_TRUE(pages_->IsInUse(first)) << "while the kernel is asked nobody may take them";
  pages_->FreeScavenged(first, 8);
  EXPECT_TRUE(pages_->IsScavenged(first));
  ASSERT_EQ(pages_->TakeDirty(8, Spare::kNothing, &first), 8u);
  pages_->Free(first, 8);
  EXPECT_FALSE(pages_->IsScavenged(first));
  EXPECT_EQ(pages_->dirty_pages(), 12u);
  EXPECT_EQ(pages_->free_pages(), kLimit - kFirst);
}

TEST_F(ChunkPagesTest, ExtendedPagesJoinTheFreeTail) {
  ASSERT_EQ(Allocate(kLimit - kFirst - 5), kFirst);
  EXPECT_EQ(Allocate(20), kNone);
  pages_->Extend(kLimit + 15);
  EXPECT_EQ(pages_->limit(), kLimit + 15);
  EXPECT_EQ(pages_->FreeTail(), 20u);
  EXPECT_EQ(Allocate(20), kLimit - 5);
  pages_->Extend(kChunkPages);
  EXPECT_EQ(Allocate(kChunkPages - kLimit - 15), kLimit + 15);
}

TEST_F(ChunkPagesTest, FreeTailStopsAtTheLastPageInUse) {
  ASSERT_TRUE(pages_->AllocateAt(kLimit - 3, 1, &scavenged_));
  EXPECT_EQ(pages_->FreeTail(), 2u);
  ASSERT_TRUE(pages_->AllocateAt(kLimit - 1, 1, &scavenged_));
  EXPECT_EQ(pages_->FreeTail(), 0u);
}

TEST_F(ChunkPagesTest, FailedSearchForLongRunsHidesNoShorterRun) {
  ASSERT_EQ(Allocate(kLimit - kFirst), kFirst);
  pages_->Free(kFirst + 400, 20);
  EXPECT_EQ(Allocate(100), kNone);
  EXPECT_EQ(Allocate(21), kNone);
  EXPECT_EQ(Allocate(17), kFirst + 400);
  EXPECT_EQ(Allocate(16), kNone);
  EXPECT_EQ(Allocate(3), kFirst + 417);
}

}  // namespace
}  // namespace acre
