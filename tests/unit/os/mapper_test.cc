// MapAt and the two ways to reserve, on the kernel as it is and as others are. Each test compares what is mapped through
// the fake at the end with what should be: a stray mapping that stays shows there.

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <limits>

#include "os/address_space.h"
#include "os/fake/fake_memory.h"
#include "os/limits.h"
#include "tests/unit/os/mappings.h"

namespace acre::os {
namespace {

constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();
constexpr size_t kRangeBytes = 1 * kMiB;
constexpr uintptr_t kHighAddress = uintptr_t{0x00c0} << 32;

class Mapper : public testing::Test {
 protected:
  ~Mapper() override { fake_.UnmapAll(); }

  size_t CountPlaced(Placement placement) const {
    size_t count = 0;
    for (const FakeMemory::Call& call : fake_.log()) {
      if (call.kind == FakeMemory::Kind::kMap && call.placement == placement) ++count;
    }
    return count;
  }

  void ExpectMappedOnlyAt(uintptr_t base) {
    EXPECT_EQ(fake_.mapped_bytes(), kRangeBytes);
    EXPECT_EQ(ProtectionAt(base), "rw-p");
    EXPECT_EQ(ProtectionAt(base + kRangeBytes - 1), "rw-p");
  }

  // One page that someone else has mapped in the middle of a range which is free otherwise.
  struct Occupied {
    explicit Occupied(size_t bytes) : base(FindFreeRange(bytes)), page(base + bytes / 2) {
      const MapResult result =
          kernel.map(kernel.context, page, OsPageBytes(), Access::kReadWrite, Placement::kFixedNoReplace);
      EXPECT_EQ(result.error, 0);
      EXPECT_EQ(result.address, page);
      Fill(page, OsPageBytes(), kValue);
    }
    ~Occupied() { EXPECT_EQ(kernel.unmap(kernel.context, page, OsPageBytes()), 0); }
    bool HasSurvived() const { return ProtectionAt(page) == "rw-p" && IsFilledWith(page, OsPageBytes(), kValue); }

    static constexpr unsigned char kValue = 0x5a;
    const MemoryCalls& kernel = KernelMemoryCalls();
    const uintptr_t base;
    const uintptr_t page;
  };

