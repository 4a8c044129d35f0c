#include "allocator/heap/page_heap.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include "os/clock.h"
#include "os/fake/fake_memory.h"
#include "tests/unit/os/mappings.h"

namespace acre {
namespace {

constexpr uint64_t kQuarterNs = os::kNsPerSecond / 4;

class PageHeapTest : public ::testing::Test {
 protected:
  explicit PageHeapTest(size_t limit_bytes = SIZE_MAX) : space_(fake_.calls(), limit_bytes) {}
  ~PageHeapTest() override {
    page_heap_.CheckInvariants();
    page_heap_.ReleaseChunks();
    EXPECT_EQ(fake_.mapped_bytes(), 0u);
    EXPECT_EQ(space_.stats().reserved_bytes, 0u);
    EXPECT_EQ(space_.stats().prepared_bytes, 0u);
    EXPECT_EQ(space_.stats().ready_bytes, 0u);
  }

  Span* Large(size_t pages, size_t alignment_pages = 1) {
    Span* span = page_heap_.AllocateLarge(pages, alignment_pages, kNoPointers);
    EXPECT_NE(span, nullptr);
    if (span != nullptr) CheckSpan(span);
    return span;
  }

  os::FakeMemory fake_;
  os::AddressSpace space_;
  std::unique_ptr<ChunkTable> table_ = std::make_unique<ChunkTable>();
  ChunkSpace chunk_space_{space_, *table_};
  PageHeap page_heap_{space_, chunk_space_, *table_};
};

TEST_F(PageHeapTest, EveryClassGetsASpanOfItsPages) {
  size_t pages = 0;
  for (uint32_t number = 1; number < kSizeClassCount; ++number) {
    Span* span = page_heap_.AllocateSmall(static_cast<SizeClass>(number), kNoPointers);
    ASSERT_NE(span, nullptr);
    CheckSpan(span);
    EXPECT_EQ(span->pages, kSizeClasses[number].span_pages);
    pages += span->pages;
  }
  EXPECT_EQ(page_heap_.used_bytes(), pages * kPageBytes);
  EXPECT_EQ(page_heap_.stats().small_span_bytes, pages * kPageBytes);
  EXPECT_EQ(page_heap_.stats().chunks, 1u);
}

TEST_F(PageHeapTest, ChunkIsMadeAccessibleInSmallSteps) {
  Span* span = Large(1);
  const size_t records = size_t{kFirstPage} * kPageBytes;
  EXPECT_EQ(space_.stats().prepared_bytes, records + 2 * kMiB);
  page_heap_.Free(span);
}

TEST_F(PageHeapTest, ChunkIsCalledOneOfPagesOnlyWhenItsRecordsAreReadable) {
  ChunkUse before = ChunkUse::kNone;
  fake_.BeforeNth(1, os::FakeMemory::Kind::kProtect, [&] { before = table_->Use(table_->base()); });
  Span* span = Large(1);
  EXPECT_EQ(before, ChunkUse::kReserved);
  EXPECT_EQ(table_->Use(table_->base()), ChunkUse::kPages);
  page_heap_.Free(span);
}

TEST_F(PageHeapTest, FreshSpanIsZeroedAndAReusedOneIsNot) {
  Span* span = Large(3);
  EXPECT_TRUE(span->is_zeroed);
  page_heap_.Free(span);
  Span* again = Large(3);
  EXPECT_EQ(again, span);
  EXPECT_FALSE(again->is_zeroed);
  page_heap_.Free(again);
  page_heap_.ReleaseAll();
  EXPECT_TRUE(Large(3)->is_zeroed) << "given back to the kernel in between";
}

TEST_F(PageHeapTest, DirtyPagesAreUsedBeforeFreshOnes) {
  Span* low = Large(2);
  Span* middle = Large(10);
  Large(1);
  page_heap_.Free(low);
  page_heap_.ReleaseAll();
  page_heap_.Free(middle);
  EXPECT_EQ(Large(2), middle) << "the lower pages hold no memory";
}

TEST_F(PageHeapTest, SpansAreAlignedUpToHalfAChunk) {
  for (size_t alignment = 1; alignment * kPageBytes <= kChunkBytes / 4; alignment *= 2) {
    Span* span = Large(3, alignment);
    EXPECT_EQ(BaseOf(span) % (alignment * kPageBytes), 0u) << alignment;
  }
}

TEST_F(PageHeapTest, MoreThanAChunkHoldsIsRefused) {
  EXPECT_EQ(page_heap_.AllocateLarge(kUsablePages + 1, 1, kNoPointers), nullptr);
  EXPECT_EQ(page_heap_.AllocateLarge(1, kChunkPages, kNoPointers), nullptr);
  EXPECT_EQ(page_heap_.AllocateLarge(SIZE_MAX / kPageBytes, 1, kNoPointers), nullptr);
  Large(kUsablePages);
  EXPECT_EQ(page_heap_.stats().large_bytes, kUsablePages * kPageBytes);
}

TEST_F(PageHeapTest, SeveralChunksAreKeptInOrderOfAddress) {
  std::vector<Span*> spans;
  for (int i = 0; i < 7; ++i) spans.push_back(Large(kUsablePages - 10));
  EXPECT_EQ(page_heap_.stats().chunks, 7u);
  page_heap_.CheckInvariants();
  for (Span* span : spans) page_heap_.Free(span);
  EXPECT_EQ(page_heap_.used_bytes(), 0u);
  EXPECT_EQ(page_heap_.stats().large_spans, 0u);
}

TEST_F(PageHeapTest, LargeSpanGrowsWhereItIsIntoFreePagesAndBeyondTheAccessibleOnes) {
  Span* span = Large(10);
  EXPECT_TRUE(page_heap_.ResizeLarge(span, 100));
  EXPECT_EQ(span->pages, 100u);
  CheckSpan(span);
  EXPECT_TRUE(page_heap_.ResizeLarge(span, 5000));
  CheckSpan(span);
  EXPECT_TRUE(page_heap_.ResizeLarge(span, kUsablePages));
  EXPECT_FALSE(page_heap_.ResizeLarge(span, kUsablePages + 1));
  EXPECT_EQ(page_heap_.stats().large_bytes, kUsablePages * kPageBytes);
  EXPECT_TRUE(page_heap_.ResizeLarge(span, 7));
  EXPECT_EQ(page_heap_.stats().large_bytes, 7 * kPageBytes);
  EXPECT_EQ(page_heap_.used_bytes(), 7 * kPageBytes);
  page_heap_.Free(span);
}

TEST_F(PageHeapTest, LargeSpanDoesNotGrowIntoItsNeighbour) {
  Span* span = Large(10);
  Span* neighbour = Large(10);
  EXPECT_FALSE(page_heap_.ResizeLarge(span, 11));
  EXPECT_EQ(span->pages, 10u);
  Span* behind = Large(10);
  page_heap_.Free(neighbour);
  EXPECT_TRUE(page_heap_.ResizeLarge(span, 20));
  EXPECT_FALSE(page_heap_.ResizeLarge(span, 21));
  EXPECT_FALSE(page_heap_.ResizeLarge(span, 5000));
  page_heap_.Free(behind);
}

TEST_F(PageHeapTest, ReleaseAllGivesBackWhatIsFreeAndOnlyThat) {
  Span* kept = Large(10);
  Span* freed = Large(700);
  page_heap_.Free(freed);
  EXPECT_EQ(page_heap_.dirty_bytes(), 700 * kPageBytes);
  EXPECT_EQ(page_heap_.ReleaseAll(), 700 * kPageBytes);
  EXPECT_EQ(page_heap_.dirty_bytes(), 0u);
  EXPECT_EQ(page_heap_.stats().released_bytes, 700 * kPageBytes);
  EXPECT_EQ(page_heap_.ReleaseAll(), 0u);
  EXPECT_EQ(space_.stats().ready_bytes, 10 * kPageBytes);
  page_heap_.Free(kept);
}

TEST_F(PageHeapTest, MemoryIsGivenBackAfterAboutASecondWithoutUse) {
  page_heap_.Free(Large(600));
  uint64_t now = os::kNsPerSecond;
  for (int quarter = 0; quarter < 3; ++quarter, now += kQuarterNs) EXPECT_EQ(page_heap_.ReleaseIdle(now), 0u);
  size_t released = 0;
  for (int quarter = 0; quarter < 3; ++quarter, now += kQuarterNs) released += page_heap_.ReleaseIdle(now);
  EXPECT_EQ(released, 600 * kPageBytes);
}

TEST_F(PageHeapTest, MemoryThatIsUsedNowAndThenIsKept) {
  Span* span = Large(600);
  page_heap_.Free(span);
  uint64_t now = os::kNsPerSecond;
  for (int quarter = 0; quarter < 40; ++quarter, now += kQuarterNs) {
    if (quarter % 3 == 0) page_heap_.Free(Large(600));
    EXPECT_EQ(page_heap_.ReleaseIdle(now), 0u) << quarter;
  }
}

TEST_F(PageHeapTest, RefusedReleaseKeepsThePagesDirtyAndTheAccountRight) {
  page_heap_.Free(Large(600));
  fake_.FailNth(1, EINVAL, os::FakeMemory::Repeat::kForever, os::FakeMemory::Kind::kAdvise);
  EXPECT_EQ(page_heap_.ReleaseAll(), 0u);
  EXPECT_EQ(page_heap_.dirty_bytes(), 600 * kPageBytes);
  page_heap_.CheckInvariants();
  fake_.StopFailing();
  EXPECT_EQ(page_heap_.ReleaseAll(), 600 * kPageBytes);
}

TEST_F(PageHeapTest, NoMemoryIsNullAndTheHeapWorksOn) {
  fake_.FailNth(1, ENOMEM, os::FakeMemory::Repeat::kForever);
  EXPECT_EQ(page_heap_.AllocateSmall(1, kNoPointers), nullptr);
  fake_.StopFailing();
  Span* span = Large(5);
  fake_.FailNth(1, ENOMEM, os::FakeMemory::Repeat::kForever);
  EXPECT_EQ(page_heap_.AllocateLarge(3000, 1, kNoPointers), nullptr);
  EXPECT_FALSE(page_heap_.ResizeLarge(span, 3000));
  EXPECT_NE(page_heap_.AllocateSmall(1, kNoPointers), nullptr) << "there are accessible pages left";
  fake_.StopFailing();
  EXPECT_TRUE(page_heap_.ResizeLarge(Large(1), 2));
}

TEST_F(PageHeapTest, HugePagesAreAskedForBeyondTheThresholdOnly) {
  page_heap_.set_huge_page_threshold(8 * kMiB);
  const auto wishes = [this] {
    size_t count = 0;
    for (const os::FakeMemory::Call& call : fake_.log()) {
      count += call.kind == os::FakeMemory::Kind::kAdvise && call.advice == os::Advice::kHugePages;
    }
    return count;
  };
  Large(100);
  EXPECT_EQ(wishes(), 0u);
  Large(1000);
  Large(1000);
  EXPECT_GT(wishes(), 0u);
}

TEST_F(PageHeapTest, EmptyChunksGoBackWithTheirRecordsButForOne) {
  std::vector<Span*> spans;
  for (int i = 0; i < 4; ++i) spans.push_back(Large(kUsablePages));
  page_heap_.Free(spans[1]);
  page_heap_.Free(spans[2]);
  page_heap_.Free(spans[3]);
  EXPECT_EQ(page_heap_.ReleaseAll(), 3 * kUsablePages * kPageBytes);
  EXPECT_EQ(page_heap_.stats().chunks, 2u);
  EXPECT_EQ(space_.stats().reserved_bytes, 2 * kChunkBytes);
  page_heap_.CheckInvariants();
  for (int i = 0; i < 3; ++i) Large(kUsablePages);
  EXPECT_EQ(page_heap_.stats().chunks, 4u);
}

TEST_F(PageHeapTest, ReleasedAddressSpaceLeavesNoEmptyChunk) {
  Span* kept = Large(3);
  page_heap_.Free(Large(kUsablePages));
  page_heap_.ReleaseAll();
  EXPECT_TRUE(page_heap_.ReleaseAddressSpace());
  EXPECT_EQ(page_heap_.stats().chunks, 1u);
  EXPECT_FALSE(page_heap_.ReleaseAddressSpace());
  page_heap_.Free(kept);
}

// Under a finite limit on address space, where what is not accessible is not mapped either.
class PageHeapLimited : public PageHeapTest {
 protected:
  static constexpr size_t kSomeLimit = size_t{1} << 40;
  PageHeapLimited() : PageHeapTest(kSomeLimit) {}

