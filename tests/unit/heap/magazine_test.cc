#include "allocator/heap/magazine.h"

#include <gtest/gtest.h>

#include <limits>

#include "os/memory_calls.h"

namespace acre {
namespace {

TEST(Magazine, EveryCapacityFillsABlockOfMetadata) {
  for (uint32_t capacity : {5u, 13u, 29u, 61u, 125u, 253u}) {
    EXPECT_TRUE(IsPowerOfTwo(Magazine::Bytes(capacity))) << capacity;
  }
}

TEST(Magazine, IsFoundFromItsSlots) {
  os::AddressSpace space(os::KernelMemoryCalls(), std::numeric_limits<size_t>::max());
  Metadata metadata(space);
  Magazine* magazine = Magazine::Make(metadata, 29);
  ASSERT_NE(magazine, nullptr);
  EXPECT_EQ(magazine->count, 0u);
  EXPECT_EQ(magazine->capacity, 29u);
  EXPECT_EQ(magazine->end_of_slots, nullptr) << "what ends the popping";
  EXPECT_EQ(&magazine->end_of_slots + 1, magazine->slots) << "popping below the first slot reads it";
  EXPECT_EQ(Magazine::Of(magazine->slots), magazine);
  Magazine::Destroy(metadata, magazine);
  EXPECT_EQ(Magazine::Make(metadata, 29), magazine);
  metadata.ReleaseAll();
}

TEST(Magazine, HoldsAtMost128KiBOfSlotsAndSomeOfEveryClass) {
  for (uint32_t number = 1; number < kSizeClassCount; ++number) {
    const uint32_t most = MaxMagazineSlots(static_cast<SizeClass>(number));
    EXPECT_GE(most, 4u);
    EXPECT_LE(most, Magazine::kMaxCapacity);
    EXPECT_LE(most * kSizeClasses[number].slot_bytes, 128 * kKiB);
  }
}

}  // namespace
}  // namespace acre
