#pragma once

// A byte of state for each slot, by which every misuse of free is seen at the free itself.
//
// A live slot's byte is 0x80 | bits 4…10 of its address; a slot that is not live has 0 (never handed out since its span
// was made) or 1 (freed). free compares the byte with what the given address would have: one load and one comparison
// find a second free, a free of an address inside an object, and a free of memory that was never handed out. Plain loads
// and stores: two threads that free one slot at the same moment are seen with high probability, not with certainty.
//
// The byte of an address is found without the span: by `offset in the page >> shift`, where 2^shift is the power of two
// at or below the slot size (at most 1 KiB), so that two slots never share a byte; and bits 4…10 tell apart the
// 16-byte positions that do. Rows of bytes are packed: a page of 64-byte slots takes 128 bytes, one of 1 KiB slots 8.
// (Indexing by 16-byte granules instead would cost 512 bytes for every page, 6 % of the heap.)
//
// Rows of one shift lie side by side in the order in which pages came to need them: an area for each shift, so large
// that every page of the chunk could have a row in it.

#include <array>
#include <cstddef>
#include <cstdint>

#include "allocator/base/units.h"
#include "allocator/size/size_class.h"

namespace acre {

using SlotState = uint8_t;  // Read and written by RacyLoad and RacyStore.

inline constexpr uint8_t kNeverUsed = 0;
inline constexpr uint8_t kFreed = 1;

// The state of a live slot that begins at `address`; the other form takes the address divided by the slots' alignment.
constexpr uint8_t LiveStateOf(uintptr_t granule) { return static_cast<uint8_t>(0x80 | granule); }
constexpr uint8_t LiveState(uintptr_t address) { return LiveStateOf(address >> kSlotAlignmentShift); }

inline constexpr uint32_t kMinStateShift = 4;
inline constexpr uint32_t kMaxStateShift = 10;
inline constexpr uint32_t kStateShifts = kMaxStateShift - kMinStateShift + 1;

constexpr uint32_t StateRowBytes(uint32_t shift) { return static_cast<uint32_t>(kPageBytes >> shift); }

namespace state_internal {
constexpr std::array<uint32_t, kStateShifts + 1> MakeAreas() {
  std::array<uint32_t, kStateShifts + 1> areas{};
  for (uint32_t i = 0; i < kStateShifts; ++i) areas[i + 1] = areas[i] + kChunkPages * StateRowBytes(kMinStateShift + i);
  return areas;
}
}  // namespace state_internal

// Where the area of each shift begins among a chunk's states, and where the last one ends.
inline constexpr std::array<uint32_t, kStateShifts + 1> kStateAreas = state_internal::MakeAreas();
inline constexpr size_t kStateBytes = kStateAreas[kStateShifts];

// What malloc and free need of a page, in one word:
//
//   bits 0…7    the shift; a shift instruction takes its count from there
//   bits 8…15   the class's place in a table with 16 bytes for each class, in units of 8 bytes: a register times 8 can be
//               part of an address
//   bits 16…63  the bias, signed: address >> shift, plus the bias, is the address of the state
//
// Zero: the page holds no slots. State() must not be asked then: it would be the address itself.
class PageRef {
 public:
  constexpr PageRef() = default;
  // `row` is the address of the states of the page that begins at `page`.
  constexpr PageRef(SizeClass size_class, uint32_t shift, uintptr_t row, uintptr_t page)
      : bits_((row - (page >> shift)) << kBiasShift | (OffsetOf(size_class).bytes / kOffsetUnit) << 8 | shift) {}

  constexpr bool is_none() const { return bits_ == 0; }
  constexpr ClassOffset class_offset() const { return ClassOffset(static_cast<uint8_t>(bits_ >> 8) * kOffsetUnit); }
  constexpr SizeClass size_class() const { return class_offset().size_class(); }
  constexpr uint32_t shift() const { return static_cast<uint8_t>(bits_); }
  constexpr uintptr_t StateAddress(uintptr_t address) const {
    return (address >> (bits_ & 63)) + static_cast<uintptr_t>(static_cast<int64_t>(bits_) >> kBiasShift);
  }
  // Where the slot at `address`, in this page, has its state.
  SlotState& State(uintptr_t address) const { return *reinterpret_cast<SlotState*>(StateAddress(address)); }

 private:
  static constexpr uint32_t kBiasShift = 16;
  static constexpr uint32_t kOffsetUnit = 8;
  static_assert(OffsetOf(kSizeClassCount).bytes / kOffsetUnit <= 256);

  uint64_t bits_ = 0;
};

// Which rows of each area are taken; the lowest free one is handed out, so that few os pages are touched. Guarded by the
// page heap's lock.
class StateRows {
 public:
  // The offset of a row for one page among the chunk's states.
  uint32_t Allocate(uint32_t shift);
  void Free(uint32_t shift, size_t row_offset);

 private:
  uint64_t taken_[kStateShifts][kChunkPages / 64];
  uint32_t search_from_[kStateShifts];  // No free row lies below.
};

}  // namespace acre
