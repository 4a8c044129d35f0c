#include "allocator/span/slot_state.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>

#include "allocator/span/chunk.h"

namespace acre {
namespace {

TEST(SlotState, LiveStateIsNeverTheStateOfAFreeSlot) {
  for (uintptr_t address = 0; address < 16 * kKiB; address += kSlotAlignment) {
    ASSERT_NE(LiveState(address), kNeverUsed);
    ASSERT_NE(LiveState(address), kFreed);
  }
}

TEST(SlotState, PositionsThatShareAByteHaveDifferentLiveStates) {
  for (uint32_t shift = kMinStateShift; shift <= kMaxStateShift; ++shift) {
    std::set<uint8_t> states;
    for (uintptr_t offset = 0; offset < (uintptr_t{1} << shift); offset += kSlotAlignment) {
      EXPECT_TRUE(states.insert(LiveState(offset)).second) << "shift " << shift << " offset " << offset;
    }
  }
}

TEST(SlotState, NoPositionInASpanButASlotsStartMatchesALiveSlot) {
  // For all slots of a span live: which addresses would free take?
  for (uint32_t number = 1; number < kSizeClassCount; ++number) {
    const SizeClassInfo& info = kSizeClasses[number];
    const uint32_t span_bytes = static_cast<uint32_t>(info.span_pages * kPageBytes);
    std::vector<uint8_t> states(span_bytes >> info.state_shift, kNeverUsed);
    for (uint32_t slot = 0; slot < info.slots; ++slot) {
      const uint32_t offset = slot * info.slot_bytes;
      states[offset >> info.state_shift] = LiveState(offset);
    }
    for (uint32_t offset = 0; offset < span_bytes; offset += kSlotAlignment) {
      const bool is_taken = states[offset >> info.state_shift] == LiveState(offset);
      const bool is_slot = offset % info.slot_bytes == 0 && offset / info.slot_bytes < info.slots;
      ASSERT_EQ(is_taken, is_slot) << "slots of " << info.slot_bytes << ", offset " << offset;
    }
  }
}

TEST(PageRef, AllPartsComeBackAsTheyWentIn) {
  // Chunks at the lowest and the highest address a process can have, and where heaps usually are.
  const uintptr_t chunks[] = {kChunkBytes, uintptr_t{0x00c0} << 32, (uintptr_t{1} << kAddressBits) - kChunkBytes};
  for (uint32_t number = 1; number < kSizeClassCount; ++number) {
    const uint32_t shift = kSizeClasses[number].state_shift;
    for (uintptr_t chunk : chunks) {
      for (uint32_t index = 0; index < kChunkPages; index += index < 70 ? 1 : 67) {
        const uintptr_t row = chunk + offsetof(Chunk, states) + kStateAreas[shift - kMinStateShift] + index * StateRowBytes(shift);
        const uintptr_t page = chunk + (uintptr_t{kChunkPages - 1 - index} << kPageShift);
        const PageRef ref(static_cast<SizeClass>(number), shift, row, page);
        ASSERT_EQ(ref.size_class(), number);
        ASSERT_EQ(ref.class_offset().bytes, OffsetOf(static_cast<SizeClass>(number)).bytes);
        ASSERT_EQ(ref.shift(), shift);
        ASSERT_FALSE(ref.is_none());
        for (uint32_t offset = 0; offset < kPageBytes; offset += kSlotAlignment) {
          ASSERT_EQ(ref.StateAddress(page + offset), row + (offset >> shift));
        }
      }
    }
  }
  EXPECT_TRUE(PageRef().is_none());
  EXPECT_EQ(PageRef().size_class(), kNoClass);
}

TEST(StateAreas, LieSideBySideWithARowForEveryPage) {
  EXPECT_EQ(kStateAreas[0], 0u);
  for (uint32_t shift = kMinStateShift; shift <= kMaxStateShift; ++shift) {
    const uint32_t area = shift - kMinStateShift;
    EXPECT_EQ(kStateAreas[area + 1] - kStateAreas[area], kChunkPages * (kPageBytes >> shift));
  }
  EXPECT_EQ(kStateBytes, kStateAreas[kStateShifts]);
}

TEST(StateRows, AreDenseAndTheLowestFreeOneComesFirst) {
  const auto rows = std::make_unique<StateRows>();
  for (uint32_t shift = kMinStateShift; shift <= kMaxStateShift; ++shift) {
    const uint32_t area = kStateAreas[shift - kMinStateShift];
    const uint32_t step = StateRowBytes(shift);
    for (uint32_t row = 0; row < 200; ++row) ASSERT_EQ(rows->Allocate(shift), area + row * step);
    rows->Free(shift, area + 150 * step);
    rows->Free(shift, area + 7 * step);
    EXPECT_EQ(rows->Allocate(shift), area + 7 * step);
    EXPECT_EQ(rows->Allocate(shift), area + 150 * step);
    EXPECT_EQ(rows->Allocate(shift), area + 200 * step);
  }
}

TEST(StateRows, EveryPageOfAChunkCanHaveOneOfEachShift) {
  const auto rows = std::make_unique<StateRows>();
  for (uint32_t shift = kMinStateShift; shift <= kMaxStateShift; ++shift) {
    const uint32_t area = kStateAreas[shift - kMinStateShift];
    uint32_t last = 0;
    for (uint32_t row = 0; row < kChunkPages; ++row) last = rows->Allocate(shift);
    EXPECT_EQ(last + StateRowBytes(shift), area + kChunkPages * StateRowBytes(shift));
  }
}

}  // namespace
}  // namespace acre
