#include "allocator/collect/span_pool.h"

#include <gtest/gtest.h>

#include <vector>

#include "allocator/base/bits.h"
#include "allocator/collect/kind.h"
#include "allocator/collect/mark_bits.h"
#include "tests/support/allocator/heap_under_test.h"
#include "tests/support/seed.h"

namespace acre {
namespace {

constexpr SizeClass kClass = ClassForSize(64);
constexpr uint32_t kSlots = kSizeClasses[kClass].slots;

// The slots of a set of neighbours.
struct Room {
  uintptr_t base = 0;
  uintptr_t limit = 0;

  size_t bytes() const { return limit - base; }
};

class SpanPoolTest : public ::testing::Test {
 protected:
  ~SpanPoolTest() override { pool_.CheckInvariants(); }

  SlotSet TakeSlots(size_t most_bytes, Birth birth = Birth::kWhite) {
    SlotSet taken;
    const uint32_t count =
        pool_.Take(test_.heap().page_heap(), most_bytes, SpanPool::Growth::kAllowed, birth, &taken, &freed_bytes_);
    EXPECT_EQ(taken.count(), count);
    EXPECT_EQ(taken.span == nullptr, count == 0);
    return taken;
  }
  Room Take(size_t most_bytes, Birth birth = Birth::kWhite) {
    const SlotSet taken = TakeSlots(most_bytes, birth);
    if (taken.span == nullptr) return {};
    const uint32_t first = FindOne(0, kSlots, [&taken](uint32_t word) { return taken.bits[word]; });
    EXPECT_EQ(CountBits(taken.bits, first, taken.count()), taken.count()) << "neighbours";
    return {BaseOf(taken.span) + first * 64, BaseOf(taken.span) + (first + taken.count()) * 64};
  }
  void GiveBack(const SlotSet& slots, Birth birth = Birth::kWhite) {
    pool_.GiveBack(test_.heap().page_heap(), slots, birth, &freed_bytes_);
  }
  void GiveBack(Room room) {
    SlotSet slots;
    slots.span = SpanOfPage(ChunkOf(room.base), PageOf(room.base));
    SetBits(slots.bits, SlotAt(kSizeClasses[kClass], static_cast<uint32_t>(room.base - BaseOf(slots.span))),
            static_cast<uint32_t>(room.bytes() / 64));
    GiveBack(slots);
  }
  size_t Sweep() { return pool_.SweepSome(test_.heap().page_heap(), SIZE_MAX, &freed_bytes_); }
  size_t UsedBytes() { return test_.heap().page_heap().used_bytes(); }

