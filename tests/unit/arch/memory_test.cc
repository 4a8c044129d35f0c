#include "arch/memory.h"

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

#include "tests/unit/arch/memory_support.h"

// Each body is compared with one that is plain enough to be right by looking at it: a copy through a second buffer, a
// byte at a time. The whole surroundings are compared, so that a byte written outside of the range is seen, and ranges
// at guard pages show that none is read or written there.

namespace acre::arch {
namespace {

constexpr size_t kKiB = 1024;
constexpr size_t kMiB = 1024 * kKiB;
constexpr size_t kAllSizes = 1024;
constexpr size_t kMargin = 128;

// A size, and where in its buffer each range begins.
struct Ranges {
  size_t to;
  size_t from;
  size_t bytes;
};

void MoveByteByByte(Byte* to, const Byte* from, size_t bytes) {
  std::vector<Byte> copy(from, from + bytes);
  for (size_t i = 0; i < bytes; i++) to[i] = copy[i];
}

// Two equal buffers: the body works in one, the oracle in the other.
class Twins {
 public:
  Twins(size_t bytes, uint64_t seed) : pattern_(bytes), actual_(bytes), expected_(bytes) {
    FillPattern(pattern_.data(), bytes, seed);
    Reset();
  }
  void Reset() {
    std::memcpy(actual_.data(), pattern_.data(), pattern_.size());
    std::memcpy(expected_.data(), pattern_.data(), pattern_.size());
  }
  bool AreEqual(size_t base, size_t limit) const {
    return std::memcmp(actual_.data() + base, expected_.data() + base, limit - base) == 0;
  }
  bool AreEqual() const { return AreEqual(0, pattern_.size()); }

  // Cache-line aligned, so that offsets are alignments.
  Byte* actual() { return Align(actual_.data()); }
  Byte* expected() { return expected_.data() + (actual() - actual_.data()); }

