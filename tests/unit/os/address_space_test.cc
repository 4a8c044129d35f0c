// States and their accounting, on the real kernel behind the recording fake.

#include "os/address_space.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <limits>

#include "os/fake/fake_memory.h"
#include "tests/unit/os/mappings.h"

namespace acre::os {
namespace {

constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();
constexpr size_t kReservedBytes = 4 * kMiB;

void ExpectStats(const AddressSpace& space, size_t reserved, size_t prepared, size_t ready) {
  EXPECT_EQ(space.stats().reserved_bytes, reserved);
  EXPECT_EQ(space.stats().prepared_bytes, prepared);
  EXPECT_EQ(space.stats().ready_bytes, ready);
}

// Every test with a mapped and with an unmapped reservation: the parameter is the limit.
class AddressSpaceStates : public testing::TestWithParam<size_t> {
 protected:
  AddressSpaceStates() {
    EXPECT_EQ(space_.Reserve(FindFreeRange(kReservedBytes), kReservedBytes, &reservation_), Status::kOk);
  }
  ~AddressSpaceStates() override { fake_.UnmapAll(); }

  void MakeReady(uintptr_t base, size_t bytes) {
    ASSERT_EQ(space_.Prepare(reservation_, base, bytes, "Acre: test"), Status::kOk);
    space_.Use(base, bytes);
  }

