#include "allocator/heap/huge_list.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "os/fake/fake_memory.h"
#include "tests/unit/os/mappings.h"

namespace acre {
namespace {

using os::Fill;
using os::IsFilledWith;

constexpr size_t kSomeLimit = size_t{1} << 40;

// With reservations that are mapped, and with those that are not.
class HugeListTest : public ::testing::TestWithParam<size_t> {
 protected:
  ~HugeListTest() override {
    EXPECT_EQ(space_.stats().ready_bytes, list_.stats().bytes);
    list_.ReleaseAll();
    metadata_.ReleaseAll();
    EXPECT_EQ(fake_.mapped_bytes(), 0u);
    EXPECT_EQ(space_.stats().reserved_bytes, 0u);
    EXPECT_EQ(space_.stats().prepared_bytes, 0u);
    EXPECT_EQ(space_.stats().ready_bytes, 0u);
  }

  uintptr_t Allocate(size_t bytes, size_t alignment = kChunkBytes) {
    const auto base = reinterpret_cast<uintptr_t>(list_.Allocate(bytes, alignment));
    EXPECT_NE(base, 0u);
    EXPECT_EQ(base % alignment, 0u);
    return base;
  }
  uintptr_t Resize(uintptr_t base, size_t bytes) { return reinterpret_cast<uintptr_t>(list_.Resize(base, bytes)); }

