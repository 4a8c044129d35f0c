#pragma once

// Size classes: which slot a request gets, and the arithmetic from an offset in a span to a slot.
//
// A table with an entry for each 16 bytes turns a size into its class. Its entries are scaled: what malloc wants is not the
// class but its place in a table with 16 bytes for each class. An offset in a span becomes a slot number by a
// multiplication with a 32-bit reciprocal instead of a division: exact for every offset in every span, as a test shows for
// all of them.

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

inline constexpr uint32_t kIndexShift = 4;
inline constexpr uint32_t kScale = 16;

constexpr auto MakeIndex() {
  std::array<uint16_t, (kMaxSmallBytes >> kIndexShift) + 1> index{};
  uint32_t number = 1;
  for (size_t i = 0; i < index.size(); ++i) {
    while (kSizeClassRows[number].slot_bytes < (i << kIndexShift)) ++number;
    index[i] = static_cast<uint16_t>(number * kScale);
  }
  return index;
}

alignas(64) inline constexpr auto kIndex = MakeIndex();

}  // namespace size_internal

alignas(64) inline constexpr std::array<SizeClassInfo, kSizeClassCount> kSizeClasses = size_internal::MakeInfos();

// The place of a class in a table with 16 bytes for each class.
struct ClassOffset {
  uint32_t bytes;

  constexpr explicit ClassOffset(uint32_t offset) : bytes(offset) {}
  constexpr SizeClass size_class() const { return static_cast<SizeClass>(bytes / size_internal::kScale); }
};
constexpr ClassOffset OffsetOf(SizeClass size_class) { return ClassOffset(size_class * size_internal::kScale); }

// The smallest class whose slots hold `bytes`, which is at most kMaxSmallBytes. Zero bytes take the first class.
constexpr ClassOffset ClassOffsetForSize(size_t bytes) {
  return ClassOffset(size_internal::kIndex[(bytes + 15) >> size_internal::kIndexShift]);
}
constexpr SizeClass ClassForSize(size_t bytes) { return ClassOffsetForSize(bytes).size_class(); }

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
