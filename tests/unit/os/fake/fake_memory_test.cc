#include "os/fake/fake_memory.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "tests/unit/os/mappings.h"

namespace acre::os {
namespace {

using Kind = FakeMemory::Kind;
using Repeat = FakeMemory::Repeat;

class FakeMemoryTest : public testing::Test {
 protected:
  ~FakeMemoryTest() override { fake_.UnmapAll(); }

  MapResult Map(uintptr_t address, size_t bytes, Placement placement) {
    return calls_.map(calls_.context, address, bytes, Access::kReadWrite, placement);
  }

  FakeMemory fake_;
  const MemoryCalls& calls_ = fake_.calls();
};

TEST_F(FakeMemoryTest, NthCallFailsOnce) {
  fake_.FailNth(2, EAGAIN);
  EXPECT_EQ(Map(0, kMiB, Placement::kHint).error, 0);
  EXPECT_FALSE(fake_.HasFailed());
  EXPECT_EQ(Map(0, kMiB, Placement::kHint).error, EAGAIN);
  EXPECT_TRUE(fake_.HasFailed());
  EXPECT_EQ(Map(0, kMiB, Placement::kHint).error, 0);
}

TEST_F(FakeMemoryTest, NthCallOfAKindFailsForever) {
  const MapResult memory = Map(0, kMiB, Placement::kHint);
  fake_.FailNth(2, ENOMEM, Repeat::kForever, Kind::kProtect);
  EXPECT_EQ(calls_.protect(calls_.context, memory.address, kMiB, Access::kNone), 0);
  EXPECT_EQ(calls_.advise(calls_.context, memory.address, kMiB, Advice::kDiscard), 0);
  EXPECT_EQ(calls_.protect(calls_.context, memory.address, kMiB, Access::kNone), ENOMEM);
  EXPECT_EQ(calls_.protect(calls_.context, memory.address, kMiB, Access::kNone), ENOMEM);
  fake_.StopFailing();
  EXPECT_EQ(calls_.protect(calls_.context, memory.address, kMiB, Access::kNone), 0);
}

TEST_F(FakeMemoryTest, IgnoredHintGoesElsewhereEvenWhereTheKernelWouldChooseIt) {
  fake_.IgnoreHints(true);
  // What was unmapped last is often what the kernel chooses next.
  const MapResult first = Map(0, kMiB, Placement::kHint);
  ASSERT_EQ(calls_.unmap(calls_.context, first.address, kMiB), 0);
  const MapResult second = Map(first.address, kMiB, Placement::kHint);
  EXPECT_EQ(second.error, 0);
  EXPECT_NE(second.address, first.address);
  EXPECT_EQ(fake_.mapped_bytes(), kMiB);
  EXPECT_EQ(Map(first.address, kMiB, Placement::kFixed).address, first.address);
}

TEST_F(FakeMemoryTest, OldKernelPutsNoReplaceElsewhereIfOccupied) {
  fake_.TakeNoReplaceForHint(true);
  const MapResult first = Map(0, kMiB, Placement::kHint);
  const MapResult second = Map(first.address, kMiB, Placement::kFixedNoReplace);
  EXPECT_EQ(second.error, 0);
  EXPECT_NE(second.address, first.address);
}

TEST_F(FakeMemoryTest, RefusedAddressesAreNotMapped) {
  const uintptr_t base = FindFreeRange(kMiB);
  fake_.RefuseFrom(base + kMiB / 2);
  EXPECT_NE(Map(base, kMiB, Placement::kHint).address, base);
  EXPECT_EQ(Map(base, kMiB, Placement::kFixedNoReplace).error, ENOMEM);
  EXPECT_EQ(Map(base, kMiB, Placement::kFixed).error, ENOMEM);
  EXPECT_EQ(Map(base, kMiB / 2, Placement::kFixedNoReplace).error, 0);
}

TEST_F(FakeMemoryTest, MappedBytesFollowPartialUnmapsAndReplacement) {
  const MapResult memory = Map(0, 4 * kMiB, Placement::kHint);
  EXPECT_EQ(fake_.mapped_bytes(), 4 * kMiB);
  ASSERT_EQ(calls_.unmap(calls_.context, memory.address + kMiB, 2 * kMiB), 0);
  EXPECT_EQ(fake_.mapped_bytes(), 2 * kMiB);
  EXPECT_EQ(Map(memory.address, 2 * kMiB, Placement::kFixed).error, 0);
  EXPECT_EQ(fake_.mapped_bytes(), 3 * kMiB);
  ASSERT_EQ(calls_.unmap(calls_.context, memory.address, 4 * kMiB), 0);
  EXPECT_EQ(fake_.mapped_bytes(), 0u);
}

TEST_F(FakeMemoryTest, CallsAreRecordedInOrder) {
  const MapResult memory = Map(0, kMiB, Placement::kHint);
  (void)calls_.advise(calls_.context, memory.address, kMiB, Advice::kNoHugePages);
  (void)calls_.query(calls_.context, memory.address);
  const auto log = fake_.log();
  ASSERT_EQ(log.size(), 3u);
  EXPECT_EQ(log[0].kind, Kind::kMap);
  EXPECT_EQ(log[0].result, memory.address);
  EXPECT_EQ(log[0].bytes, kMiB);
  EXPECT_EQ(log[1].kind, Kind::kAdvise);
  EXPECT_EQ(log[1].advice, Advice::kNoHugePages);
  EXPECT_EQ(log[2].kind, Kind::kQuery);
  EXPECT_EQ(log[2].address, memory.address);
}

}  // namespace
}  // namespace acre::os
