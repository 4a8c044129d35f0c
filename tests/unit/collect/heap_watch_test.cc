// Which pages of a heap are meant, by what lies on them: spans and huge objects are put there by hand, and marked by hand.

#include "allocator/collect/heap_watch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>
#include <set>
#include <vector>

#include "allocator/collect/mark_bits.h"
#include "allocator/heap/span_heap.h"
#include "os/memory_calls.h"
#include "tests/support/seed.h"

namespace acre {
namespace {

using Among = HeapWatch::Among;
using os::PageWatch;

constexpr SizeClass kClass = ClassForSize(64);
constexpr size_t kHugeBytes = 40 * kMiB;

class HeapWatchTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const int error = watch_.Open();
    if (error != 0) GTEST_SKIP() << "pages cannot be watched here: " << std::strerror(error);
  }

  // A span with one object, white.
  Span* MakeSmall(Kind kind = kConservative) {
    Span* span = heap_.page_heap().AllocateSmall(kClass, kind);
    AllocBitsOf(span)[0] = WhiteBitsOf(span)[0] = 1;
    return span;
  }
  Span* MakeLarge(Kind kind = kConservative) {
    Span* span = heap_.page_heap().AllocateLarge(8, 1, kind);
    AllocBitsOf(span)[0] = WhiteBitsOf(span)[0] = 1;
    return span;
  }
  uintptr_t MakeHuge(Birth birth) {
    bool is_zeroed;
    size_t taken;
    return reinterpret_cast<uintptr_t>(large_pool_.Allocate(kConservative, kHugeBytes, birth, &is_zeroed, &taken));
  }
  static void Mark(const Span* span) { WhiteBitsOf(span)[0] = 0; }

  bool Arm(Among among) {
    return watch_.Arm(among, [](void*) { return true; }, nullptr);
  }
  // The OS pages that count as written.
  std::set<uintptr_t> Written(Among among, PageWatch::Then then = PageWatch::Then::kLeave) {
    std::set<uintptr_t> pages;
    EXPECT_TRUE(watch_.Scan(among, then, &pages, [](void* context, uintptr_t base, uintptr_t limit) {
      for (; base < limit; base += kStep) static_cast<std::set<uintptr_t>*>(context)->insert(base);
    }));
    return pages;
  }
  bool IsWritten(Among among, uintptr_t address) { return Written(among).count(address & ~(kStep - 1)) != 0; }
  bool IsWritten(Among among, const Span* span) { return IsWritten(among, BaseOf(span)); }
  static void Write(uintptr_t address) { *reinterpret_cast<volatile uint64_t*>(address) = 1; }

  static constexpr uintptr_t kStep = 4096;

  std::unique_ptr<ChunkTable> table_ = std::make_unique<ChunkTable>();
  SpanHeap heap_{os::KernelMemoryCalls(), std::numeric_limits<size_t>::max(), *table_};
  LargePool large_pool_{heap_.page_heap(), heap_.huge_list(), heap_.metadata(), Freed::kLeft, true};
  HeapWatch watch_{*table_, large_pool_};
};

TEST_F(HeapWatchTest, EachKindOfPagesIsAmongWhatItIsCalledFor) {
  Span* const white = MakeSmall();
  Span* const marked = MakeSmall();
  Span* const old = MakeSmall();
  Span* const old_white = MakeSmall();
  Span* const large = MakeLarge();
  Span* const old_large = MakeLarge();
  for (const Span* span : {marked, old, large, old_large}) Mark(span);
  for (const Span* span : {old, old_white, old_large}) SetOld(span, true);
  struct {
    const Span* span;
    bool is_old;
    bool is_marked;
  } const kCases[] = {{white, false, false}, {marked, false, true}, {old, true, true},
                      {old_white, true, false}, {large, false, true}, {old_large, true, true}};
  for (const auto& [span, is_old, is_marked] : kCases) {
    EXPECT_TRUE(IsWritten(Among::kAll, span)) << "nobody has armed it";
    EXPECT_EQ(IsWritten(Among::kOld, span), is_old);
    EXPECT_EQ(IsWritten(Among::kMarked, span), is_marked);
    EXPECT_EQ(IsWritten(Among::kNew, span), is_marked && !is_old);
  }
}

// Every page of a large object is what the first one is.
TEST_F(HeapWatchTest, AllPagesOfALargeObjectAreMeant) {
  Span* const large = MakeLarge();
  Mark(large);
  EXPECT_EQ(Written(Among::kNew).size(), BytesOf(large) / kStep);
  SetOld(large, true);
  EXPECT_TRUE(Written(Among::kNew).empty());
  EXPECT_EQ(Written(Among::kOld).size(), BytesOf(large) / kStep);
}

TEST_F(HeapWatchTest, PagesWithoutPointersAreNotMeant) {
  Span* const plain = MakeSmall(kPlain);
  Span* const large = MakeLarge(kPlain);
  for (const Span* span : {plain, large}) {
    Mark(span);
    SetOld(span, true);
  }
  for (const Among among : {Among::kAll, Among::kOld, Among::kMarked, Among::kNew}) EXPECT_TRUE(Written(among).empty());
}

