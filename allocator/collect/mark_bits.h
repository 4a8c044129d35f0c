#pragma once

// White bits: what marking has not reached. Between cycles all that is allocated is white, marking takes the bit of each
// object that it reaches, and what is left is swept; sweeping makes white again what has lived.
//
//   M1. A white bit is set only where the allocation bit is set: white is a subset of alloc.
//   M2. A page with a pending bit is the first of its span; some marked objects of the span were not scanned.
//   M3. Between cycles, all that is allocated in a swept span is white. While marking, what is allocated is not at first.
//       (Spans of kNoPointers have no white bits: a heap that collects has none.)
//
// So one bit says both that an object is there and that it was not marked: a word that means a free slot, or a slot that
// was never allocated, or a page without a span finds no white bit, and the allocation bits are not read while marking. On
// a random graph that is one miss less an object (docs/marking.md). What is allocated while marking goes on is black,
// unless who marks makes it white.
//
// While one thread marks, bits are taken by plain stores: a locked instruction costs 4 ns an object (-24 % on a random
// graph, -36 % on lists). Two threads take them atomically.

#include <bit>
#include <cstddef>
#include <cstdint>

#include "allocator/base/bits.h"
#include "allocator/collect/resolve.h"
#include "allocator/collect/slot_set.h"
#include "allocator/span/chunk.h"

namespace acre {

// How objects are allocated: while marking they are marked by themselves.
enum class Birth : bool { kWhite, kMarked };

// What a cycle marks and sweeps: everything, or what was allocated since the last one.
enum class Extent : bool { kFull, kMinor };

enum class Markers : uint8_t { kOne, kSeveral, kOneWatched };  // The last tells MarkContext::watch of what it marks.

// Marks. True if the object is allocated and was not marked before.
template <Markers kMarkers>
[[gnu::always_inline]] inline bool SetMark(uint64_t* white_word, uint64_t white_mask) {
  const uint64_t bits = __atomic_load_n(white_word, __ATOMIC_RELAXED);
  const uint64_t fresh = bits & white_mask;
  if constexpr (kMarkers != Markers::kSeveral) {
    __atomic_store_n(white_word, bits ^ fresh, __ATOMIC_RELAXED);
    return fresh != 0;
  } else {
    if (fresh == 0) return false;
    // Relaxed: an object's contents are published by whatever made it reachable, not by its mark.
    return (__atomic_fetch_and(white_word, ~white_mask, __ATOMIC_RELAXED) & white_mask) != 0;
  }
}
template <Markers kMarkers>
[[gnu::always_inline]] inline bool SetMark(const Resolved& resolved) {
  return SetMark<kMarkers>(resolved.white_word, resolved.white_mask);
}

// The same by the bit's place, over a branch that is foreseen where most objects are fresh.
template <Markers kMarkers>
[[gnu::always_inline]] inline bool SetMarkAt(uint64_t* white_word, uint64_t place) {
  const uint64_t bits = __atomic_load_n(white_word, __ATOMIC_RELAXED);
  if ((bits >> place % kWordBits & 1) == 0) return false;
  const uint64_t mask = uint64_t{1} << place % kWordBits;
  if constexpr (kMarkers == Markers::kSeveral) {
    return (__atomic_fetch_and(white_word, ~mask, __ATOMIC_RELAXED) & mask) != 0;
  }
  __atomic_store_n(white_word, bits ^ mask, __ATOMIC_RELAXED);
  return true;
}

// Whether the object is allocated and not white.
inline bool IsMarked(const Resolved& resolved) {
  const uint64_t white = __atomic_load_n(resolved.white_word, __ATOMIC_RELAXED);
  return (__atomic_load_n(AllocWordOf(resolved.white_word), __ATOMIC_RELAXED) & ~white & resolved.white_mask) != 0;
}

// Notes that the object, which is marked, was not scanned for want of memory.
inline void SetPending(Grey grey) {
  Chunk* chunk = ChunkOf(ObjectOf(grey));
  const uint32_t page = PageOf(ObjectOf(grey));
  const uint32_t first = page - chunk->descriptors[page].number_in_span();
  __atomic_fetch_or(&chunk->pending_marks[first / kWordBits], uint64_t{1} << first % kWordBits, __ATOMIC_RELAXED);
}

// Calls visit(span) for each span of the heap. No span is made or freed meanwhile.
template <class Visit>
void ForEachSpan(const ChunkTable& table, Visit visit) {
  table.ForEach([&](uintptr_t base, ChunkUse use) {
    if (use != ChunkUse::kPages) return;
    auto* chunk = reinterpret_cast<Chunk*>(base);
    for (uint32_t page = kFirstPage; page < chunk->pages.limit();) {
      Span* span = SpanOfPage(chunk, page);
      if (span != nullptr) visit(span);
      page += span == nullptr ? 1 : span->pages;
    }
  });
}

inline uint64_t MarkedWordOf(const Span* span, uint32_t word) {
  const uint64_t white = __atomic_load_n(&WhiteBitsOf(span)[word], __ATOMIC_RELAXED);
  return __atomic_load_n(&AllocBitsOf(span)[word], __ATOMIC_RELAXED) & ~white;
}

// Calls visit(grey) for each marked object of the span.
template <class Visit>
void ForEachMarked(const Span* span, Visit visit) {
  const uint32_t first = FirstPageOf(span);
  const PageDescriptor descriptor = ChunkOf(span)->descriptors[first];
  const size_t slot_bytes = span->size_class == kLargeClass ? 0 : kSizeClasses[span->size_class].slot_bytes;
  for (uint32_t word = 0; word < kLineWords; ++word) {
    uint64_t bits = MarkedWordOf(span, word);
    for (; bits != 0; bits &= bits - 1) {
      const uint32_t slot = word * kWordBits + static_cast<uint32_t>(std::countr_zero(bits));
      visit(MakeGrey(BaseOf(span) + slot * slot_bytes, descriptor));
    }
  }
}

// What is marked.
struct MarkCount {
  size_t objects = 0;
  size_t bytes = 0;  // Of their slots, or whole pages.
};
MarkCount CountMarks(const ChunkTable& table);

// The same while mutators allocate, without large objects: about right. What they have taken to allocate from counts.
MarkCount EstimateSmallMarks(const ChunkTable& table);

// All that is allocated is white, whatever was marked.
void ClearMarks(const ChunkTable& table);

// M1, and that nothing is pending: as it must be after marking.
void CheckMarks(const ChunkTable& table);

}  // namespace acre