  // The chunk's end: dirty pages full of ones, and fresh ones behind them.
  void LeaveADirtyTail() {
    kept_ = Large(1);
    Span* tail = Large(100);
    std::memset(reinterpret_cast<void*>(BaseOf(tail)), 0xff, 100 * kPageBytes);
    page_heap_.Free(tail);
  }

  Span* kept_ = nullptr;
};

TEST_F(PageHeapLimited, FreeEndsOfChunksAreUnmappedAndComeBackFresh) {
  if (os::kHasShadow) GTEST_SKIP() << "reservations are always mapped there";
  LeaveADirtyTail();
  EXPECT_TRUE(page_heap_.ReleaseAddressSpace());
  EXPECT_EQ(fake_.mapped_bytes(), (size_t{kFirstPage} + 1) * kPageBytes + os::OsPageBytes());
  EXPECT_EQ(page_heap_.dirty_bytes(), 0u);
  page_heap_.CheckInvariants();
  Span* again = Large(100);
  EXPECT_TRUE(again->is_zeroed);
  EXPECT_TRUE(os::IsFilledWith(BaseOf(again), 100 * kPageBytes, 0));
}

TEST_F(PageHeapLimited, EndThatCannotBeUnmappedIsNotTakenForZeroed) {
  if (os::kHasShadow) GTEST_SKIP() << "reservations are always mapped there";
  LeaveADirtyTail();
  fake_.FailNth(1, ENOMEM, os::FakeMemory::Repeat::kForever, os::FakeMemory::Kind::kUnmap);
  EXPECT_FALSE(page_heap_.ReleaseAddressSpace());
  fake_.StopFailing();
  page_heap_.CheckInvariants();
  Span* again = Large(100);
  EXPECT_TRUE(!again->is_zeroed || os::IsFilledWith(BaseOf(again), 100 * kPageBytes, 0));
  page_heap_.Free(again);
  page_heap_.ReleaseAll();
  EXPECT_EQ(space_.stats().ready_bytes, kPageBytes);
}

TEST_F(PageHeapTest, EachSpanInUseIsVisitedOnce) {
  Span* spans[] = {Large(3), page_heap_.AllocateSmall(5, kNoPointers), Large(kUsablePages / 2), Large(kUsablePages)};
  page_heap_.Free(spans[0]);
  std::vector<const Span*> visited;
  page_heap_.ForEachSpan([&](const Span* span) { visited.push_back(span); });
  EXPECT_THAT(visited, ::testing::UnorderedElementsAre(spans[1], spans[2], spans[3]));
}

// ---- Chunks that stay ----------------------------------------------------------------------------------------------

// So that any word may be looked up while memory goes back.
TEST_F(PageHeapTest, AKeptChunksRecordsReadAsZerosOnceItIsEmpty) {
  page_heap_.set_keeps_chunks(true);
  std::vector<Span*> spans;
  while (page_heap_.stats().chunks < 3) spans.push_back(Large(1000));
  std::vector<uintptr_t> addresses;
  for (Span* span : spans) addresses.push_back(BaseOf(span));
  for (Span* span : spans) page_heap_.Free(span);
  while (page_heap_.ReleaseSome(kMiB) != 0) {
  }
  EXPECT_EQ(page_heap_.stats().chunks, 3u);
  EXPECT_EQ(page_heap_.dirty_bytes(), 0u);
  size_t cleared = 0;
  for (const uintptr_t address : addresses) {
    EXPECT_TRUE(table_->IsChunk(address));
    EXPECT_EQ(FindSlot(*table_, address).span, nullptr);
    // What a large span leaves behind is the bit of its object.
    const Chunk* chunk = ChunkOf(address);
    cleared += chunk->alloc_lines[PageOf(address)].words[0] == 0 ? 1 : 0;
  }
  EXPECT_GE(cleared, 2u) << "of all but one, which is kept as it is";
  page_heap_.CheckInvariants();
  // They serve as new ones.
  for (Span*& span : spans) span = Large(1000);
  Span* small = page_heap_.AllocateSmall(ClassForSize(100), kNoPointers);
  ASSERT_NE(small, nullptr);
  page_heap_.CheckInvariants();
  page_heap_.Free(small);
  for (Span* span : spans) page_heap_.Free(span);
}

TEST_F(PageHeapTest, AChunkThatIsFilledAgainAsksForHugePagesAgain) {
  page_heap_.set_keeps_chunks(true);
  page_heap_.set_huge_page_threshold(0);
  const auto advised = [&](os::Advice advice) {
    size_t count = 0;
    for (const os::FakeMemory::Call& call : fake_.log()) {
      count += call.kind == os::FakeMemory::Kind::kAdvise && call.advice == advice ? 1 : 0;
    }
    return count;
  };
  std::vector<Span*> spans;
  while (page_heap_.stats().chunks < 3) spans.push_back(Large(1000));
  for (Span* span : spans) page_heap_.Free(span);
  while (page_heap_.ReleaseSome(kMiB) != 0) {
  }
  EXPECT_EQ(advised(os::Advice::kNoHugePages), 3u + 2u) << "for the pages, and for records that have gone";
  const size_t before = advised(os::Advice::kHugePages);
  for (Span*& span : spans) span = Large(1000);
  EXPECT_EQ(advised(os::Advice::kHugePages), before + 2 * 2) << "but for the chunk that was kept as it is";
  for (Span* span : spans) page_heap_.Free(span);
}

}  // namespace
}  // namespace acre