  void ClearMarks() { acre::ClearMarks(test_.heap().table()); }
  static uint32_t WhiteSlots(Room room) {
    const Span* span = SpanOfPage(ChunkOf(room.base), PageOf(room.base));
    return CountBits(WhiteBitsOf(span), 0, kSizeClasses[kClass].slots);
  }
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

// A span of which every third slot is in use: the others are taken together, as many as are asked for, lowest first.
TEST_F(SpanPoolTest, HolesOfASpanAreTakenTogether) {
  const SlotSet all = TakeSlots(8192);
  ASSERT_EQ(all.count(), kSlots);
  SlotSet holes = all;
  for (uint32_t slot = 0; slot < kSlots; slot += 3) ClearBits(holes.bits, slot, 1);
  GiveBack(holes);
  const SlotSet some = TakeSlots(1024);
  EXPECT_EQ(some.count(), 16u);
  const SlotSet others = TakeSlots(8192);
  EXPECT_EQ(others.span, all.span);
  const uint32_t last = FindLastOneEnd(0, kSlots, [&](uint32_t word) { return some.bits[word]; });
  for (uint32_t slot = 0; slot < kSlots; ++slot) {
    EXPECT_EQ(TestBit(some.bits, slot), slot % 3 != 0 && slot < last) << slot;
    EXPECT_EQ(TestBit(others.bits, slot), slot % 3 != 0 && slot >= last) << slot;
  }
  EXPECT_NE(TakeSlots(64).span, all.span) << "it is full";
  pool_.CheckInvariants();
}

// The same between a cycle and the sweep of the span.
TEST_F(SpanPoolTest, HolesOfASpanThatIsNotYetSweptAreGivenBack) {
  const SlotSet all = TakeSlots(8192);
  SlotSet holes = all;
  for (uint32_t slot = 0; slot < kSlots; slot += 3) ClearBits(holes.bits, slot, 1);
  ClearMarks();
  for (uint32_t word = 0; word < kLineWords; ++word) WhiteBitsOf(all.span)[word] &= ~holes.bits[word];
  ClearBits(WhiteBitsOf(all.span), 0, 1);  // Slot 0 is live, slot 3 and so on are dead.
  pool_.BeginSweep();
  GiveBack(holes);
  EXPECT_EQ(freed_bytes_, (kSlots - holes.count() - 1) * 64);
  EXPECT_EQ(CountBits(AllocBitsOf(all.span), 0, kSlots), 1u);
  EXPECT_EQ(Sweep(), 0u) << "it has been swept for this";
  pool_.CheckInvariants();
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

TEST_F(SpanPoolTest, RunsAreWhiteButThoseThatAreTakenWhileMarking) {
  const Room white = Take(1024);
  EXPECT_EQ(WhiteSlots(white), 16u);
  const Room black = Take(512, Birth::kMarked);
  EXPECT_EQ(WhiteSlots(white), 16u) << "of one span";
  pool_.BeginSweep();
  Sweep();
  EXPECT_EQ(freed_bytes_, 1024u);
  EXPECT_EQ(WhiteSlots(black), 8u) << "what has lived is white again";
}

TEST_F(SpanPoolTest, RestOfABlackRunIsGivenBack) {
  const Room room = Take(1024, Birth::kMarked);
  GiveBack({room.base + 512, room.limit});
  const Span* span = SpanOfPage(ChunkOf(room.base), PageOf(room.base));
  EXPECT_EQ(CountBits(AllocBitsOf(span), 0, kSizeClasses[kClass].slots), 8u);
  EXPECT_EQ(WhiteSlots(room), 0u);
  pool_.BeginSweep();
  Sweep();
}

TEST_F(SpanPoolTest, NoMemoryIsAnEmptyRun) {
  test_.fake().FailNth(1, 12, os::FakeMemory::Repeat::kForever);
  EXPECT_EQ(Take(1024).bytes(), 0u);
  test_.fake().StopFailing();
  EXPECT_EQ(Take(1024).bytes(), 1024u);
}

// ---- Marks that are kept --------------------------------------------------------------------------------------------

class KeepingSpanPoolTest : public ::testing::Test {
 protected:
  ~KeepingSpanPoolTest() override { pool_.CheckInvariants(); }

  static constexpr size_t kSlotBytes = 64;

  // All slots of a new span; or as many as there are on the first that has some.
  SlotSet Take(size_t slots = kSlots) {
    SlotSet taken;
    const uint32_t count = pool_.Take(test_.heap().page_heap(), slots * kSlotBytes, SpanPool::Growth::kAllowed, Birth::kWhite,
                                      &taken, &freed_bytes_);
    EXPECT_EQ(taken.count(), count);
    return taken;
  }
  // As a cycle finds every `nth` slot alive.
  static SlotSet MarkEvery(const SlotSet& slots, uint32_t nth) {
    SlotSet marked;
    marked.span = slots.span;
    for (uint32_t slot = 0; slot < kSlots; slot += nth) {
      if (!TestBit(slots.bits, slot)) continue;
      SetBits(marked.bits, slot, 1);
      ClearBits(WhiteBitsOf(slots.span), slot, 1);
    }
    return marked;
  }
  void EndCycle(Extent extent, Extent next = Extent::kMinor) {
    pool_.BeginSweep(extent, next);
    Sweep();
    pool_.CheckInvariants();
  }
  size_t Sweep() { return pool_.SweepSome(test_.heap().page_heap(), SIZE_MAX, &freed_bytes_); }
  void GiveBack(const SlotSet& slots) { pool_.GiveBack(test_.heap().page_heap(), slots, Birth::kWhite, &freed_bytes_); }
  FreeResult Free(const Span* span, uint32_t slot) {
    return pool_.Free(test_.heap().page_heap(), BaseOf(span) + slot * kSlotBytes, &freed_bytes_);
  }
  size_t UsedBytes() { return test_.heap().page_heap().used_bytes(); }
  // One at least is made.
  Span* AnySpan(testing::Random& random) {
    const SlotSet last = Take(1);
    Span* any = last.span;
    ForEachSpan(test_.heap().table(), [&](Span* span) { any = random.OneIn(4) ? span : any; });
    return any;
  }

  static uint32_t White(const Span* span) { return CountBits(WhiteBitsOf(span), 0, kSlots); }
  static uint32_t Allocated(const Span* span) { return CountBits(AllocBitsOf(span), 0, kSlots); }

  testing::HeapUnderTest test_;
  SpanPool pool_{kClass, kConservative, Freed::kLeft, false, true};
  size_t freed_bytes_ = 0;
};

TEST_F(KeepingSpanPoolTest, WhatHasLivedStaysMarkedAndItsPagesAreOld) {
  const SlotSet all = Take();
  EXPECT_FALSE(IsOld(all.span));
  MarkEvery(all, 2);
  EndCycle(Extent::kMinor);
  EXPECT_TRUE(IsOld(all.span));
  EXPECT_EQ(Allocated(all.span), kSlots / 2);
  EXPECT_EQ(White(all.span), 0u);
  EXPECT_EQ(freed_bytes_, kSlots / 2 * kSlotBytes);
}

TEST_F(KeepingSpanPoolTest, PagesOfASpanThatGoesBackAreNotOldAnyMore) {
  const SlotSet all = Take();
  Chunk* const chunk = ChunkOf(all.span);
  const uint32_t page = FirstPageOf(all.span);
  MarkEvery(all, 1);
  EndCycle(Extent::kMinor);
  EXPECT_TRUE(TestBit(chunk->old_pages, page));
  for (uint32_t slot = 0; slot < kSlots; ++slot) EXPECT_EQ(Free(all.span, slot), FreeResult::kDone);
  EXPECT_EQ(UsedBytes(), 0u);
  EXPECT_FALSE(TestBit(chunk->old_pages, page));
}

// After a minor cycle wherever something lives; after a full one where more than three quarters are in use.
TEST_F(KeepingSpanPoolTest, NothingIsTakenFromSpansThatAreSetAside) {
  const SlotSet crowded = Take();
  const SlotSet roomy = Take();
  MarkEvery(crowded, 1);
  ClearBits(AllocBitsOf(crowded.span), 0, 1);  // As freed by hand.
  crowded.span->free_slots = 1;
  MarkEvery(roomy, 4);
  EndCycle(Extent::kMinor);
  SlotSet taken = Take();
  EXPECT_NE(taken.span, crowded.span);
  EXPECT_NE(taken.span, roomy.span);
  GiveBack(taken);
  pool_.Whiten();
  MarkEvery(crowded, 1);
  MarkEvery(roomy, 4);
  EndCycle(Extent::kFull);
  taken = Take();
  EXPECT_EQ(taken.span, roomy.span);
  EXPECT_EQ(taken.count(), kSlots - kSlots / 4);
  EXPECT_EQ(White(roomy.span), taken.count()) << "old ones are not";
  EXPECT_NE(Take().span, crowded.span);
}

TEST_F(KeepingSpanPoolTest, BeforeAFullCycleSlotsAreTakenWhereverThereAreAny) {
  const SlotSet all = Take();
  MarkEvery(all, 1);
  ClearBits(AllocBitsOf(all.span), 0, 1);  // As freed by hand.
  all.span->free_slots = 1;
  EndCycle(Extent::kMinor, Extent::kFull);
  EXPECT_FALSE(pool_.IsAside(all.span));
  EXPECT_EQ(Take(1).span, all.span);
}

// A minor cycle has nothing to sweep there, and a full one sweeps all.
TEST_F(KeepingSpanPoolTest, SpansThatAreSetAsideAreSweptByFullCyclesOnly) {
  const SlotSet all = Take();
  MarkEvery(all, 2);
  EndCycle(Extent::kMinor);
  pool_.BeginSweep(Extent::kMinor, Extent::kMinor);
  EXPECT_EQ(Sweep(), 0u);
  pool_.BeginSweep(Extent::kFull, Extent::kMinor);
  EXPECT_EQ(Sweep(), 1u);
}

TEST_F(KeepingSpanPoolTest, WhitenedOldObjectsDieUnlessTheyAreMarked) {
  const SlotSet all = Take();
  const SlotSet others = Take();
  MarkEvery(all, 1);
  MarkEvery(others, 1);
  EndCycle(Extent::kMinor);
  const SlotSet young = Take();
  pool_.Whiten();
  for (const SlotSet* set : {&all, &others, &young}) EXPECT_EQ(White(set->span), kSlots);
  MarkEvery(all, 4);
  freed_bytes_ = 0;
  EndCycle(Extent::kFull);
  EXPECT_EQ(Allocated(all.span), kSlots / 4);
  EXPECT_EQ(UsedBytes(), kPageBytes);
  EXPECT_EQ(freed_bytes_, (3 * kSlots - kSlots / 4) * kSlotBytes);
}

TEST_F(KeepingSpanPoolTest, ObjectsOfSpansThatAreSetAsideAreFreed) {
  const SlotSet all = Take();
  MarkEvery(all, 1);
  EndCycle(Extent::kMinor);
  EXPECT_EQ(Free(all.span, 7), FreeResult::kDone);
  EXPECT_EQ(Free(all.span, 7), FreeResult::kNotLive);
  EXPECT_FALSE(pool_.Holds(BaseOf(all.span) + 7 * kSlotBytes));
  EXPECT_EQ(pool_.CountMarked().objects, kSlots - 1);
  EXPECT_TRUE(pool_.IsAside(all.span));
  EXPECT_NE(Take().span, all.span);
  pool_.CheckInvariants();
}

TEST_F(KeepingSpanPoolTest, ObjectsOfSpansThatWereSetAsideAndAreNotYetSweptAreFreed) {
  const SlotSet all = Take();
  MarkEvery(all, 1);
  EndCycle(Extent::kMinor);
  pool_.Whiten();
  MarkEvery(all, 2);
  pool_.BeginSweep(Extent::kFull, Extent::kMinor);
  freed_bytes_ = 0;
  EXPECT_FALSE(pool_.IsAside(all.span));
  EXPECT_EQ(Free(all.span, 1), FreeResult::kUnreachable);
  EXPECT_EQ(Free(all.span, 2), FreeResult::kDone);
  EXPECT_EQ(freed_bytes_, kSlots / 2 * kSlotBytes) << "by the sweep";
  EXPECT_EQ(Sweep(), 0u) << "it has been swept for this";
  EXPECT_EQ(Allocated(all.span), kSlots / 2 - 1);
  pool_.CheckInvariants();
}

// What a mutator has taken is neither white nor free while it keeps it over a cycle.
TEST_F(KeepingSpanPoolTest, SlotsOfSpansThatAreSetAsideAreGivenBack) {
  for (const bool is_swept : {true, false}) {
    SCOPED_TRACE(is_swept);
    const SlotSet some = Take(16);
    const SlotSet unused = Take(16);
    ASSERT_EQ(unused.span, some.span);
    MarkEvery(some, 1);
    MarkEvery(unused, 1);
    EndCycle(Extent::kMinor);
    ASSERT_TRUE(pool_.IsAside(some.span));
    if (!is_swept) {
      pool_.Whiten();
      MarkEvery(some, 1);
      MarkEvery(unused, 1);
      pool_.BeginSweep(Extent::kFull, Extent::kMinor);
    }
    freed_bytes_ = 0;
    GiveBack(unused);
    EXPECT_EQ(freed_bytes_, 0u);
    EXPECT_EQ(Allocated(some.span), 16u);
    EXPECT_EQ(pool_.CountMarked().objects, 16u);
    Sweep();
    pool_.CheckInvariants();
    for (uint32_t slot = 0; slot < 16; ++slot) EXPECT_EQ(Free(some.span, slot), FreeResult::kDone);
    EXPECT_EQ(UsedBytes(), 0u);
  }
}

// In the stop that ends a marking, before sweeping: what lives of a new span is black, and it is not old yet.
TEST_F(KeepingSpanPoolTest, NewSpansOfWhichAnObjectIsFreedBeforeTheSweepAreSweptAndOld) {
  const SlotSet all = Take();
  MarkEvery(all, 1);
  EXPECT_EQ(Free(all.span, 3), FreeResult::kDone);
  EXPECT_FALSE(pool_.IsAside(all.span));
  pool_.BeginSweep(Extent::kMinor, Extent::kMinor);
  EXPECT_EQ(Sweep(), 1u);
  EXPECT_TRUE(IsOld(all.span));
  EXPECT_TRUE(pool_.IsAside(all.span));
}

// Cycles of both extents in any order, with more of them than there are numbers for the sweepings.
TEST_F(KeepingSpanPoolTest, RandomCyclesKeepCountAndLists) {
  constexpr int kCycles = 1000;
  constexpr uint32_t kMostSpans = 40;
  testing::Random random(testing::Seed("span pool that keeps marks"));
  for (int cycle = 0; cycle < kCycles; ++cycle) {
    for (uint64_t i = random.Below(6); i > 0; --i) (void)Take(1 + random.Below(kSlots));
    const bool is_crowded = UsedBytes() > kMostSpans * kPageBytes;
    const Extent extent = is_crowded || random.OneIn(4) ? Extent::kFull : Extent::kMinor;
    if (extent == Extent::kFull) pool_.Whiten();
    const uint64_t keeps = random.Below(is_crowded ? 2 : 8);
    size_t marked = 0;
    ForEachSpan(test_.heap().table(), [&](Span* span) {
      for (uint32_t slot = 0; slot < kSlots; ++slot) {
        if (!random.OneIn(8)) continue;
        if (random.Below(8) < keeps) ClearBits(WhiteBitsOf(span), slot, 1);
      }
      for (uint32_t word = 0; word < kLineWords; ++word) {
        const uint64_t bits = MarkedWordOf(span, word);
        marked += CountOnes(&bits, 1);
      }
    });
    const MarkCount count = pool_.CountMarked();
    if (extent == Extent::kMinor) {
      EXPECT_EQ(count.objects, marked) << cycle;
      EXPECT_EQ(count.bytes, marked * kSlotBytes) << cycle;
    }
    pool_.BeginSweep(extent, random.OneIn(3) ? Extent::kFull : Extent::kMinor);
    if (random.OneIn(2)) (void)Take();
    if (random.OneIn(2)) (void)Free(AnySpan(random), static_cast<uint32_t>(random.Below(kSlots)));
    Sweep();
    if (random.OneIn(2)) (void)Free(AnySpan(random), static_cast<uint32_t>(random.Below(kSlots)));
    pool_.CheckInvariants();
  }
}

}  // namespace
}  // namespace acre
