#include "allocator/heap/chunk_space.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <vector>

#include "os/fake/fake_memory.h"
#include "tests/unit/os/mappings.h"

namespace acre {
namespace {

using os::kHasShadow;

constexpr uintptr_t kFirstHint = uintptr_t{0x00c0} << 32;
constexpr size_t kNoLimit = SIZE_MAX;
// Where a reservation is not mapped.
constexpr size_t kSomeLimit = size_t{1} << 40;

class ChunkSpaceTest : public ::testing::Test {
 protected:
  ~ChunkSpaceTest() override { fake_.UnmapAll(); }

  os::Reservation Reserve(size_t chunks) {
    os::Reservation reservation;
    EXPECT_EQ(chunks_.Reserve(chunks, ChunkUse::kHuge, ChunkUse::kHugeTail, &reservation), Status::kOk);
    EXPECT_EQ(reservation.base % kChunkBytes, 0u);
    EXPECT_EQ(reservation.bytes(), chunks * kChunkBytes);
    return reservation;
  }

  // Memory of somebody else's at `address`.
  void Occupy(uintptr_t address) {
    const os::MemoryCalls& kernel = os::KernelMemoryCalls();
    const os::MapResult result =
        kernel.map(kernel.context, address, os::OsPageBytes(), os::Access::kReadWrite, os::Placement::kFixedNoReplace);
    ASSERT_EQ(result.error, 0);
    occupied_.push_back(address);
    std::memset(reinterpret_cast<void*>(address), 0x5a, os::OsPageBytes());
  }

  void ExpectOccupiedSurvives() {
    const os::MemoryCalls& kernel = os::KernelMemoryCalls();
    for (uintptr_t address : occupied_) {
      EXPECT_TRUE(os::IsFilledWith(address, os::OsPageBytes(), 0x5a));
      EXPECT_EQ(kernel.unmap(kernel.context, address, os::OsPageBytes()), 0);
    }
    occupied_.clear();
  }

