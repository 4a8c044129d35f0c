// The arithmetic of size classes is checked for every size and every offset there is.

#include "allocator/size/size_class.h"

#include <gtest/gtest.h>

namespace acre {
namespace {

// The reference for ClassForSize: the first class that is large enough.
uint32_t NaiveClassForSize(size_t bytes) {
  uint32_t number = 1;
  while (kSizeClassRows[number].slot_bytes < bytes) ++number;
  return number;
}

TEST(SizeClass, SmallestClassThatHoldsIsFoundForEverySize) {
  for (size_t bytes = 0; bytes <= kMaxSmallBytes; ++bytes) {
    ASSERT_EQ(ClassForSize(bytes), NaiveClassForSize(bytes)) << bytes;
    ASSERT_EQ(ClassOffsetForSize(bytes).bytes, OffsetOf(ClassForSize(bytes)).bytes) << bytes;
  }
}

TEST(SizeClass, LargestClassIsTheLimitOfSmallObjects) {
  EXPECT_EQ(kMaxSmallBytes, 32 * kKiB);
  EXPECT_EQ(ClassForSize(kMaxSmallBytes), kSizeClassCount - 1);
}

TEST(SizeClass, SlotsAreMultiplesOfSixteenThatGrow) {
  for (uint32_t number = 1; number < kSizeClassCount; ++number) {
    const SizeClassInfo& info = kSizeClasses[number];
    EXPECT_EQ(info.slot_bytes % kSlotAlignment, 0u);
    EXPECT_GT(info.slot_bytes, kSizeClasses[number - 1].slot_bytes);
  }
}

TEST(SizeClass, RoundingUpWastesAtMostAnEighthOrFifteenBytes) {
  for (size_t bytes = 1; bytes <= kMaxSmallBytes; ++bytes) {
    const size_t slot_bytes = kSizeClasses[ClassForSize(bytes)].slot_bytes;
    const size_t waste = slot_bytes - bytes;
    ASSERT_TRUE(waste <= 15 || waste * 8 <= slot_bytes) << bytes << " in a slot of " << slot_bytes;
  }
}

TEST(SizeClass, AtMostASixteenthOfASpanIsLeftOver) {
  for (uint32_t number = 1; number < kSizeClassCount; ++number) {
    const SizeClassInfo& info = kSizeClasses[number];
    const size_t span_bytes = info.span_pages * kPageBytes;
    EXPECT_EQ(info.slots, span_bytes / info.slot_bytes);
    EXPECT_LE((span_bytes - info.slots * info.slot_bytes) * 16, span_bytes) << info.slot_bytes;
  }
}

TEST(SizeClass, SlotsOfASpanFitOneLineOfBits) {
  for (uint32_t number = 1; number < kSizeClassCount; ++number) {
    EXPECT_LE(kSizeClasses[number].slots, 512u);
    EXPECT_GE(kSizeClasses[number].slots, 4u);
  }
}

TEST(SizeClass, SlotAtEqualsDivisionForEveryOffsetOfEveryClass) {
  for (uint32_t number = 1; number < kSizeClassCount; ++number) {
    const SizeClassInfo& info = kSizeClasses[number];
    const auto span_bytes = static_cast<uint32_t>(info.span_pages * kPageBytes);
    for (uint32_t offset = 0; offset < span_bytes; ++offset) {
      ASSERT_EQ(SlotAt(info, offset), offset / info.slot_bytes) << "class " << number << " offset " << offset;
    }
  }
}

TEST(SizeClass, TwoSlotsNeverBeginInOnePieceOfTheStateShift) {
  for (uint32_t number = 1; number < kSizeClassCount; ++number) {
    EXPECT_LE(uint32_t{1} << kSizeClasses[number].state_shift, kSizeClasses[number].slot_bytes);
    EXPECT_LE(kSizeClasses[number].state_shift, 10u);
    EXPECT_GE(kSizeClasses[number].state_shift, 4u);
  }
}

TEST(SizeClass, AlignedClassHasOnlyAlignedSlotsAndIsTheSmallest) {
  for (size_t alignment = 1; alignment <= kPageBytes; alignment *= 2) {
    for (size_t bytes = 0; bytes <= kMaxSmallBytes; bytes += bytes < 2048 ? 1 : 61) {
      const SizeClass found = ClassForAlignedSize(bytes, alignment);
      ASSERT_NE(found, kNoClass) << bytes << " aligned to " << alignment;
      ASSERT_GE(kSizeClasses[found].slot_bytes, bytes);
      ASSERT_EQ(kSizeClasses[found].slot_bytes % alignment, 0u);
      for (uint32_t lower = ClassForSize(bytes); lower < found; ++lower) {
        ASSERT_NE(kSizeClasses[lower].slot_bytes % alignment, 0u);
      }
    }
  }
}

TEST(SizeClass, NoClassServesWhatIsTooLargeOrTooAligned) {
  EXPECT_EQ(ClassForAlignedSize(kMaxSmallBytes + 1, 16), kNoClass);
  EXPECT_EQ(ClassForAlignedSize(16, 2 * kPageBytes), kNoClass);
  EXPECT_EQ(ClassForAlignedSize(SIZE_MAX, kPageBytes), kNoClass);
}

// What a marker makes use of: the lower half of the product tells whether an offset is a slot's.
TEST(SizeClassTest, TheRemainderOfTheReciprocalTellsTheBaseOfASlot) {
  for (SizeClass number = 1; number < kSizeClassCount; ++number) {
    const SizeClassInfo& info = kSizeClasses[number];
    for (uint32_t offset = 0; offset < info.slots * info.slot_bytes; ++offset) {
      const uint64_t product = uint64_t{offset} * info.reciprocal;
      ASSERT_EQ(product >> 32, offset / info.slot_bytes) << number << " " << offset;
      ASSERT_EQ(static_cast<uint32_t>(product) < info.reciprocal, offset % info.slot_bytes == 0) << number << " " << offset;
    }
  }
}

}  // namespace
}  // namespace acre
