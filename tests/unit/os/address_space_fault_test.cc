// Every memory call of a scenario is failed in turn. Whatever step reports the failure, the test then gives up what it
// has and compares: nothing is left mapped, nothing is left counted. Only a refused munmap may leave something behind.

#include <gtest/gtest.h>

#include <cerrno>
#include <limits>
#include <string>

#include "os/address_space.h"
#include "os/fake/fake_memory.h"
#include "tests/unit/os/mappings.h"

namespace acre::os {
namespace {

constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();
constexpr size_t kReservedBytes = 4 * kMiB;

enum class Where : uint8_t { kAt, kAnywhere };

struct Scenario {
  const char* name;
  Where where;
  size_t limit_bytes;
  bool ignores_hints;
  bool takes_no_replace_for_hint;
};

class AddressSpaceFaults : public testing::TestWithParam<Scenario> {
 protected:
  ~AddressSpaceFaults() override { fake_.UnmapAll(); }

  void SetUp() override {
    fake_.IgnoreHints(GetParam().ignores_hints);
    fake_.TakeNoReplaceForHint(GetParam().takes_no_replace_for_hint);
  }

  Status ReserveRange(AddressSpace& space, Reservation* reservation) {
    if (GetParam().where == Where::kAnywhere) return space.ReserveAnywhere(kReservedBytes, 64 * kMiB, reservation);
    return space.Reserve(FindFreeRange(kReservedBytes), kReservedBytes, reservation);
  }

  // Goes through all states; a refusal ends the way forward, and what was reached is given up without failures.
  void RunOnce(AddressSpace& space) {
    void* const table = space.AllocateMetadata(kMiB, "Acre: table");
    Reservation reservation;
    if (ReserveRange(space, &reservation) == Status::kOk) RunReserved(space, reservation);
    fake_.StopFailing();
    if (table != nullptr) space.FreeMetadata(table, kMiB);
  }

  void RunReserved(AddressSpace& space, const Reservation& reservation) {
    size_t prepared_bytes = 0;
    if (space.Prepare(reservation, reservation.base, kReservedBytes, "Acre: test") == Status::kOk) {
      prepared_bytes = kReservedBytes;
      space.Use(reservation.base, kReservedBytes);
      RunReady(space, reservation, &prepared_bytes);
    } else if (reservation.is_mapped) {
      EXPECT_EQ(ProtectionAt(reservation.base), "---p");
    }
    fake_.StopFailing();
    space.Release(reservation, prepared_bytes, prepared_bytes);
  }

  void RunReady(AddressSpace& space, const Reservation& reservation, size_t* prepared_bytes) {
    const uintptr_t base = reservation.base;
    Fill(base, kMiB, 0x11);
    if (space.Unuse(base, kMiB)) {
      EXPECT_TRUE(IsFilledWith(base, kMiB, 0));
      space.Use(base, kMiB);
    } else {
      EXPECT_TRUE(IsFilledWith(base, kMiB, 0x11));
    }
    Fill(base, 2 * kMiB, 0x22);
    if (space.MovePages(base, base + 2 * kMiB, 2 * kMiB) == Status::kOk) {
      EXPECT_TRUE(IsFilledWith(base + 2 * kMiB, 2 * kMiB, 0x22));
      space.Use(base, 2 * kMiB);
    } else {
      EXPECT_TRUE(IsFilledWith(base, 2 * kMiB, 0x22));
    }
    Fill(base, kReservedBytes, 0x33);
    if (repeat_ == FakeMemory::Repeat::kForever) fake_.StopFailing();  // Two refusals in a row are fatal here, see below.
    if (space.Fault(reservation, base, kReservedBytes) == Status::kOk) {
      *prepared_bytes = 0;
    } else {
      EXPECT_TRUE(IsFilledWith(base, kReservedBytes, 0x33)) << "a refused Fault must leave the range ready";
    }
  }

  bool HasUnmapFailed() const {
    for (const FakeMemory::Call& call : fake_.log()) {
      if (call.kind == FakeMemory::Kind::kUnmap && call.error != 0) return true;
    }
    return false;
  }

