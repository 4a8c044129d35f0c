#include "allocator/collect/span_pool.h"

#include <gtest/gtest.h>

#include <vector>

#include "allocator/base/bits.h"
#include "allocator/collect/kind.h"
#include "allocator/collect/mark_bits.h"
#include "tests/support/allocator/heap_under_test.h"

namespace acre {
namespace {

constexpr SizeClass kClass = ClassForSize(64);

class SpanPoolTest : public ::testing::Test {
 protected:
  ~SpanPoolTest() override { pool_.CheckInvariants(); }

  Room Take(size_t most_bytes) {
    return pool_.Take(test_.heap().page_heap(), most_bytes, SpanPool::Growth::kAllowed, &freed_bytes_);
  }
  void GiveBack(Room room) { pool_.GiveBack(test_.heap().page_heap(), room, &freed_bytes_); }
  size_t Sweep() { return pool_.SweepSome(test_.heap().page_heap(), SIZE_MAX, &freed_bytes_); }
  size_t UsedBytes() { return test_.heap().page_heap().used_bytes(); }

  void ClearMarks() { acre::ClearMarks(test_.heap().table()); }
  static void Mark(Room room) {
    const Span* span = SpanOfPage(ChunkOf(room.base), PageOf(room.base));
    const uint32_t first = SlotAt(kSizeClasses[kClass], static_cast<uint32_t>(room.base - BaseOf(span)));
    ClearBits(WhiteBitsOf(span), first, static_cast<uint32_t>(room.bytes() / 64));
  }

  testing::HeapUnderTest test_;
  SpanPool pool_{kClass, kConservative};
  size_t freed_bytes_ = 0;
};

TEST_F(SpanPoolTest, RunsAreNeighbouringFreeSlotsAndDoNotOverlap) {
  uintptr_t end = 0;
  for (int i = 0; i < 20; ++i) {
    const Room room = Take(1024);
    ASSERT_EQ(room.bytes(), 1024u);
    if (room.base % kPageBytes != 0) {
      EXPECT_EQ(room.base, end);
    }
    end = room.limit;
  }
}

TEST_F(SpanPoolTest, RunHasOneSlotAtLeast) { EXPECT_EQ(Take(1).bytes(), 64u); }

TEST_F(SpanPoolTest, SweepingKeepsWhatIsMarkedAndFreesTheRest) {
  const Room kept = Take(1024);
  const Room lost = Take(1024);
  ClearMarks();
  Mark(kept);
  pool_.BeginSweep();
  EXPECT_EQ(Sweep(), 1u);
  EXPECT_EQ(freed_bytes_, 1024u);
  EXPECT_EQ(Take(512).base, lost.base) << "the lowest free slots";
}

TEST_F(SpanPoolTest, SpanWithoutMarksGoesBack) {
  Take(1024);
  EXPECT_EQ(UsedBytes(), kPageBytes);
  ClearMarks();
  pool_.BeginSweep();
  Sweep();
  EXPECT_EQ(UsedBytes(), 0u);
}

TEST_F(SpanPoolTest, TakingARunSweepsFirst) {
  const Room first = Take(8192);
  ClearMarks();
  pool_.BeginSweep();
  EXPECT_EQ(Take(8192).base, first.base);
  EXPECT_EQ(freed_bytes_, 8192u);
  EXPECT_EQ(UsedBytes(), kPageBytes);
}

TEST_F(SpanPoolTest, UnusedRestOfARunIsGivenBack) {
  const Room room = Take(1024);
  GiveBack({room.base + 512, room.limit});
  EXPECT_EQ(Take(1024).base, room.base + 512);
}

TEST_F(SpanPoolTest, WholeRunGivenBackFreesItsSpan) {
  GiveBack(Take(1024));
  EXPECT_EQ(UsedBytes(), 0u);
}

// A mutator that leaves between a cycle and the sweep of its run's span: the span is on another list then.
TEST_F(SpanPoolTest, RunOfASpanThatIsNotYetSweptIsGivenBack) {
  for (const size_t others_bytes : {size_t{0}, size_t{1024}, size_t{7168}}) {
    const Room others = others_bytes == 0 ? Room() : Take(others_bytes);
    const Room room = Take(1024);
    ClearMarks();
    if (others_bytes != 0) Mark(others);
    Mark({room.base + 64, room.limit});  // As a collection leaves what the run had not handed out.
    pool_.BeginSweep();
    freed_bytes_ = 0;
    GiveBack({room.base + 64, room.limit});
    EXPECT_EQ(freed_bytes_, 64u) << "the one object of the run";
    pool_.CheckInvariants();
    EXPECT_EQ(UsedBytes(), others_bytes == 0 ? 0 : kPageBytes);
    EXPECT_EQ(Sweep(), 0u) << "it has been swept for this";
    if (others_bytes != 0) {
      ClearMarks();
      pool_.BeginSweep();
      Sweep();
    }
    EXPECT_EQ(UsedBytes(), 0u);
  }
}

TEST_F(SpanPoolTest, ObjectOfASpanThatIsNotYetSweptIsFreed) {
  const Room kept = Take(1024);
  const Room lost = Take(1024);
  ClearMarks();
  Mark(kept);
  pool_.BeginSweep();
  EXPECT_EQ(pool_.Free(test_.heap().page_heap(), lost.base, &freed_bytes_), FreeResult::kUnreachable);
  EXPECT_EQ(freed_bytes_, 0u);
  EXPECT_EQ(pool_.Free(test_.heap().page_heap(), kept.base + 64, &freed_bytes_), FreeResult::kDone);
  EXPECT_EQ(freed_bytes_, lost.bytes()) << "by the sweep";
  EXPECT_EQ(Sweep(), 0u) << "it has been swept for this";
  const Span* span = SpanOfPage(ChunkOf(kept.base), PageOf(kept.base));
  EXPECT_EQ(CountBits(AllocBitsOf(span), 0, kSizeClasses[kClass].slots), kept.bytes() / 64 - 1);
  EXPECT_FALSE(TestBit(AllocBitsOf(span), 1));
  pool_.CheckInvariants();  // No bit of it is white.
}

TEST_F(SpanPoolTest, NoMemoryIsAnEmptyRun) {
  test_.fake().FailNth(1, 12, os::FakeMemory::Repeat::kForever);
  EXPECT_EQ(Take(1024).bytes(), 0u);
  test_.fake().StopFailing();
  EXPECT_EQ(Take(1024).bytes(), 1024u);
}

}  // namespace
}  // namespace acre
