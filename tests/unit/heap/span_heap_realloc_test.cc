// Reallocation in all its ways: in place, by copying, by moving pages, within a chunk and beyond one.

#include <gtest/gtest.h>

#include <cerrno>
#include <vector>

#include "tests/support/allocator/heap_under_test.h"
#include "tests/support/seed.h"

namespace acre {
namespace {

using testing::AddressOf;
using testing::HeapUnderTest;

const size_t kSizes[] = {0,
                         1,
                         16,
                         100,
                         1000,
                         5000,
                         32 * kKiB,
                         33 * kKiB,
                         200 * kKiB,
                         kMiB,
                         3 * kMiB,
                         27 * kMiB,
                         SpanHeap::kMaxLargeBytes,
                         SpanHeap::kMaxLargeBytes + 1,
                         50 * kMiB,
                         70 * kMiB,
                         130 * kMiB};

// A pattern by which every 8-byte word tells where it belongs.
void WritePattern(void* object, size_t bytes, uint64_t key) {
  auto* words = static_cast<uint64_t*>(object);
  for (size_t i = 0; i < bytes / 8; ++i) words[i] = key + i;
  for (size_t i = bytes / 8 * 8; i < bytes; ++i)
    static_cast<unsigned char*>(object)[i] = static_cast<unsigned char>(key + i);
}

bool HasPattern(const void* object, size_t bytes, size_t written, uint64_t key) {
  const auto* words = static_cast<const uint64_t*>(object);
  for (size_t i = 0; i < bytes / 8 && i < written / 8; ++i) {
    if (words[i] != key + i) return false;
  }
  if (bytes < written) return true;  // The last word was cut.
  for (size_t i = written / 8 * 8; i < written; ++i) {
    if (static_cast<const unsigned char*>(object)[i] != static_cast<unsigned char>(key + i)) return false;
  }
  return true;
}

class SpanHeapRealloc : public ::testing::Test {
 protected:
  ~SpanHeapRealloc() override {
    test_.heap().CheckInvariants();
    test_.ExpectEmptyAfterRelease();
  }

  size_t CountOf(os::FakeMemory::Kind kind) { return test_.fake().CountOf(kind); }