 private:
  static Byte* Align(Byte* base) {
    return base + (-reinterpret_cast<uintptr_t>(base) % 64);
  }
  std::vector<Byte> pattern_;
  std::vector<Byte> actual_;
  std::vector<Byte> expected_;
};

class Memory : public MemoryBodyTest {
 protected:
  testing::AssertionResult MoveMatches(Twins& twins, const Ranges& r) {
    RunMove(twins.actual() + r.to, twins.actual() + r.from, r.bytes);
    MoveByteByByte(twins.expected() + r.to, twins.expected() + r.from, r.bytes);
    if (twins.AreEqual()) return testing::AssertionSuccess();
    return testing::AssertionFailure() << r.bytes << " bytes from offset " << r.from << " to offset " << r.to;
  }
  testing::AssertionResult ClearMatches(Twins& twins, size_t base, size_t bytes) {
    RunClear(twins.actual() + base, bytes);
    for (size_t i = 0; i < bytes; i++) twins.expected()[base + i] = 0;
    if (twins.AreEqual()) return testing::AssertionSuccess();
    return testing::AssertionFailure() << bytes << " bytes at offset " << base;
  }
};

TEST_P(Memory, MovesEverySizeAtEveryDestinationAlignment) {
  Twins twins(2 * kAllSizes + 4 * kMargin + 64, 1);
  for (size_t bytes = 0; bytes <= kAllSizes; bytes++) {
    for (size_t to = 0; to < 64; to++) {
      const size_t from = kAllSizes + 2 * kMargin + (to * 13 + bytes) % 64;
      ASSERT_TRUE(MoveMatches(twins, {kMargin + to, from, bytes}));
      if (to % 16 == 15) twins.Reset();
    }
  }
}

TEST_P(Memory, MovesEverySourceAndDestinationAlignmentAtSizesAroundEachClass) {
  Twins twins(2 * 700 + 4 * kMargin + 64, 2);
  for (size_t edge : {8, 16, 32, 64, 128, 256, 512, 600}) {
    for (size_t bytes : {edge - 1, edge, edge + 1}) {
      for (size_t to = 0; to < 64; to++) {
        for (size_t from = 0; from < 64; from++) {
          ASSERT_TRUE(MoveMatches(twins, {kMargin + to, 700 + 2 * kMargin + from, bytes}));
        }
        twins.Reset();
      }
    }
  }
}

TEST_P(Memory, MovesOverlappingRangesOfEverySizeInBothDirections) {
  Twins twins(2 * kAllSizes + 4 * kMargin + 64, 3);
  for (size_t bytes = 0; bytes <= kAllSizes; bytes++) {
    for (size_t distance : {1, 2, 7, 8, 9, 15, 16, 31, 32, 33, 63, 64, 65, 100, 128, 200, 256, 300, 511, 700, 1000}) {
      if (distance > bytes) break;
      const size_t base = kMargin + (bytes * 7 + distance) % 64;
      ASSERT_TRUE(MoveMatches(twins, {base, base + distance, bytes}));
      ASSERT_TRUE(MoveMatches(twins, {base + distance, base, bytes}));
    }
    twins.Reset();
  }
}

TEST_P(Memory, MoveOntoItselfChangesNothing) {
  Twins twins(kAllSizes + 4 * kMargin, 4);
  for (size_t bytes = 0; bytes <= kAllSizes; bytes++) {
    ASSERT_TRUE(MoveMatches(twins, {kMargin + bytes % 9, kMargin + bytes % 9, bytes}));
  }
}

TEST_P(Memory, ClearsEverySizeAtEveryAlignment) {
  Twins twins(kAllSizes + 4 * kMargin, 5);
  for (size_t bytes = 0; bytes <= kAllSizes; bytes++) {
    for (size_t base = 0; base < 64; base++) {
      ASSERT_TRUE(ClearMatches(twins, kMargin + base, bytes));
      twins.Reset();
    }
  }
}

// The body's result is compared with memmove's here, since the ranges are long.
TEST_P(Memory, MovesRandomLongRangesThatMayOverlap) {
  std::mt19937_64 random(Seed());
  constexpr size_t kBytes = 20 * kMiB;
  Twins twins(kBytes + 64, 6);
  for (int i = 0; i < 60; i++) {
    const size_t bytes = random() % (size_t{1} << (11 + random() % 13));
    const size_t to = random() % (kBytes - bytes);
    const bool is_near = random() % 2 == 0;
    size_t from = random() % (kBytes - bytes);
    if (is_near) from = std::min(to + random() % (bytes / 4 + 100), kBytes - bytes);
    RunMove(twins.actual() + to, twins.actual() + from, bytes);
    std::memmove(twins.expected() + to, twins.expected() + from, bytes);
    const size_t base = to < 4096 ? 0 : to - 4096;
    ASSERT_TRUE(twins.AreEqual(base, std::min(kBytes, to + bytes + 4096))) << bytes << " from " << from << " to " << to;
  }
  EXPECT_TRUE(twins.AreEqual());
}

TEST_P(Memory, MovesAndClearsTheSizesAtWhichTheTechniqueChanges) {
  constexpr size_t kLargest = 33 * kMiB;
  GuardedMemory to(kLargest);
  GuardedMemory from(kLargest);
  FillPattern(from.base(), kLargest, 7);
  for (size_t edge : {32 * kKiB, 1 * kMiB, 4 * kMiB, 8 * kMiB, 16 * kMiB, 32 * kMiB}) {
    for (size_t misalignment : {0, 1, 24, 63}) {
      const size_t bytes = edge + 5 - misalignment % 11;
      Byte* const base = to.limit() - bytes - misalignment;
      RunMove(base, from.limit() - bytes, bytes);
      ASSERT_EQ(std::memcmp(base, from.limit() - bytes, bytes), 0) << bytes;
      RunClear(base, bytes);
      ASSERT_EQ(base[0], 0);
      ASSERT_EQ(std::memcmp(base, base + 1, bytes - 1), 0) << bytes;
    }
  }
}

// As above, the result is compared with memmove's.
TEST_P(Memory, MovesOverlappingRangesOfMegabytesInBothDirections) {
  constexpr size_t kBytes = 13 * kMiB;
  Twins twins(kBytes + kMiB + 64, 9);
  for (size_t distance : {8, 64, 4096, 300'001}) {
    RunMove(twins.actual() + distance, twins.actual(), kBytes);
    std::memmove(twins.expected() + distance, twins.expected(), kBytes);
    ASSERT_TRUE(twins.AreEqual()) << "up by " << distance;
    RunMove(twins.actual(), twins.actual() + distance, kBytes);
    std::memmove(twins.expected(), twins.expected() + distance, kBytes);
    ASSERT_TRUE(twins.AreEqual()) << "down by " << distance;
  }
}

TEST_P(Memory, TouchesNothingBeyondAGuardPage) {
  GuardedMemory to(64 * kKiB);
  GuardedMemory from(64 * kKiB);
  FillPattern(from.base(), from.bytes(), 8);
  for (size_t bytes = 0; bytes <= 2 * kAllSizes; bytes++) {
    RunMove(to.base(), from.limit() - bytes, bytes);
    ASSERT_EQ(std::memcmp(to.base(), from.limit() - bytes, bytes), 0) << bytes;
    RunMove(to.limit() - bytes, from.base(), bytes);
    ASSERT_EQ(std::memcmp(to.limit() - bytes, from.base(), bytes), 0) << bytes;
    RunClear(to.base(), bytes);
    RunClear(to.limit() - bytes, bytes);
  }
  for (size_t i = 0; i < 2 * kAllSizes; i++) {
    ASSERT_EQ(to.base()[i], 0);
    ASSERT_EQ(to.limit()[-1 - static_cast<ptrdiff_t>(i)], 0);
  }
}

TEST_P(Memory, NoBytesNeedNoAddress) {
  RunMove(nullptr, nullptr, 0);
  RunClear(nullptr, 0);
}

INSTANTIATE_TEST_SUITE_P(Bodies, Memory, testing::ValuesIn(BodiesAndDispatcher()), BodyName);

}  // namespace
}  // namespace acre::arch
