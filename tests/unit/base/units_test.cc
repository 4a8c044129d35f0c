#include "allocator/base/units.h"

#include <gtest/gtest.h>

namespace acre {
namespace {

TEST(Units, RoundingGoesToTheNextMultiple) {
  for (size_t alignment = 1; alignment <= kMiB; alignment *= 2) {
    for (uintptr_t multiple : {uintptr_t{0}, uintptr_t{7}, uintptr_t{1000}}) {
      const uintptr_t base = multiple * alignment;
      EXPECT_EQ(AlignUp(base, alignment), base);
      EXPECT_EQ(AlignDown(base, alignment), base);
      EXPECT_EQ(AlignUp(base + 1, alignment), alignment == 1 ? base + 1 : base + alignment);
      EXPECT_EQ(AlignDown(base + alignment - 1, alignment), base);
    }
  }
}

TEST(Units, PagesForCoversTheBytesAndNotAPageMore) {
  for (size_t bytes : {size_t{1}, kPageBytes - 1, kPageBytes, kPageBytes + 1, 10 * kMiB + 5}) {
    EXPECT_GE(PagesFor(bytes) * kPageBytes, bytes);
    EXPECT_LT((PagesFor(bytes) - 1) * kPageBytes, bytes);
  }
  EXPECT_EQ(PagesFor(0), 0u);
}

TEST(Units, PowersOfTwoAreTold) {
  EXPECT_FALSE(IsPowerOfTwo(0));
  EXPECT_TRUE(IsPowerOfTwo(1));
  EXPECT_FALSE(IsPowerOfTwo(3));
  EXPECT_TRUE(IsPowerOfTwo(size_t{1} << 63));
  EXPECT_FALSE(IsPowerOfTwo(~size_t{0}));
}

}  // namespace
}  // namespace acre