  HeapUnderTest test_;
};

TEST_F(SpanHeapRealloc, ContentsSurviveFromEverySizeToEveryOther) {
  for (size_t from : kSizes) {
    for (size_t to : kSizes) {
      void* object = test_.Allocate(from);
      WritePattern(object, from, from * 31);
      void* moved = test_.Reallocate(object, to);
      ASSERT_NE(moved, nullptr) << from << " to " << to;
      EXPECT_TRUE(HasPattern(moved, to, from, from * 31)) << from << " to " << to;
      EXPECT_GE(test_.UsableBytes(moved), to);
      test_.CheckAccount();
      test_.Free(moved);
      test_.CheckAccount();
    }
  }
}

TEST_F(SpanHeapRealloc, SmallObjectStaysWhileItFitsAndIsHalfFull) {
  void* object = test_.Allocate(1024);
  EXPECT_EQ(test_.Reallocate(object, 1000), object);
  EXPECT_EQ(test_.Reallocate(object, 513), object);
  EXPECT_EQ(test_.Reallocate(object, 1024), object);
  void* moved = test_.Reallocate(object, 100);
  EXPECT_NE(moved, object);
  EXPECT_LT(test_.UsableBytes(moved), 200u);
  test_.Free(moved);
}

TEST_F(SpanHeapRealloc, LargeObjectGrowsAndShrinksInPlaceWhereThePagesAreFree) {
  void* object = test_.Allocate(100 * kKiB);
  EXPECT_EQ(test_.Reallocate(object, 5 * kMiB), object);
  EXPECT_EQ(test_.UsableBytes(object), 5 * kMiB);
  EXPECT_EQ(test_.Reallocate(object, 2 * kMiB), object);
  EXPECT_EQ(test_.UsableBytes(object), 2 * kMiB);
  test_.Free(object);
}

TEST_F(SpanHeapRealloc, GrowthOfABigBlockMovesPagesInsteadOfCopying) {
  void* object = test_.Allocate(3 * kMiB);
  void* blocker = test_.Allocate(64 * kKiB);
  WritePattern(object, 3 * kMiB, 7);
  void* moved = test_.Reallocate(object, 6 * kMiB);
  EXPECT_NE(moved, object);
  EXPECT_EQ(CountOf(os::FakeMemory::Kind::kRemap), 1u);
  EXPECT_TRUE(HasPattern(moved, 6 * kMiB, 3 * kMiB, 7));
  test_.CheckAccount();
  test_.Free(moved);
  test_.Free(blocker);
}

TEST_F(SpanHeapRealloc, BlockIsCopiedWhereTheKernelMovesNoPages) {
  for (const bool loses_destination : {false, true}) {
    test_.fake().LoseDestinationOfRemap(loses_destination);
    if (!loses_destination) {
      test_.fake().FailNth(1, ENOSYS, os::FakeMemory::Repeat::kForever, os::FakeMemory::Kind::kRemap);
    }
    for (size_t bytes : {3 * kMiB, 60 * kMiB}) {
      void* object = test_.Allocate(bytes);
      void* blocker = test_.Allocate(bytes);
      WritePattern(object, bytes, 9);
      void* moved = test_.Reallocate(object, 2 * bytes);
      ASSERT_NE(moved, nullptr);
      EXPECT_TRUE(HasPattern(moved, 2 * bytes, bytes, 9));
      test_.Free(moved);
      test_.Free(blocker);
    }
    test_.fake().StopFailing();
  }
}

TEST_F(SpanHeapRealloc, BlockGrownInStepsToAHugeOneKeepsItsContents) {
  void* object = test_.Allocate(64 * kKiB);
  WritePattern(object, 64 * kKiB, 3);
  size_t bytes = 64 * kKiB;
  size_t moves = 0;
  while (bytes < 100 * kMiB) {
    const size_t next = bytes + 64 * kKiB;
    void* grown = test_.Reallocate(object, next);
    ASSERT_NE(grown, nullptr);
    moves += grown != object;
    // The word before and behind the old end.
    EXPECT_EQ(static_cast<uint64_t*>(grown)[bytes / 8 - 1], 3 + bytes / 8 - 1);
    for (size_t i = bytes / 8; i < next / 8; ++i) static_cast<uint64_t*>(grown)[i] = 3 + i;
    object = grown;
    bytes = next;
  }
  EXPECT_TRUE(HasPattern(object, bytes, bytes, 3));
  EXPECT_LE(moves, 4u);
  test_.CheckAccount();
  test_.Free(object);
}

TEST_F(SpanHeapRealloc, AlignedBlocksCanBeReallocated) {
  for (size_t alignment : {size_t{64}, kPageBytes, 4 * kPageBytes, kMiB, 128 * kMiB}) {
    void* object = test_.AllocateAligned(1000, alignment);
    WritePattern(object, 1000, alignment);
    void* moved = test_.Reallocate(object, 50'000);
    ASSERT_NE(moved, nullptr);
    EXPECT_TRUE(HasPattern(moved, 50'000, 1000, alignment));
    test_.Free(moved);
  }
}

TEST_F(SpanHeapRealloc, RefusedGrowthLeavesTheObjectAsItWas) {
  for (size_t bytes : kSizes) {
    void* object = test_.Allocate(bytes);
    WritePattern(object, bytes, 5);
    const size_t usable = test_.UsableBytes(object);
    const size_t reserved = test_.heap().stats().space.reserved_bytes;
    for (size_t wanted :
         {static_cast<size_t>(PTRDIFF_MAX), static_cast<size_t>(PTRDIFF_MAX) + 1, SIZE_MAX, size_t{1} << 48}) {
      EXPECT_EQ(test_.Reallocate(object, wanted), nullptr);
    }
    test_.fake().FailNth(1, ENOMEM, os::FakeMemory::Repeat::kForever);
    EXPECT_EQ(test_.Reallocate(object, 300 * kMiB), nullptr);
    test_.fake().StopFailing();
    EXPECT_EQ(test_.UsableBytes(object), usable);
    EXPECT_TRUE(HasPattern(object, bytes, bytes, 5));
    EXPECT_LE(test_.heap().stats().space.reserved_bytes, reserved);
    test_.Free(object);
  }
}

}  // namespace
}  // namespace acre