  FakeMemory fake_;
  AddressSpace space_{fake_.calls(), kNoLimit};
};

TEST_F(Mapper, FollowedHintNeedsOneCall) {
  const uintptr_t base = FindFreeRange(kRangeBytes);
  EXPECT_EQ(space_.MapAt(base, kRangeBytes, Access::kReadWrite), Status::kOk);
  ExpectMappedOnlyAt(base);
  EXPECT_EQ(fake_.log().size(), 1u);
}

TEST_F(Mapper, IgnoredHintIsMappedWithNoReplace) {
  fake_.IgnoreHints(true);
  const uintptr_t base = FindFreeRange(kRangeBytes);
  EXPECT_EQ(space_.MapAt(base, kRangeBytes, Access::kReadWrite), Status::kOk);
  ExpectMappedOnlyAt(base);
  EXPECT_EQ(CountPlaced(Placement::kFixedNoReplace), 1u);
  EXPECT_EQ(CountPlaced(Placement::kFixed), 0u);
}

TEST_F(Mapper, OldKernelThatIgnoresHintsIsMappedWithFixed) {
  fake_.IgnoreHints(true);
  fake_.TakeNoReplaceForHint(true);
  const uintptr_t base = FindFreeRange(kRangeBytes);
  EXPECT_EQ(space_.MapAt(base, kRangeBytes, Access::kReadWrite), Status::kOk);
  ExpectMappedOnlyAt(base);
  EXPECT_EQ(CountPlaced(Placement::kFixed), 1u);
}

TEST_F(Mapper, OldKernelThatFollowsHintsIsNeverMappedWithFixed) {
  fake_.TakeNoReplaceForHint(true);
  const Occupied occupied(kRangeBytes);
  EXPECT_EQ(space_.MapAt(occupied.base, kRangeBytes, Access::kReadWrite), Status::kConflict);
  EXPECT_EQ(CountPlaced(Placement::kFixed), 0u);
  EXPECT_TRUE(occupied.HasSurvived());
}

TEST_F(Mapper, PageInTheMiddleSurvives) {
  const Occupied occupied(kRangeBytes);
  EXPECT_EQ(space_.MapAt(occupied.base, kRangeBytes, Access::kReadWrite), Status::kConflict);
  EXPECT_TRUE(occupied.HasSurvived());
  EXPECT_EQ(fake_.mapped_bytes(), 0u);
}

TEST_F(Mapper, PageInTheMiddleSurvivesIgnoredHints) {
  fake_.IgnoreHints(true);
  const Occupied occupied(kRangeBytes);
  EXPECT_EQ(space_.MapAt(occupied.base, kRangeBytes, Access::kReadWrite), Status::kConflict);
  EXPECT_TRUE(occupied.HasSurvived());
  EXPECT_EQ(fake_.mapped_bytes(), 0u);
}

TEST_F(Mapper, PageInTheMiddleSurvivesOldKernelThatIgnoresHints) {
  fake_.IgnoreHints(true);
  fake_.TakeNoReplaceForHint(true);
  const Occupied occupied(kRangeBytes);
  EXPECT_EQ(space_.MapAt(occupied.base, kRangeBytes, Access::kReadWrite), Status::kConflict);
  EXPECT_TRUE(occupied.HasSurvived());
  EXPECT_EQ(fake_.mapped_bytes(), 0u);
}

// Between the first check and the last resort another thread maps a page in the range.
TEST_F(Mapper, PageThatAppearsAfterTheFirstCheckSurvives) {
  fake_.IgnoreHints(true);
  fake_.TakeNoReplaceForHint(true);
  const uintptr_t base = FindFreeRange(kRangeBytes);
  const uintptr_t page = base + kRangeBytes / 2;
  const MemoryCalls& kernel = KernelMemoryCalls();
  fake_.BeforeNth(2, FakeMemory::Kind::kUnmap, [&] {
    EXPECT_EQ(kernel.map(kernel.context, page, OsPageBytes(), Access::kReadWrite, Placement::kHint).address, page);
    Fill(page, OsPageBytes(), 0x66);
  });
  EXPECT_EQ(space_.MapAt(base, kRangeBytes, Access::kReadWrite), Status::kConflict);
  ASSERT_EQ(ProtectionAt(page), "rw-p");
  EXPECT_TRUE(IsFilledWith(page, OsPageBytes(), 0x66));
  EXPECT_EQ(kernel.unmap(kernel.context, page, OsPageBytes()), 0);
  EXPECT_EQ(fake_.mapped_bytes(), 0u);
}

TEST_F(Mapper, FreeCheckAsksForOnePageAtATime) {
  fake_.IgnoreHints(true);
  const uintptr_t base = FindFreeRange(kRangeBytes);
  EXPECT_EQ(space_.MapAt(base, kRangeBytes, Access::kReadWrite), Status::kOk);
  EXPECT_EQ(fake_.CountOf(FakeMemory::Kind::kQuery), kRangeBytes / OsPageBytes());
}

TEST_F(Mapper, UnansweredFreeCheckCountsAsOccupied) {
  fake_.IgnoreHints(true);
  fake_.FailNth(1, EPERM, FakeMemory::Repeat::kForever, FakeMemory::Kind::kQuery);
  EXPECT_EQ(space_.MapAt(FindFreeRange(kRangeBytes), kRangeBytes, Access::kReadWrite), Status::kConflict);
  EXPECT_EQ(CountPlaced(Placement::kFixed), 0u);
  EXPECT_EQ(fake_.mapped_bytes(), 0u);
}

TEST_F(Mapper, RangeOverOneChunkIsNeverForced) {
  constexpr size_t kBytes = 65 * kMiB;
  fake_.IgnoreHints(true);
  fake_.TakeNoReplaceForHint(true);
  EXPECT_EQ(space_.MapAt(FindFreeRange(kBytes), kBytes, Access::kNone), Status::kRefused);
  EXPECT_EQ(CountPlaced(Placement::kFixed), 0u);
  EXPECT_EQ(fake_.mapped_bytes(), 0u);
}

TEST_F(Mapper, RefusedHighAddressIsReportedAsRefused) {
  const uintptr_t base = FindFreeRange(kRangeBytes);
  fake_.RefuseFrom(base);
  Reservation reservation;
  EXPECT_EQ(space_.Reserve(base, kRangeBytes, &reservation), Status::kRefused);
  EXPECT_EQ(fake_.mapped_bytes(), 0u);
  EXPECT_EQ(space_.stats().reserved_bytes, 0u);
}

TEST_F(Mapper, AddressBeyondTheKernelsOwnLimitIsRefused) {
  constexpr uintptr_t kBeyond = uintptr_t{0xc000} << 48;
  EXPECT_EQ(space_.MapAt(kBeyond, kRangeBytes, Access::kNone), Status::kRefused);
  EXPECT_EQ(fake_.mapped_bytes(), 0u);
}

TEST_F(Mapper, HighAddressWorksWithoutSanitizersAndIsARefusalWithThem) {
  const Status status = space_.MapAt(kHighAddress, kRangeBytes, Access::kReadWrite);
  if (kHasShadow) {
    EXPECT_NE(status, Status::kOk);
    EXPECT_EQ(fake_.mapped_bytes(), 0u);
  } else {
    EXPECT_EQ(status, Status::kOk);
    ExpectMappedOnlyAt(kHighAddress);
  }
}

TEST_F(Mapper, ReservationIsMappedWithoutAccess) {
  const uintptr_t base = FindFreeRange(kRangeBytes);
  Reservation reservation;
  ASSERT_EQ(space_.Reserve(base, kRangeBytes, &reservation), Status::kOk);
  EXPECT_TRUE(reservation.is_mapped);
  EXPECT_EQ(reservation.base, base);
  EXPECT_EQ(reservation.bytes(), kRangeBytes);
  EXPECT_EQ(ProtectionAt(base), "---p");
  space_.Release(reservation, 0, 0);
  EXPECT_EQ(ProtectionAt(base), "");
}

TEST_F(Mapper, LimitedReservationIsNotMapped) {
  AddressSpace limited(fake_.calls(), 200 * kMiB);
  const uintptr_t base = FindFreeRange(kRangeBytes);
  Reservation reservation;
  ASSERT_EQ(limited.Reserve(base, kRangeBytes, &reservation), Status::kOk);
  EXPECT_FALSE(reservation.is_mapped);
  EXPECT_EQ(fake_.mapped_bytes(), 0u);
  EXPECT_EQ(limited.stats().reserved_bytes, kRangeBytes);
  limited.Release(reservation, 0, 0);
  EXPECT_EQ(limited.stats().reserved_bytes, 0u);
}

TEST_F(Mapper, LimitedReservationIsVerifiedWhenPrepared) {
  AddressSpace limited(fake_.calls(), 200 * kMiB);
  const Occupied occupied(kRangeBytes);
  Reservation reservation;
  ASSERT_EQ(limited.Reserve(occupied.base, kRangeBytes, &reservation), Status::kOk);
  EXPECT_EQ(limited.Prepare(reservation, reservation.base, kRangeBytes, "Acre: test"), Status::kConflict);
  EXPECT_TRUE(occupied.HasSurvived());
  EXPECT_EQ(limited.stats().prepared_bytes, 0u);
  // The part before the page is free and can be used; what is not ours stays when it is given up.
  ASSERT_EQ(limited.Prepare(reservation, reservation.base, OsPageBytes(), "Acre: test"), Status::kOk);
  limited.Use(reservation.base, OsPageBytes());
  Fill(reservation.base, OsPageBytes(), 1);
  ASSERT_EQ(limited.Fault(reservation, reservation.base, OsPageBytes()), Status::kOk);
  limited.Release(reservation, 0, 0);
  EXPECT_TRUE(occupied.HasSurvived());
  EXPECT_EQ(fake_.mapped_bytes(), 0u);
}

TEST_F(Mapper, LimitedReservationProbesWhereHintsAreIgnored) {
  fake_.IgnoreHints(true);
  AddressSpace limited(fake_.calls(), 200 * kMiB);
  Reservation reservation;
  EXPECT_EQ(limited.Reserve(FindFreeRange(kRangeBytes), kRangeBytes, &reservation), Status::kOk);
  EXPECT_EQ(fake_.mapped_bytes(), 0u);
}

TEST_F(Mapper, LimitedReservationIsRefusedWhereAddressesAre) {
  const uintptr_t base = FindFreeRange(kRangeBytes);
  fake_.RefuseFrom(base);
  AddressSpace limited(fake_.calls(), 200 * kMiB);
  Reservation reservation;
  EXPECT_EQ(limited.Reserve(base, kRangeBytes, &reservation), Status::kRefused);
  EXPECT_EQ(fake_.mapped_bytes(), 0u);
}

// Runs in a child, whose limit is real. Its exit status names the step that failed.
int ReserveUnderRealLimit() {
  constexpr size_t kLimitBytes = 200 * kMiB;
  constexpr size_t kReservedBytes = 1024 * kMiB;
  const rlimit limit = {kLimitBytes, kLimitBytes};
  if (setrlimit(RLIMIT_AS, &limit) != 0) return 1;
  if (AddressSpaceLimitBytes() != kLimitBytes) return 2;
  AddressSpace space(KernelMemoryCalls(), AddressSpaceLimitBytes());
  Reservation reservation;
  if (space.Reserve(kHighAddress, kReservedBytes, &reservation) != Status::kOk) return 3;
  if (space.Prepare(reservation, kHighAddress, kMiB, "Acre: test") != Status::kOk) return 4;
  space.Use(kHighAddress, kMiB);
  Fill(kHighAddress, kMiB, 1);
  if (space.Prepare(reservation, kHighAddress + kMiB, 512 * kMiB, "Acre: test") != Status::kOutOfMemory) return 5;
  return 0;
}

TEST_F(Mapper, RealAddressSpaceLimitDoesNotChargeReservations) {
  if (kHasShadow) GTEST_SKIP() << "the sanitizer's shadow is over any limit";
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) _exit(ReserveUnderRealLimit());
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0) << "step that failed";
}

