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
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "allocator/base/units.h"
#include "allocator/size/size_class.h"

namespace acre {

using SlotState = std::atomic<uint8_t>;

inline constexpr uint8_t kNeverUsed = 0;
inline constexpr uint8_t kFreed = 1;

// The state of a live slot that begins at `address`.
constexpr uint8_t LiveState(uintptr_t address) { return static_cast<uint8_t>(0x80 | ((address >> 4) & 0x7f)); }

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

// What malloc and free need of a page, in 4 bytes: shift (5 bits), class (7 bits), the row's offset / 8 (20 bits). The shift
// is lowest because a 32-bit shift instruction takes its count from there without masking; the row is highest and in
// units of 8 because an address can contain a register times 8. Zero: the page holds no slots.
class PageRef {
 public:
  constexpr PageRef() = default;
  constexpr PageRef(SizeClass size_class, uint32_t shift, uint32_t row_offset)
      : bits_(shift | static_cast<uint32_t>(size_class) << 5 | (row_offset / kRowUnit) << 12) {}

  constexpr bool is_none() const { return bits_ == 0; }
  constexpr SizeClass size_class() const { return (bits_ >> 5) & 0x7f; }
  constexpr uint32_t shift() const { return bits_ & 31; }
  constexpr size_t row_offset() const { return size_t{bits_ >> 12} * kRowUnit; }

 private:
  static constexpr uint32_t kRowUnit = 8;
  static_assert(kStateBytes / kRowUnit <= (1 << 20));
  static_assert(StateRowBytes(kMaxStateShift) % kRowUnit == 0);
  static_assert(kSizeClassCount <= 128);

  uint32_t bits_ = 0;
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