  os::FakeMemory fake_;
  os::AddressSpace space_{fake_.calls(), kNoLimit};
  std::unique_ptr<ChunkTable> table_ = std::make_unique<ChunkTable>();
  ChunkSpace chunks_{space_, *table_};
  std::vector<uintptr_t> occupied_;
};

TEST_F(ChunkSpaceTest, ChunksBeginAtTheFirstHintAndFollowEachOther) {
  if (kHasShadow) GTEST_SKIP() << "the sanitizer occupies these addresses";
  EXPECT_EQ(Reserve(1).base, kFirstHint);
  EXPECT_EQ(Reserve(3).base, kFirstHint + kChunkBytes);
  EXPECT_EQ(Reserve(1).base, kFirstHint + 4 * kChunkBytes);
}

TEST_F(ChunkSpaceTest, TableNamesFirstAndFurtherChunksUntilTheyAreReleased) {
  const os::Reservation reservation = Reserve(3);
  EXPECT_EQ(table_->Use(reservation.base), ChunkUse::kHuge);
  EXPECT_EQ(table_->Use(reservation.base + kChunkBytes), ChunkUse::kHugeTail);
  EXPECT_EQ(table_->Use(reservation.limit - 1), ChunkUse::kHugeTail);
  EXPECT_EQ(table_->Use(reservation.limit), ChunkUse::kNone);
  chunks_.Release(reservation, reservation.base, 0, 0);
  EXPECT_EQ(table_->Use(reservation.base), ChunkUse::kNone);
  EXPECT_EQ(table_->Use(reservation.limit - 1), ChunkUse::kNone);
  EXPECT_EQ(fake_.mapped_bytes(), 0u);
}

TEST_F(ChunkSpaceTest, ReleasedRangeIsUsedAgain) {
  if (kHasShadow) GTEST_SKIP() << "the sanitizer occupies these addresses";
  const os::Reservation first = Reserve(2);
  Reserve(1);
  chunks_.Release(first, first.base, 0, 0);
  EXPECT_EQ(Reserve(1).base, first.base);
  EXPECT_EQ(Reserve(1).base, first.base + kChunkBytes);
}

TEST_F(ChunkSpaceTest, OccupiedRangeIsSkippedAndSurvives) {
  if (kHasShadow) GTEST_SKIP() << "the sanitizer occupies these addresses";
  Occupy(kFirstHint + kChunkBytes / 2);
  Occupy(kFirstHint + 2 * kChunkBytes - os::OsPageBytes());
  const os::Reservation reservation = Reserve(1);
  EXPECT_EQ(reservation.base, kFirstHint + 2 * kChunkBytes);
  ExpectOccupiedSurvives();
}

TEST_F(ChunkSpaceTest, HintsThatTheKernelIgnoresAreTakenByForceUnlessOccupied) {
  if (kHasShadow) GTEST_SKIP() << "the sanitizer occupies these addresses";
  for (const bool is_old : {false, true}) {
    fake_.IgnoreHints(true);
    fake_.TakeNoReplaceForHint(is_old);
    Occupy(kFirstHint + kChunkBytes / 2);
    const os::Reservation reservation = Reserve(1);
    EXPECT_EQ(reservation.base, kFirstHint + kChunkBytes);
    ExpectOccupiedSurvives();
    chunks_.Release(reservation, reservation.base, 0, 0);
    EXPECT_EQ(fake_.mapped_bytes(), 0u);
  }
}

TEST_F(ChunkSpaceTest, KernelChoosesAfterFourRefusals) {
  if (kHasShadow) GTEST_SKIP() << "the sanitizer occupies these addresses";
  fake_.RefuseFrom(kChunkBytes);
  const os::Reservation reservation = Reserve(2);
  EXPECT_TRUE(reservation.is_mapped);
  EXPECT_NE(reservation.base, kFirstHint);
  fake_.ClearLog();
  Reserve(1);
  for (const os::FakeMemory::Call& call : fake_.log()) {
    EXPECT_TRUE(call.kind != os::FakeMemory::Kind::kMap || call.address < kFirstHint || call.address > kFirstHint * 2)
        << "a refused hint is not tried for ever";
  }
}

TEST_F(ChunkSpaceTest, NoMemoryIsSaidAndNothingIsEntered) {
  fake_.FailNth(1, ENOMEM, os::FakeMemory::Repeat::kForever);
  os::Reservation reservation;
  EXPECT_EQ(chunks_.Reserve(1, ChunkUse::kPages, ChunkUse::kPages, &reservation), Status::kOutOfMemory);
  EXPECT_FALSE(table_->IsChunk(kFirstHint));
  fake_.StopFailing();
  Reserve(1);
}

TEST_F(ChunkSpaceTest, ExtensionTakesTheChunkBehindUnlessItIsTaken) {
  if (kHasShadow) GTEST_SKIP() << "the sanitizer occupies these addresses";
  os::Reservation reservation = Reserve(1);
  EXPECT_EQ(chunks_.Extend(&reservation, ChunkUse::kHugeTail), Status::kOk);
  EXPECT_EQ(reservation.bytes(), 2 * kChunkBytes);
  EXPECT_EQ(table_->Use(reservation.limit - 1), ChunkUse::kHugeTail);
  const os::Reservation next = Reserve(1);
  EXPECT_EQ(next.base, reservation.limit);
  EXPECT_EQ(chunks_.Extend(&reservation, ChunkUse::kHugeTail), Status::kConflict);
  EXPECT_EQ(reservation.bytes(), 2 * kChunkBytes);
  chunks_.Release(reservation, reservation.base, 0, 0);
  chunks_.Release(next, next.base, 0, 0);
  EXPECT_EQ(fake_.mapped_bytes(), 0u);
}

TEST_F(ChunkSpaceTest, AbandonedRangeIsNotTriedAgain) {
  if (kHasShadow) GTEST_SKIP() << "the sanitizer occupies these addresses";
  const os::Reservation reservation = Reserve(1);
  chunks_.Abandon(reservation);
  EXPECT_EQ(table_->Use(reservation.base), ChunkUse::kNone);
  EXPECT_EQ(Reserve(1).base, reservation.limit);
}

TEST(ChunkSpaceLimited, ReservationIsNotMappedAndPartsOfItCanBeReleased) {
  if (kHasShadow) GTEST_SKIP() << "the kernel chooses there, and its choice is mapped";
  os::FakeMemory fake;
  os::AddressSpace space(fake.calls(), kSomeLimit);
  const auto table = std::make_unique<ChunkTable>();
  ChunkSpace chunks(space, *table);
  os::Reservation reservation;
  ASSERT_EQ(chunks.Reserve(2, ChunkUse::kHuge, ChunkUse::kHugeTail, &reservation), Status::kOk);
  EXPECT_FALSE(reservation.is_mapped);
  EXPECT_EQ(fake.mapped_bytes(), 0u);
  chunks.Release(reservation, reservation.base, 0, 0);
  EXPECT_EQ(space.stats().reserved_bytes, 0u);
}

}  // namespace
}  // namespace acre