TEST_F(Mapper, ReserveAnywhereIsAlignedForEveryAlignment) {
  for (size_t alignment = OsPageBytes(); alignment <= 256 * kMiB; alignment *= 2) {
    Reservation reservation;
    ASSERT_EQ(space_.ReserveAnywhere(kRangeBytes, alignment, &reservation), Status::kOk) << alignment;
    EXPECT_EQ(reservation.base % alignment, 0u) << alignment;
    EXPECT_TRUE(reservation.is_mapped);
    EXPECT_EQ(fake_.mapped_bytes(), kRangeBytes) << alignment;
    space_.Release(reservation, 0, 0);
    EXPECT_EQ(fake_.mapped_bytes(), 0u) << alignment;
  }
}

TEST_F(Mapper, ReserveAnywhereIsAlignedWhenTheBigReservationFails) {
  constexpr size_t kAlignment = 4 * kMiB;
  // The first call is the plain one; the sizes differ by a page so that it cannot be aligned by luck twice in a row.
  size_t tries_with_failure = 0;
  for (size_t bytes = kMiB; bytes < 2 * kMiB; bytes += 16 * OsPageBytes()) {
    fake_.ClearLog();
    fake_.FailNth(2, ENOMEM, FakeMemory::Repeat::kOnce, FakeMemory::Kind::kMap);
    Reservation reservation;
    ASSERT_EQ(space_.ReserveAnywhere(bytes, kAlignment, &reservation), Status::kOk);
    if (fake_.HasFailed()) ++tries_with_failure;
    fake_.StopFailing();
    EXPECT_EQ(reservation.base % kAlignment, 0u);
    EXPECT_EQ(fake_.mapped_bytes(), bytes);
    space_.Release(reservation, 0, 0);
  }
  EXPECT_GT(tries_with_failure, 0u);
}

TEST_F(Mapper, ReserveAnywhereOfTooMuchIsOutOfMemory) {
  Reservation reservation;
  EXPECT_EQ(space_.ReserveAnywhere(size_t{1} << 50, 64 * kMiB, &reservation), Status::kOutOfMemory);
  EXPECT_EQ(space_.ReserveAnywhere(~size_t{0} & ~(OsPageBytes() - 1), 64 * kMiB, &reservation), Status::kOutOfMemory);
  EXPECT_EQ(fake_.mapped_bytes(), 0u);
  EXPECT_EQ(space_.stats().reserved_bytes, 0u);
}

}  // namespace
}  // namespace acre::os
