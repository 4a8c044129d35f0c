#include "arch/vector_hold.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "arch/vector_state.h"

namespace acre::arch {
namespace {

TEST(VectorHold, CopiesExactlyItsBytes) {
  const CpuFeatures cpu = DetectCpuFeatures();
  for (const VectorHold& hold : VectorHolds()) {
    ASSERT_LE(hold.bytes(), kMostHeldBytes);
    if (!hold.runs_on(cpu)) continue;
    constexpr size_t kMargin = 64;
    std::vector<uint8_t> from(hold.bytes() + 1);
    for (size_t i = 0; i < from.size(); ++i) from[i] = static_cast<uint8_t>(i * 7 + i / 251 + 1);
    std::vector<uint8_t> to(hold.bytes() + 2 * kMargin, 0xee);
    for (const uint64_t spins : {1, 1000}) {
      hold.copy(to.data() + kMargin, from.data() + 1, spins);
      for (size_t i = 0; i < to.size(); ++i) {
        const bool is_copied = i >= kMargin && i < kMargin + hold.bytes();
        ASSERT_EQ(to[i], is_copied ? from[i - kMargin + 1] : 0xee) << hold.registers << " byte " << i;
      }
    }
  }
}

TEST(VectorState, HoldsAtLeastTheRegistersThatTheCpuHas) {
  const CpuFeatures cpu = DetectCpuFeatures();
  for (const VectorHold& hold : VectorHolds()) {
    if (!hold.runs_on(cpu)) continue;
    EXPECT_GE(SavedVectorStateBytes(), hold.bytes()) << hold.registers;
  }
  EXPECT_LT(SavedVectorStateBytes(), size_t{64} * 1024);
}

}  // namespace
}  // namespace acre::arch
