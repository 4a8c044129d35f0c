#pragma once

// From words to the slots that they point into, several words at a time.
//
// What is known here of a heap: it lies in chunks, whose records begin each of them and say for each page of the chunk
// what its slots are. A page's descriptor has 32 bits: a code of 16 bits that goes into the upper half of an object's word
// (see arch/scan.h), whose lower byte is a size code, and above it the page's number in its span. A line of 512 bits a
// page has a bit for each slot of a span that begins there.
//
// Any thread; no allocation, no failure. A descriptor that changes meanwhile is seen as it was or as it is.

#include <cstddef>
#include <cstdint>

namespace acre::arch {

struct SlotLayout {
  static constexpr uint32_t kChunkShift = 26;
  static constexpr uint32_t kPageShift = 13;
  static constexpr uint32_t kLineBitsShift = 9;

  size_t descriptors = 0;   // From a chunk's base, in bytes: the descriptors of its pages.
  size_t lines = 0;         // The same for the lines.
  const uint64_t* arithmetic = nullptr;  // By size code: the reciprocal of a slot's bytes, and above it the bytes.
};

// For words [limit - count, limit), from the last to the first, of which each lies in some chunk: the slot as an object's
// word in objects[i], and its bit in a line: the address of the word it is in, and a word with nothing but this bit. Words
// on pages without a span (whose descriptor is 0) are left out. The lines are prefetched. Returns how many slots there
// are; up to kFindSlack words of rubbish may be behind them.
struct FoundBits {
  uint64_t* words;
  uint64_t* masks;
};
using FindSlotsFunction = size_t(const uint64_t* limit, size_t count, const SlotLayout& layout, uint64_t* objects,
                                 const FoundBits& bits);
inline constexpr size_t kFindSlack = 4;

FindSlotsFunction FindSlotsPortable;

}  // namespace acre::arch
