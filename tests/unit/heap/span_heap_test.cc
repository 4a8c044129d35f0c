#include "allocator/heap/span_heap.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <thread>
#include <vector>

#include "tests/support/allocator/heap_under_test.h"

namespace acre {
namespace {

using testing::AddressOf;
using testing::Fill;
using testing::HeapUnderTest;
using testing::IsFilledWith;

// One of every kind: the ends of the small, large and huge range and what lies between.
const size_t kSizes[] = {0, 1, 15, 16, 17, 100, 1023, 1024, 1025, 8 * kKiB, 32 * kKiB - 1, 32 * kKiB, 32 * kKiB + 1,
                         64 * kKiB, kMiB - 1, 5 * kMiB, SpanHeap::kMaxLargeBytes - 1, SpanHeap::kMaxLargeBytes,
                         SpanHeap::kMaxLargeBytes + 1, 64 * kMiB, 64 * kMiB + 1, 200 * kMiB};

class SpanHeapTest : public ::testing::Test {
 protected:
  HeapUnderTest test_;
};

TEST_F(SpanHeapTest, EverySizeIsAlignedUsableToItsEndAndFreedAgain) {
  for (size_t bytes : kSizes) {
    auto* object = static_cast<char*>(test_.Allocate(bytes));
    ASSERT_NE(object, nullptr) << bytes;
    EXPECT_EQ(AddressOf(object) % 16, 0u);
    const size_t usable = test_.UsableBytes(object);
    EXPECT_GE(usable, bytes);
    if (usable > 0) {
      object[0] = 1;
      object[usable / 2] = 1;
      object[usable - 1] = 1;
    }
    test_.CheckAccount();
    test_.Free(object);
    test_.CheckAccount();
  }
  test_.ExpectEmptyAfterRelease();
}

TEST_F(SpanHeapTest, UsableBytesWasteAtMostAnEighthOrAPage) {
  for (size_t bytes : kSizes) {
    void* object = test_.Allocate(bytes);
    const size_t waste = test_.UsableBytes(object) - bytes;
    EXPECT_TRUE(waste <= 16 || waste * 8 <= test_.UsableBytes(object) || waste < kPageBytes) << bytes;
    test_.Free(object);
  }
}

TEST_F(SpanHeapTest, EveryAlignmentIsKeptForEverySize) {
  for (size_t alignment = 1; alignment <= 256 * kMiB; alignment *= 2) {
    for (size_t bytes : {size_t{0}, size_t{1}, size_t{100}, size_t{5000}, size_t{33000}, 3 * kMiB, 40 * kMiB}) {
      auto* object = static_cast<char*>(test_.AllocateAligned(bytes, alignment));
      ASSERT_NE(object, nullptr) << bytes << " aligned to " << alignment;
      EXPECT_EQ(AddressOf(object) % alignment, 0u) << bytes << " aligned to " << alignment;
      const size_t usable = test_.UsableBytes(object);
      ASSERT_GE(usable, bytes);
      if (usable > 0) object[usable - 1] = object[0] = 1;
      test_.Free(object);
    }
  }
  test_.CheckAccount();
  test_.ExpectEmptyAfterRelease();
}

TEST_F(SpanHeapTest, ZeroedMemoryIsZeroAlsoWhereItWasUsedBefore) {
  for (int round = 0; round < 2; ++round) {
    for (size_t bytes : kSizes) {
      void* object = test_.AllocateZeroed(bytes);
      ASSERT_NE(object, nullptr);
      EXPECT_TRUE(IsFilledWith(object, bytes, 0)) << bytes << " in round " << round;
      Fill(object, bytes, 0xff);
      test_.Free(object);
    }
  }
}

TEST_F(SpanHeapTest, ZeroedLargeMemoryIsZeroWhenPartOfItIsDirty) {
  // The first half of the run is used again, the second is fresh.
  void* object = test_.Allocate(200 * kKiB);
  Fill(object, 200 * kKiB, 0xff);
  test_.Free(object);
  void* zeroed = test_.AllocateZeroed(400 * kKiB);
  EXPECT_TRUE(IsFilledWith(zeroed, 400 * kKiB, 0));
  test_.Free(zeroed);
}

TEST_F(SpanHeapTest, RequestsThatNoMachineCanServeAreNull) {
  for (size_t bytes : {static_cast<size_t>(PTRDIFF_MAX), static_cast<size_t>(PTRDIFF_MAX) + 1, SIZE_MAX, SIZE_MAX - 15,
                       size_t{1} << 47, size_t{1} << 60}) {
    EXPECT_EQ(test_.Allocate(bytes), nullptr);
    EXPECT_EQ(test_.AllocateZeroed(bytes), nullptr);
    EXPECT_EQ(test_.AllocateAligned(bytes, 64), nullptr);
    EXPECT_EQ(test_.AllocateAligned(bytes, kGiB), nullptr);
  }
  EXPECT_EQ(test_.AllocateAligned(1, size_t{1} << 63), nullptr);
  EXPECT_EQ(test_.AllocateAligned(1, size_t{1} << 48), nullptr);
  test_.CheckAccount();
}

TEST_F(SpanHeapTest, NullCanBeFreed) { test_.Free(nullptr); }

TEST_F(SpanHeapTest, ObjectsOfAllSizesLiveSideBySide) {
  struct Object {
    char* memory;
    size_t bytes;
  };
  std::vector<Object> objects;
  for (size_t bytes = 1; bytes < 3 * kMiB; bytes += 1 + bytes / 9) {
    auto* memory = static_cast<char*>(test_.Allocate(bytes));
    Fill(memory, bytes, static_cast<int>(bytes));
    objects.push_back({memory, bytes});
  }
  for (const Object& object : objects) {
    EXPECT_TRUE(IsFilledWith(object.memory, object.bytes, static_cast<int>(object.bytes)));
    test_.Free(object.memory);
  }
  test_.ExpectEmptyAfterRelease();
}

TEST_F(SpanHeapTest, FreedMemoryIsUsedAgain) {
  for (size_t bytes : kSizes) {
    void* object = test_.Allocate(bytes);
    test_.Free(object);
    EXPECT_EQ(test_.Allocate(bytes), object) << bytes;
    test_.Free(object);
  }
}

TEST_F(SpanHeapTest, FreeByAnotherCacheReachesTheHeap) {
  ThreadCache* other = test_.heap().OpenCache();
  for (size_t bytes : kSizes) test_.heap().Free(*other, test_.Allocate(bytes));
  test_.heap().CloseCache(other);
  test_.ExpectEmptyAfterRelease();
}

TEST_F(SpanHeapTest, ClosedCacheAllocatesAndFreesOneByOne) {
  ThreadCache closed;
  for (size_t bytes : kSizes) {
    void* object = test_.heap().Allocate(closed, bytes);
    ASSERT_NE(object, nullptr);
    EXPECT_GE(test_.UsableBytes(object), bytes);
    void* grown = test_.heap().Reallocate(closed, object, bytes + 100);
    ASSERT_NE(grown, nullptr);
    test_.heap().Free(closed, grown);
  }
  test_.ExpectEmptyAfterRelease();
}

TEST_F(SpanHeapTest, StatisticsAddUpAtEveryStep) {
  size_t expected = 0;
  std::vector<void*> objects;
  for (int i = 0; i < 3000; ++i) {
    objects.push_back(test_.Allocate(static_cast<size_t>(i) * 7 % 3000));
    expected += test_.UsableBytes(objects.back());
  }
  EXPECT_EQ(test_.heap().stats().small_bytes, expected);
  while (!objects.empty()) {
    expected -= test_.UsableBytes(objects.back());
    test_.Free(objects.back());
    objects.pop_back();
    if (objects.size() % 64 == 0) {
      ASSERT_EQ(test_.heap().stats().small_bytes, expected);
    }
  }
  const HeapStats stats = test_.heap().stats();
  EXPECT_EQ(stats.threads, 1u);
  size_t slot_bytes = 0;
  for (uint32_t number = 1; number < kSizeClassCount; ++number) {
    slot_bytes += test_.heap().class_stats(static_cast<SizeClass>(number)).spans * kSizeClasses[number].slots *
                  kSizeClasses[number].slot_bytes;
  }
  EXPECT_EQ(stats.small_bytes + stats.cached_bytes + stats.free_bytes, slot_bytes);
}

TEST_F(SpanHeapTest, LargeAndHugeObjectsAreCounted) {
  void* large = test_.Allocate(100 * kKiB);
  void* huge = test_.Allocate(100 * kMiB);
  HeapStats stats = test_.heap().stats();
  EXPECT_EQ(stats.pages.large_bytes, AlignUp(100 * kKiB, kPageBytes));
  EXPECT_EQ(stats.pages.large_spans, 1u);
  EXPECT_EQ(stats.huge.bytes, 100 * kMiB);
  EXPECT_EQ(stats.huge.objects, 1u);
  test_.Free(large);
  test_.Free(huge);
  stats = test_.heap().stats();
  EXPECT_EQ(stats.pages.large_spans, 0u);
  EXPECT_EQ(stats.huge.objects, 0u);
}

TEST_F(SpanHeapTest, ReleaseAllGivesBackAllButWhatIsLive) {
  std::vector<void*> objects;
  for (int i = 0; i < 100'000; ++i) objects.push_back(test_.Allocate(64));
  for (void* object : objects) test_.Free(object);
  void* live = test_.Allocate(64);
  test_.heap().ReleaseAll();
  EXPECT_LE(test_.heap().stats().space.ready_bytes, kMiB);
  EXPECT_EQ(test_.heap().page_heap().dirty_bytes(), 0u);
  test_.Free(live);
}

TEST_F(SpanHeapTest, SeveralHeapsKnowNothingOfEachOther) {
  HeapUnderTest second;
  void* first_object = test_.Allocate(100);
  void* second_object = second.Allocate(100);
  EXPECT_NE(ChunkOf(AddressOf(first_object)), ChunkOf(AddressOf(second_object)));
  EXPECT_FALSE(second.table().IsChunk(AddressOf(first_object)));
  EXPECT_FALSE(second.cache().Free(second.table(), first_object));
  second.Free(second_object);
  test_.Free(first_object);
}

TEST_F(SpanHeapTest, LocksCanBeTakenAllTogetherAndGivenBack) {
  test_.Free(test_.Allocate(100));
  test_.heap().LockAll();
  test_.heap().UnlockAll();
  test_.Free(test_.Allocate(100 * kMiB));
}

TEST_F(SpanHeapTest, ForgottenCachesAreNotCounted) {
  ThreadCache* other = test_.heap().OpenCache();
  EXPECT_EQ(test_.heap().stats().threads, 2u);
  test_.heap().ForgetOtherThreads(&test_.cache());
  EXPECT_EQ(test_.heap().stats().threads, 1u);
  void* object = test_.Allocate(100);
  EXPECT_NE(object, nullptr);
  test_.Free(object);
  static_cast<void>(other);  // Lost with its thread, as after a fork.
}

TEST_F(SpanHeapTest, HeapWithOpenCachesCannotEnd) {
  EXPECT_DEATH(
      {
        HeapUnderTest second;
        second.heap().~SpanHeap();
      },
      "check failed: caches_.is_empty");
}

// With a finite limit on address space nothing is mapped before it is needed.
TEST(SpanHeapLimited, EverySizeWorksAndEverythingGoesBack) {
  HeapUnderTest test(size_t{4} * kGiB);
  EXPECT_LT(test.fake().mapped_bytes(), kMiB);
  std::vector<void*> objects;
  for (int round = 0; round < 3; ++round) {
    for (size_t bytes : kSizes) {
      void* object = test.Allocate(bytes);
      ASSERT_NE(object, nullptr) << bytes;
      Fill(object, bytes, 0x11);
      objects.push_back(object);
    }
    objects.push_back(test.AllocateAligned(100, 256 * kMiB));
    test.CheckReadyBytes();
    EXPECT_LT(test.fake().mapped_bytes(), 1200 * kMiB);
    for (void* object : objects) test.Free(object);
    objects.clear();
    test.heap().CheckInvariants();
  }
  test.ExpectEmptyAfterRelease();
}

}  // namespace
}  // namespace acre