  void FailEachCall(int error, FakeMemory::Repeat repeat) {
    repeat_ = repeat;
    size_t nth = 1;
    for (bool has_failed = true; has_failed; ++nth) {
      SCOPED_TRACE("call " + std::to_string(nth));
      ASSERT_LT(nth, 100u);
      AddressSpace space(fake_.calls(), GetParam().limit_bytes);
      fake_.ClearLog();
      fake_.FailNth(nth, error, repeat);
      RunOnce(space);
      has_failed = fake_.HasFailed();
      if (!HasUnmapFailed()) {
        EXPECT_EQ(fake_.mapped_bytes(), 0u);
      }
      EXPECT_EQ(space.stats().reserved_bytes, 0u);
      EXPECT_EQ(space.stats().prepared_bytes, 0u);
      EXPECT_EQ(space.stats().ready_bytes, 0u);
      EXPECT_EQ(space.stats().metadata_bytes, 0u);
      fake_.UnmapAll();
    }
    EXPECT_GT(nth, 5u) << "the scenario made hardly any call";
  }

  FakeMemory fake_;
  FakeMemory::Repeat repeat_ = FakeMemory::Repeat::kOnce;
};

INSTANTIATE_TEST_SUITE_P(
    Scenarios, AddressSpaceFaults,
    testing::Values(Scenario{"At", Where::kAt, kNoLimit, false, false},
                    Scenario{"AtHintsIgnored", Where::kAt, kNoLimit, true, false},
                    Scenario{"AtOldKernel", Where::kAt, kNoLimit, true, true},
                    Scenario{"AtLimited", Where::kAt, 2048 * kMiB, false, false},
                    Scenario{"AtLimitedOldKernel", Where::kAt, 2048 * kMiB, true, true},
                    Scenario{"Anywhere", Where::kAnywhere, kNoLimit, false, false},
                    Scenario{"AnywhereOldKernel", Where::kAnywhere, kNoLimit, true, true}),
    [](const auto& scenario) { return scenario.param.name; });

TEST_P(AddressSpaceFaults, NothingLeaksWhenTheNthCallFailsOnce) { FailEachCall(ENOMEM, FakeMemory::Repeat::kOnce); }

TEST_P(AddressSpaceFaults, NothingLeaksWhenAllCallsFailFromTheNthOn) {
  FailEachCall(ENOMEM, FakeMemory::Repeat::kForever);
}

TEST_P(AddressSpaceFaults, NothingLeaksWhenTheNthCallIsForbidden) { FailEachCall(EPERM, FakeMemory::Repeat::kOnce); }

TEST(AddressSpaceRelease, RangeThatCannotBeUnmappedStaysCounted) {
  FakeMemory fake;
  AddressSpace space(fake.calls(), kNoLimit);
  Reservation reservation;
  ASSERT_EQ(space.Reserve(FindFreeRange(kMiB), kMiB, &reservation), Status::kOk);
  ASSERT_EQ(space.Prepare(reservation, reservation.base, kMiB, "Acre: test"), Status::kOk);
  space.Use(reservation.base, kMiB);
  Fill(reservation.base, kMiB, 1);
  fake.FailNth(1, ENOMEM, FakeMemory::Repeat::kOnce, FakeMemory::Kind::kUnmap);
  space.Release(reservation, kMiB, kMiB);
  EXPECT_TRUE(fake.HasFailed());
  EXPECT_EQ(space.stats().reserved_bytes, kMiB);
  EXPECT_EQ(space.stats().ready_bytes, 0u);
  EXPECT_TRUE(IsFilledWith(reservation.base, kMiB, 0)) << "its memory has to go back all the same";
  fake.UnmapAll();
}

TEST(AddressSpaceDeathTest, FaultThatCannotBeUndoneIsFatal) {
  FakeMemory fake;
  AddressSpace space(fake.calls(), kNoLimit);
  Reservation reservation;
  ASSERT_EQ(space.Reserve(FindFreeRange(kMiB), kMiB, &reservation), Status::kOk);
  ASSERT_EQ(space.Prepare(reservation, reservation.base, kMiB, "Acre: test"), Status::kOk);
  space.Use(reservation.base, kMiB);
  fake.FailNth(2, EINVAL, FakeMemory::Repeat::kForever);  // The first protects, the second would give back.
  EXPECT_DEATH((void)space.Fault(reservation, reservation.base, kMiB), "acre: memory at 0x.*neither given back");
  fake.StopFailing();
  space.Release(reservation, kMiB, kMiB);
}

}  // namespace
}  // namespace acre::os