TEST_F(HeapWatchTest, WhatIsArmedCountsAsWrittenWhenItIsWritten) {
  Span* const young = MakeSmall();
  Span* const old = MakeSmall();
  Span* const large = MakeLarge();
  for (const Span* span : {young, old, large}) Mark(span);
  SetOld(old, true);
  ASSERT_TRUE(Arm(Among::kOld));
  EXPECT_FALSE(IsWritten(Among::kAll, old));
  EXPECT_TRUE(IsWritten(Among::kAll, young)) << "it was not armed";
  ASSERT_TRUE(Arm(Among::kNew));
  EXPECT_TRUE(Written(Among::kAll).empty());
  const uintptr_t last_page = BaseOf(large) + BytesOf(large) - kStep;
  Write(last_page);
  Write(BaseOf(old));
  EXPECT_EQ(Written(Among::kAll), (std::set<uintptr_t>{BaseOf(old), last_page}));
  EXPECT_EQ(Written(Among::kOld, PageWatch::Then::kArm), std::set<uintptr_t>{BaseOf(old)});
  EXPECT_EQ(Written(Among::kAll), std::set<uintptr_t>{last_page});
  EXPECT_EQ(Written(Among::kMarked, PageWatch::Then::kArm), std::set<uintptr_t>{last_page});
  EXPECT_TRUE(Written(Among::kAll).empty());
}

// Pages with marked objects are looked for among those that were written, and armed a stretch at a time. What is not marked stays
// written, for whom it is marked later.
TEST_F(HeapWatchTest, AnyPatternOfMarksAndWritesIsFoundAndArmedAndNoMore) {
  testing::Random random(testing::Seed("heap watch"));
  std::vector<Span*> spans;
  for (int i = 0; i < 600; ++i) spans.push_back(random.OneIn(10) ? MakeLarge() : MakeSmall());
  std::set<const Span*> marked;
  for (int round = 0; round < 20; ++round) {
    if (round % 5 == 0) {
      ASSERT_TRUE(Arm(Among::kAll));
    }
    for (const Span* span : spans) {
      if (random.OneIn(4) && marked.insert(span).second) Mark(span);
      if (random.OneIn(3)) Write(BaseOf(span) + kStep * random.Below(BytesOf(span) / kStep));
    }
    const std::set<uintptr_t> all = Written(Among::kAll);
    std::set<uintptr_t> expected;
    std::set<uintptr_t> others;
    for (const uintptr_t page : all) (marked.count(FindSlot(*table_, page).span) != 0 ? expected : others).insert(page);
    size_t count = 0;
    ASSERT_TRUE(watch_.CountWritten(&count));
    ASSERT_EQ(count, expected.size());
    ASSERT_EQ(Written(Among::kMarked), expected);
    // There may be more stretches than are kept apart: the last one takes what lies between.
    const std::set<uintptr_t> armed = Written(Among::kMarked, PageWatch::Then::kArm);
    ASSERT_TRUE(std::includes(armed.begin(), armed.end(), expected.begin(), expected.end()));
    ASSERT_TRUE(std::includes(all.begin(), all.end(), armed.begin(), armed.end()));
    ASSERT_TRUE(Written(Among::kMarked).empty());
    for (const uintptr_t page : Written(Among::kAll)) ASSERT_EQ(others.count(page), 1U);
  }
}

// Of few stretches nothing is armed that was not meant.
TEST_F(HeapWatchTest, WhatIsNotMarkedIsNotArmedWithWhatIs) {
  Span* const first = MakeSmall();
  Span* const white = MakeSmall();
  Span* const last = MakeSmall();
  Mark(first);
  Mark(last);
  ASSERT_LT(BaseOf(first), BaseOf(white));
  ASSERT_LT(BaseOf(white), BaseOf(last));
  EXPECT_EQ(Written(Among::kMarked, PageWatch::Then::kArm).size(), (BytesOf(first) + BytesOf(last)) / kStep);
  EXPECT_EQ(Written(Among::kAll).size(), BytesOf(white) / kStep);
  Mark(white);
  EXPECT_EQ(Written(Among::kMarked).size(), BytesOf(white) / kStep);
}

TEST_F(HeapWatchTest, HugeObjectsAreMeantWhenTheyAreMarked) {
  const uintptr_t marked = MakeHuge(Birth::kMarked);
  const uintptr_t white = MakeHuge(Birth::kWhite);
  for (const Among among : {Among::kOld, Among::kMarked, Among::kNew}) {
    EXPECT_TRUE(IsWritten(among, marked));
    EXPECT_FALSE(IsWritten(among, white));
  }
  EXPECT_TRUE(IsWritten(Among::kAll, white));
  ASSERT_TRUE(Arm(Among::kOld));
  const uintptr_t last_page = marked + kHugeBytes - kStep;
  Write(last_page);
  EXPECT_EQ(Written(Among::kOld), std::set<uintptr_t>{last_page});
  EXPECT_TRUE(IsWritten(Among::kAll, white));
  size_t bytes;
  for (const uintptr_t huge : {marked, white}) EXPECT_EQ(large_pool_.Free(huge, &bytes), FreeResult::kDone);
}

}  // namespace
}  // namespace acre
