#pragma once

// Size classes: which slot a request gets, and the arithmetic from an offset in a span to a slot.
//
// Two byte tables turn a size into its class (steps of 16 bytes up to 1 KiB, of 128 above). An offset in a span becomes a
// slot number by a multiplication with a 32-bit reciprocal instead of a division: exact for every offset in every span,
// as a test shows for all of them.

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "allocator/base/units.h"
#include "allocator/size/size_class_table.h"

namespace acre {

using SizeClass = uint8_t;

inline constexpr SizeClass kNoClass = 0;
inline constexpr SizeClass kLargeClass = 255;  // An object with a span of its own.
inline constexpr size_t kMaxSmallBytes = kSizeClassRows[kSizeClassCount - 1].slot_bytes;

struct SizeClassInfo {
  uint32_t slot_bytes;
  uint32_t reciprocal;  // ceil(2^32 / slot_bytes).
  uint16_t slots;       // In a span; at most 512, one 64-byte line of bits.
  uint8_t span_pages;
  uint8_t state_shift;  // Slot states: see span/slot_state.h.
};

namespace size_internal {

inline constexpr uint32_t kFineShift = 4;
inline constexpr uint32_t kCoarseShift = 7;
inline constexpr size_t kFineBytes = 1024;

constexpr std::array<SizeClassInfo, kSizeClassCount> MakeInfos() {
  std::array<SizeClassInfo, kSizeClassCount> infos{};
  for (uint32_t number = 1; number < kSizeClassCount; ++number) {
    const uint32_t bytes = kSizeClassRows[number].slot_bytes;
    const uint32_t pages = kSizeClassRows[number].span_pages;
    const uint32_t floor_log2 = static_cast<uint32_t>(std::bit_width(bytes)) - 1;
    infos[number] = {.slot_bytes = bytes,
                     .reciprocal = static_cast<uint32_t>(((uint64_t{1} << 32) + bytes - 1) / bytes),
                     .slots = static_cast<uint16_t>(pages * kPageBytes / bytes),
                     .span_pages = static_cast<uint8_t>(pages),
                     .state_shift = static_cast<uint8_t>(floor_log2 < 10 ? floor_log2 : 10)};
  }
  return infos;
}

template <size_t kEntries>
constexpr std::array<SizeClass, kEntries> MakeIndex(uint32_t shift) {
  std::array<SizeClass, kEntries> index{};
  SizeClass number = 1;
  for (size_t i = 0; i < kEntries; ++i) {
    while (kSizeClassRows[number].slot_bytes < (i << shift)) ++number;
    index[i] = number;
  }
  return index;
}

alignas(64) inline constexpr auto kFineIndex = MakeIndex<(kFineBytes >> kFineShift) + 1>(kFineShift);
alignas(64) inline constexpr auto kCoarseIndex = MakeIndex<(kMaxSmallBytes >> kCoarseShift) + 1>(kCoarseShift);

}  // namespace size_internal

alignas(64) inline constexpr std::array<SizeClassInfo, kSizeClassCount> kSizeClasses = size_internal::MakeInfos();

// Sizes for which ClassForSize is one table look-up.
inline constexpr size_t kMaxFineBytes = size_internal::kFineBytes;

constexpr SizeClass ClassForFineSize(size_t bytes) { return size_internal::kFineIndex[(bytes + 15) >> 4]; }

// The smallest class whose slots hold `bytes`, which is at most kMaxSmallBytes. Zero bytes take the first class.
constexpr SizeClass ClassForSize(size_t bytes) {
  using namespace size_internal;
  if (bytes <= kFineBytes) [[likely]] return ClassForFineSize(bytes);
  return kCoarseIndex[(bytes + 127) >> kCoarseShift];
}

// The slot in which an offset from the start of a span lies.
constexpr uint32_t SlotAt(const SizeClassInfo& info, uint32_t offset) {
  return static_cast<uint32_t>((uint64_t{offset} * info.reciprocal) >> 32);
}

// The smallest class whose every slot is aligned to `alignment` (a power of two up to the page), or kNoClass.
constexpr SizeClass ClassForAlignedSize(size_t bytes, size_t alignment) {
  if (bytes > kMaxSmallBytes || alignment > kPageBytes) return kNoClass;
  for (SizeClass number = ClassForSize(bytes); number < kSizeClassCount; ++number) {
    if (kSizeClassRows[number].slot_bytes % alignment == 0) return number;
  }
  return kNoClass;
}

}  // namespace acre