  os::FakeMemory fake_;
  os::AddressSpace space_{fake_.calls(), GetParam()};
  std::unique_ptr<ChunkTable> table_ = std::make_unique<ChunkTable>();
  ChunkSpace chunk_space_{space_, *table_};
  Metadata metadata_{space_};
  HugeList list_{space_, chunk_space_, metadata_};
};

INSTANTIATE_TEST_SUITE_P(Limits, HugeListTest, ::testing::Values(SIZE_MAX, kSomeLimit),
                         [](const auto& limit) { return limit.param == SIZE_MAX ? "None" : "Finite"; });

TEST_P(HugeListTest, ObjectIsZeroedAndReachesToItsLastByte) {
  const uintptr_t base = Allocate(100 * kMiB + 1);
  EXPECT_EQ(list_.Find(base).bytes, 100 * kMiB + os::OsPageBytes());
  EXPECT_TRUE(IsFilledWith(base, 64 * kKiB, 0));
  Fill(base + 100 * kMiB, os::OsPageBytes(), 1);
  EXPECT_EQ(list_.stats().objects, 1u);
}

TEST_P(HugeListTest, ObjectIsFoundFromEveryAddressInItAndFromNoOther) {
  const uintptr_t base = Allocate(70 * kMiB);
  for (uintptr_t address : {base, base + 1, base + 69 * kMiB, base + 70 * kMiB - 1}) {
    EXPECT_EQ(list_.Find(address).base, base);
  }
  EXPECT_EQ(list_.Find(base - 1).bytes, 0u);
  EXPECT_EQ(list_.Find(base + 70 * kMiB).bytes, 0u);
}

TEST_P(HugeListTest, OnlyTheBeginningOfAnObjectFreesIt) {
  const uintptr_t base = Allocate(70 * kMiB);
  EXPECT_FALSE(list_.Free(base + 16));
  EXPECT_FALSE(list_.Free(base + kChunkBytes));
  EXPECT_TRUE(list_.Free(base));
  EXPECT_FALSE(list_.Free(base));
  EXPECT_EQ(list_.stats().bytes, 0u);
  EXPECT_EQ(space_.stats().reserved_bytes, 0u);
}

TEST_P(HugeListTest, AlignmentsBeyondAChunkAreKept) {
  for (size_t alignment : {kChunkBytes, 2 * kChunkBytes, 256 * kMiB, kGiB}) {
    const uintptr_t base = Allocate(kMiB, alignment);
    Fill(base, kMiB, 7);
    EXPECT_TRUE(list_.Free(base));
  }
}

TEST_P(HugeListTest, ObjectShrinksInPlaceAndItsMemoryGoesBack) {
  const uintptr_t base = Allocate(200 * kMiB);
  Fill(base, kMiB, 3);
  EXPECT_EQ(Resize(base, 50 * kMiB), base);
  EXPECT_EQ(list_.Find(base).bytes, 50 * kMiB);
  EXPECT_EQ(space_.stats().ready_bytes, 50 * kMiB);
  EXPECT_TRUE(IsFilledWith(base, kMiB, 3));
}

TEST_P(HugeListTest, ObjectGrowsInPlaceWithinItsChunkAndReadsAsZerosThere) {
  const uintptr_t base = Allocate(40 * kMiB);
  Fill(base + 39 * kMiB, kMiB, 3);
  EXPECT_EQ(Resize(base, 41 * kMiB), base);
  EXPECT_TRUE(IsFilledWith(base + 39 * kMiB, kMiB, 3));
  EXPECT_TRUE(IsFilledWith(base + 40 * kMiB, kMiB, 0));
}

TEST_P(HugeListTest, ObjectThatShrankAndGrewAgainReadsAsZerosInItsNewPart) {
  const uintptr_t base = Allocate(50 * kMiB);
  Fill(base + 40 * kMiB, 10 * kMiB, 9);
  ASSERT_EQ(Resize(base, 40 * kMiB), base);
  ASSERT_EQ(Resize(base, 50 * kMiB), base);
  EXPECT_TRUE(IsFilledWith(base + 40 * kMiB, 10 * kMiB, 0));
}

TEST_P(HugeListTest, ObjectMovesWithItsContentsWhenAnotherIsInTheWay) {
  const uintptr_t base = Allocate(60 * kMiB);
  Allocate(60 * kMiB);
  Fill(base, kMiB, 5);
  Fill(base + 59 * kMiB, kMiB, 6);
  const uintptr_t moved = Resize(base, 100 * kMiB);
  ASSERT_NE(moved, 0u);
  EXPECT_TRUE(IsFilledWith(moved, kMiB, 5));
  EXPECT_TRUE(IsFilledWith(moved + 59 * kMiB, kMiB, 6));
  EXPECT_TRUE(IsFilledWith(moved + 60 * kMiB, 40 * kMiB, 0));
  EXPECT_EQ(list_.stats().objects, 2u);
  EXPECT_EQ(list_.stats().bytes, 160 * kMiB);
}

TEST_P(HugeListTest, MovedObjectIsCountedOnce) {
  const uintptr_t base = Allocate(60 * kMiB);
  const uintptr_t other = Allocate(60 * kMiB);
  const uintptr_t moved = Resize(base, 100 * kMiB);
  EXPECT_EQ(space_.stats().ready_bytes, 160 * kMiB);
  EXPECT_TRUE(list_.Free(moved));
  EXPECT_EQ(space_.stats().ready_bytes, 60 * kMiB);
  EXPECT_TRUE(list_.Free(other));
}

TEST_P(HugeListTest, RefusedMoveLeavesTheObjectAsItIs) {
  const uintptr_t base = Allocate(60 * kMiB);
  Allocate(60 * kMiB);
  Fill(base, kMiB, 5);
  for (const bool loses_destination : {false, true}) {
    fake_.LoseDestinationOfRemap(loses_destination);
    if (!loses_destination) fake_.FailNth(1, EINVAL, os::FakeMemory::Repeat::kForever, os::FakeMemory::Kind::kRemap);
    EXPECT_EQ(Resize(base, 100 * kMiB), 0u);
    fake_.StopFailing();
    EXPECT_TRUE(IsFilledWith(base, kMiB, 5));
    EXPECT_EQ(list_.Find(base).bytes, 60 * kMiB);
  }
  fake_.LoseDestinationOfRemap(false);
  EXPECT_NE(Resize(base, 100 * kMiB), 0u);
}

TEST_P(HugeListTest, ImpossibleSizesAreRefusedWithoutEatingTheAddressSpace) {
  const uintptr_t base = Allocate(60 * kMiB);
  const size_t reserved = space_.stats().reserved_bytes;
  for (size_t bytes : {size_t{1} << 46, (size_t{1} << 47) + 1, size_t{1} << 60, static_cast<size_t>(PTRDIFF_MAX)}) {
    fake_.ClearLog();
    fake_.FailNth(1, ENOMEM, os::FakeMemory::Repeat::kForever, os::FakeMemory::Kind::kProtect);
    EXPECT_EQ(Resize(base, bytes), 0u) << bytes;
    fake_.StopFailing();
    EXPECT_LT(fake_.log().size(), 100u) << bytes;
    EXPECT_EQ(space_.stats().reserved_bytes, reserved) << bytes;
  }
  EXPECT_EQ(list_.Allocate(static_cast<size_t>(PTRDIFF_MAX), kChunkBytes), nullptr);
  EXPECT_EQ(list_.Allocate(kMiB, size_t{1} << 62), nullptr);
}

TEST_P(HugeListTest, NoMemoryIsNullAndNothingIsLeftBehind) {
  // A refused munmap may leave something; the calls that supply memory may not.
  for (const auto kind : {os::FakeMemory::Kind::kMap, os::FakeMemory::Kind::kProtect}) {
    for (size_t nth = 1; nth < 6; ++nth) {
      fake_.FailNth(nth, ENOMEM, os::FakeMemory::Repeat::kOnce, kind);
      void* object = list_.Allocate(100 * kMiB, kChunkBytes);
      fake_.StopFailing();
      if (object != nullptr) {
        EXPECT_TRUE(list_.Free(reinterpret_cast<uintptr_t>(object)));
      }
      EXPECT_EQ(space_.stats().reserved_bytes, 0u) << "call " << nth;
      EXPECT_EQ(list_.stats().objects, 0u);
      metadata_.ReleaseAll();
      EXPECT_EQ(fake_.mapped_bytes(), 0u) << "call " << nth;
    }
  }
}

}  // namespace
}  // namespace acre