  FakeMemory fake_;
  AddressSpace space_{fake_.calls(), GetParam()};
  Reservation reservation_;
};

INSTANTIATE_TEST_SUITE_P(Limits, AddressSpaceStates, testing::Values(kNoLimit, 2048 * kMiB),
                         [](const auto& scenario) { return scenario.param == kNoLimit ? "Unlimited" : "Limited"; });

TEST_P(AddressSpaceStates, EachTransitionIsCounted) {
  const uintptr_t base = reservation_.base;
  ExpectStats(space_, kReservedBytes, 0, 0);
  ASSERT_EQ(space_.Prepare(reservation_, base, 2 * kMiB, "Acre: test"), Status::kOk);
  ExpectStats(space_, kReservedBytes, 2 * kMiB, 0);
  space_.Use(base, kMiB);
  ExpectStats(space_, kReservedBytes, 2 * kMiB, kMiB);
  ASSERT_TRUE(space_.Unuse(base, kMiB));
  ExpectStats(space_, kReservedBytes, 2 * kMiB, 0);
  space_.Use(base, 2 * kMiB);
  ExpectStats(space_, kReservedBytes, 2 * kMiB, 2 * kMiB);
  ASSERT_EQ(space_.Fault(reservation_, base, 2 * kMiB), Status::kOk);
  ExpectStats(space_, kReservedBytes, 0, 0);
  MakeReady(base, kReservedBytes);
  ExpectStats(space_, kReservedBytes, kReservedBytes, kReservedBytes);
  space_.Release(reservation_, kReservedBytes, kReservedBytes);
  ExpectStats(space_, 0, 0, 0);
  EXPECT_EQ(fake_.mapped_bytes(), 0u);
}

TEST_P(AddressSpaceStates, OnlyThePreparedPartIsAccessible) {
  MakeReady(reservation_.base + kMiB, kMiB);
  EXPECT_EQ(ProtectionAt(reservation_.base + kMiB), "rw-p");
  EXPECT_EQ(ProtectionAt(reservation_.base + 2 * kMiB - 1), "rw-p");
  EXPECT_NE(ProtectionAt(reservation_.base), "rw-p");
  EXPECT_NE(ProtectionAt(reservation_.base + 2 * kMiB), "rw-p");
}

TEST_P(AddressSpaceStates, PreparedMemoryReadsAsZeros) {
  MakeReady(reservation_.base, kMiB);
  EXPECT_TRUE(IsFilledWith(reservation_.base, kMiB, 0));
}

TEST_P(AddressSpaceStates, UnusedMemoryReadsAsZerosAgain) {
  MakeReady(reservation_.base, kMiB);
  Fill(reservation_.base, kMiB, 0x77);
  ASSERT_TRUE(space_.Unuse(reservation_.base + OsPageBytes(), kMiB - OsPageBytes()));
  EXPECT_TRUE(IsFilledWith(reservation_.base, OsPageBytes(), 0x77));
  EXPECT_TRUE(IsFilledWith(reservation_.base + OsPageBytes(), kMiB - OsPageBytes(), 0));
}

TEST_P(AddressSpaceStates, FaultedMemoryIsInaccessibleAndComesBackEmpty) {
  MakeReady(reservation_.base, kMiB);
  Fill(reservation_.base, kMiB, 0x77);
  ASSERT_EQ(space_.Fault(reservation_, reservation_.base, kMiB), Status::kOk);
  EXPECT_EQ(ProtectionAt(reservation_.base), GetParam() == kNoLimit ? "---p" : "");
  MakeReady(reservation_.base, kMiB);
  EXPECT_TRUE(IsFilledWith(reservation_.base, kMiB, 0));
}

TEST_P(AddressSpaceStates, MovedPagesKeepTheirContentsAndLeaveZeros) {
  MakeReady(reservation_.base, 2 * kMiB);
  const uintptr_t from = reservation_.base;
  const uintptr_t to = reservation_.base + kMiB;
  Fill(from, kMiB, 0x33);
  Fill(to, kMiB, 0x44);
  const Status status = space_.MovePages(from, to, kMiB);
  if (status == Status::kNotSupported) {
    EXPECT_TRUE(IsFilledWith(from, kMiB, 0x33));
    ExpectStats(space_, kReservedBytes, 2 * kMiB, 2 * kMiB);
    GTEST_SKIP() << "this kernel lacks MREMAP_DONTUNMAP";
  }
  ASSERT_EQ(status, Status::kOk);
  EXPECT_TRUE(IsFilledWith(to, kMiB, 0x33));
  EXPECT_TRUE(IsFilledWith(from, kMiB, 0));
  ExpectStats(space_, kReservedBytes, 2 * kMiB, kMiB);
}

TEST_P(AddressSpaceStates, RefusedMoveKeepsTheSource) {
  MakeReady(reservation_.base, 2 * kMiB);
  Fill(reservation_.base, kMiB, 0x33);
  fake_.FailNth(1, EINVAL);
  EXPECT_EQ(space_.MovePages(reservation_.base, reservation_.base + kMiB, kMiB), Status::kNotSupported);
  EXPECT_TRUE(IsFilledWith(reservation_.base, kMiB, 0x33));
  ExpectStats(space_, kReservedBytes, 2 * kMiB, 2 * kMiB);
}

TEST_P(AddressSpaceStates, HoleLeftByARefusedMoveIsClosed) {
  MakeReady(reservation_.base, 2 * kMiB);
  Fill(reservation_.base, 2 * kMiB, 0x33);
  fake_.LoseDestinationOfRemap(true);
  EXPECT_EQ(space_.MovePages(reservation_.base, reservation_.base + kMiB, kMiB), Status::kNotSupported);
  EXPECT_TRUE(IsFilledWith(reservation_.base, kMiB, 0x33));
  EXPECT_EQ(ProtectionAt(reservation_.base + kMiB), "rw-p");
  Fill(reservation_.base + kMiB, kMiB, 0x44);
}

// The kernel's own refusal, not the fake's: the source is two mappings. Newer kernels move that too.
TEST_P(AddressSpaceStates, MoveOfTwoMappingsMovesAllOrKeepsBothUsable) {
  MakeReady(reservation_.base, 2 * kMiB);
  space_.AdviseHugePages(reservation_.base, kMiB / 2, false);
  Fill(reservation_.base, kMiB, 0x33);
  const uintptr_t to = reservation_.base + kMiB;
  const Status status = space_.MovePages(reservation_.base, to, kMiB);
  EXPECT_TRUE(IsFilledWith(status == Status::kOk ? to : reservation_.base, kMiB, 0x33));
  Fill(reservation_.base, 2 * kMiB, 0x44);
  EXPECT_TRUE(IsFilledWith(reservation_.base, 2 * kMiB, 0x44));
}

TEST(AddressSpaceMetadata, IsZeroedNamedAndCountedInWholePages) {
  FakeMemory fake;
  AddressSpace space(fake.calls(), kNoLimit);
  void* const table = space.AllocateMetadata(OsPageBytes() + 1, "Acre: table");
  ASSERT_NE(table, nullptr);
  EXPECT_TRUE(IsFilledWith(reinterpret_cast<uintptr_t>(table), 2 * OsPageBytes(), 0));
  EXPECT_EQ(space.stats().metadata_bytes, 2 * OsPageBytes());
  EXPECT_EQ(fake.CountOf(FakeMemory::Kind::kName), 1u);
  ExpectStats(space, 0, 0, 0);
  space.FreeMetadata(table, OsPageBytes() + 1);
  EXPECT_EQ(space.stats().metadata_bytes, 0u);
  EXPECT_EQ(fake.mapped_bytes(), 0u);
}

TEST(AddressSpaceMetadata, OfTooManyBytesIsNull) {
  AddressSpace space(KernelMemoryCalls(), kNoLimit);
  EXPECT_EQ(space.AllocateMetadata(kNoLimit, "Acre: table"), nullptr);
  EXPECT_EQ(space.AllocateMetadata(size_t{1} << 60, "Acre: table"), nullptr);
  EXPECT_EQ(space.stats().metadata_bytes, 0u);
}

TEST(AddressSpaceHugePages, AdviceGoesToTheKernelAsWanted) {
  FakeMemory fake;
  AddressSpace space(fake.calls(), kNoLimit);
  void* const table = space.AllocateMetadata(4 * kMiB, "Acre: table");
  ASSERT_NE(table, nullptr);
  const uintptr_t base = reinterpret_cast<uintptr_t>(table);
  fake.ClearLog();
  space.AdviseHugePages(base, 4 * kMiB, true);
  space.AdviseHugePages(base, 4 * kMiB, false);
  ASSERT_EQ(fake.log().size(), 2u);
  EXPECT_EQ(fake.log()[0].advice, Advice::kHugePages);
  EXPECT_EQ(fake.log()[1].advice, Advice::kNoHugePages);
  space.FreeMetadata(table, 4 * kMiB);
}

TEST(AddressSpaceDeathTest, ReleaseOfAPartlyPreparedUnmappedReservationIsFatal) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  AddressSpace space(KernelMemoryCalls(), 2048 * kMiB);
  Reservation reservation;
  ASSERT_EQ(space.Reserve(FindFreeRange(kMiB), kMiB, &reservation), Status::kOk);
  EXPECT_DEATH(space.Release(reservation, OsPageBytes(), 0), "acre: .*check failed");
}

}  // namespace
}  // namespace acre::os
