#pragma once

// Some slots of one span, as a line of bits like its allocation bits: what a mutator takes at once.
//
// No state: any thread.

#include <cstddef>
#include <cstdint>

#include "allocator/base/bits.h"
#include "allocator/span/chunk.h"

namespace acre {

inline constexpr uint32_t kLineWords = sizeof(BitLine) / sizeof(uint64_t);

struct SlotSet {
  Span* span = nullptr;
  uint64_t bits[kLineWords] = {};

  bool is_empty() const { return count() == 0; }
  uint32_t count() const { return CountOnes(bits, kLineWords); }
};

// Calls visit(alloc_word, white_word, mask) for each word of the span's lines that the slots have bits in.
template <class Visit>
void ForEachSlotWord(const SlotSet& slots, Visit visit) {
  for (uint32_t word = 0; word < kLineWords; ++word) {
    if (slots.bits[word] != 0) visit(&AllocBitsOf(slots.span)[word], &WhiteBitsOf(slots.span)[word], slots.bits[word]);
  }
}

}  // namespace acre
