// One word after the other: the reference for the wide body.

#include "arch/slots.h"

namespace acre::arch {

size_t FindSlotsPortable(const uint64_t* limit, size_t count, const SlotLayout& layout, uint64_t* objects,
                         const FoundBits& bits) {
  constexpr uint64_t kChunkMask = (uint64_t{1} << SlotLayout::kChunkShift) - 1;
  const SlotLayout copy = layout;  // Or they would be read again after each store.
  const FoundBits to = bits;
  size_t found = 0;
  for (size_t i = 0; i < count; ++i) {
    const uint64_t word = *--limit;
    const uint64_t chunk = word & ~kChunkMask;
    const uint64_t page = (word & kChunkMask) >> SlotLayout::kPageShift;
    const auto* descriptors = reinterpret_cast<const uint32_t*>(chunk + copy.descriptors);
    const uint64_t descriptor = __atomic_load_n(&descriptors[page], __ATOMIC_RELAXED);
    if (descriptor == 0) continue;
    const uint64_t first = page - (descriptor >> 16);
    const uint64_t base = chunk + (first << SlotLayout::kPageShift);
    const uint64_t arithmetic = copy.arithmetic[descriptor & 0xff];
    const uint64_t slot = ((word - base) * (arithmetic & 0xffff'ffff)) >> 32;
    objects[found] = (base + slot * (arithmetic >> 32)) | descriptor << 48;
    to.words[found] = chunk + copy.lines + (first << (SlotLayout::kLineBitsShift - 3)) + (slot / 64) * 8;
    to.masks[found] = uint64_t{1} << slot % 64;
    __builtin_prefetch(reinterpret_cast<const void*>(to.words[found]), 1);
    ++found;
  }
  return found;
}

}  // namespace acre::arch
