// Somebody else's memory where the heap would like to be: it survives, and the heap goes elsewhere.

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/allocator/heap_under_test.h"
#include "tests/unit/os/mappings.h"

namespace acre {
namespace {

using testing::AddressOf;
using testing::HeapUnderTest;

constexpr uintptr_t kFirstHint = uintptr_t{0x00c0} << 32;

struct Kernel {
  const char* name;
  bool ignores_hints;
  bool takes_no_replace_for_hint;
  size_t limit_bytes;
};

class HeapConflict : public ::testing::TestWithParam<Kernel> {
 protected:
  void SetUp() override {
    if (os::kHasShadow) GTEST_SKIP() << "the sanitizer occupies these addresses";
    test_.fake().IgnoreHints(GetParam().ignores_hints);
    test_.fake().TakeNoReplaceForHint(GetParam().takes_no_replace_for_hint);
  }

  void TearDown() override {
    const os::MemoryCalls& kernel = os::KernelMemoryCalls();
    for (uintptr_t page : occupied_) {
      EXPECT_TRUE(os::IsFilledWith(page, os::OsPageBytes(), 0x5a)) << std::hex << page;
      EXPECT_EQ(kernel.unmap(kernel.context, page, os::OsPageBytes()), 0);
    }
  }

  void Occupy(uintptr_t page) {
    const os::MemoryCalls& kernel = os::KernelMemoryCalls();
    const os::MapResult result =
        kernel.map(kernel.context, page, os::OsPageBytes(), os::Access::kReadWrite, os::Placement::kFixedNoReplace);
    ASSERT_EQ(result.error, 0);
    os::Fill(page, os::OsPageBytes(), 0x5a);
    occupied_.push_back(page);
  }

  HeapUnderTest test_{HeapUnderTest::Later{}};
  std::vector<uintptr_t> occupied_;
};

INSTANTIATE_TEST_SUITE_P(Kernels, HeapConflict,
                         ::testing::Values(Kernel{"New", false, false, testing::kNoLimit},
                                           Kernel{"HintsIgnored", true, false, testing::kNoLimit},
                                           Kernel{"Old", true, true, testing::kNoLimit},
                                           Kernel{"Limited", false, false, size_t{8} << 30},
                                           Kernel{"LimitedOld", true, true, size_t{8} << 30}),
                         [](const auto& kernel) { return kernel.param.name; });

TEST_P(HeapConflict, PageInTheMiddleOfTheFirstChunksSurvives) {
  Occupy(kFirstHint + kChunkBytes / 2);
  Occupy(kFirstHint + kChunkBytes + 4 * kMiB);
  test_.Begin(GetParam().limit_bytes);
  std::vector<void*> objects;
  for (int i = 0; i < 100; ++i) {
    void* object = test_.Allocate(kMiB);
    ASSERT_NE(object, nullptr);
    testing::Fill(object, kMiB, 1);
    for (uintptr_t page : occupied_) EXPECT_GE(page - AddressOf(object), kMiB) << "an object over a foreign page";
    objects.push_back(object);
  }
  for (void* object : objects) test_.Free(object);
  test_.heap().CheckInvariants();
}

TEST_P(HeapConflict, PageInTheWayOfAHugeObjectSurvives) {
  Occupy(kFirstHint + 70 * kMiB);
  test_.Begin(GetParam().limit_bytes);
  void* huge = test_.Allocate(100 * kMiB);
  ASSERT_NE(huge, nullptr);
  testing::Fill(huge, 100 * kMiB, 1);
  void* grown = test_.Reallocate(huge, 160 * kMiB);
  ASSERT_NE(grown, nullptr);
  EXPECT_TRUE(testing::IsFilledWith(grown, 100 * kMiB, 1));
  test_.Free(grown);
}

TEST_P(HeapConflict, PageMappedInTheHeapsRangeAfterwardsSurvives) {
  // Only where a reservation is not mapped can somebody else come later.
  test_.Begin(GetParam().limit_bytes);
  void* first = test_.Allocate(kMiB);
  const uintptr_t base = ChunkOf(AddressOf(first))->base();
  if (GetParam().limit_bytes != testing::kNoLimit) Occupy(base + kChunkBytes / 2);
  std::vector<void*> objects{first};
  for (int i = 0; i < 100; ++i) {
    objects.push_back(test_.Allocate(kMiB));
    ASSERT_NE(objects.back(), nullptr);
    testing::Fill(objects.back(), kMiB, 1);
  }
  for (void* object : objects) test_.Free(object);
  test_.heap().CheckInvariants();
}

}  // namespace
}  // namespace acre
