#pragma once

// The layout of a chunk: its records at its beginning, then its pages.
//
//   base                                     one word, from any address within the chunk by a mask
//   + page_refs     8 bytes a page           what malloc and free need: class, and where the page's slot states are
//   + descriptors   4 bytes a page           what marking needs: class, kind, the page's number in its span
//   + spans        32 bytes a page           span records, at the first page of each span
//   + alloc lines  64 bytes a page           a bit for each slot: handed out
//   + white lines  64 bytes a page           a bit for each slot: to be freed unless marking reaches it
//   + pending marks, old pages               a bit a page: see collect/mark_bits.h, and span_pool.h there
//   + states                                 a byte for each slot: see span/slot_state.h
//   + pages' bitmaps                         page/chunk_pages.h
//   kFirstPage                               the pages
//
// All of it is 10 MiB of address space, of which only the lines of pages in use are ever touched: about 3 % of the heap's
// memory with 64-byte slots, 8 % with 16-byte ones. It is flat, so that a word is resolved without reading a span record,
// and outside of the objects, so that an object that overflows reaches another object first.
//
// FindSlot answers for any 64-bit word whatever without faulting: the chunk table says whether a chunk is there.

#include <cstddef>
#include <cstdint>

#include "allocator/base/bits.h"
#include "allocator/base/units.h"
#include "allocator/page/chunk_pages.h"
#include "allocator/size/size_class.h"
#include "allocator/span/chunk_table.h"
#include "allocator/span/slot_state.h"
#include "allocator/span/span.h"

namespace acre {

// What marking knows of a page, in 4 bytes: class | kind << 8 | page's number in its span << 16. Zero: no span.
class PageDescriptor {
 public:
  constexpr PageDescriptor() = default;
  constexpr PageDescriptor(SizeClass size_class, Kind kind, uint32_t number)
      : bits_(size_class | static_cast<uint32_t>(kind) << 8 | number << 16) {}

  bool is_none() const { return bits_ == 0; }
  SizeClass size_class() const { return static_cast<SizeClass>(bits_); }
  Kind kind() const { return static_cast<Kind>(bits_ >> 8); }
  uint32_t number_in_span() const { return bits_ >> 16; }

 private:
  uint32_t bits_ = 0;
};

struct BitLine {
  alignas(64) uint64_t words[8];
};

struct Chunk {
  PageRef page_refs[kChunkPages];
  PageDescriptor descriptors[kChunkPages];
  Span spans[kChunkPages];
  BitLine alloc_lines[kChunkPages];
  BitLine white_lines[kChunkPages];
  StateRows state_rows;
  ChunkPages pages;
  uint64_t pending_marks[kChunkPages / kWordBits];
  bool is_watched;  // collect/heap_watch.h
  uint64_t old_pages[kChunkPages / kWordBits];  // Of spans that had live objects when a cycle swept them that keeps marks.
  alignas(4096) SlotState states[kStateBytes];

  uintptr_t base() const { return reinterpret_cast<uintptr_t>(this); }
  uintptr_t PageAddress(uint32_t page) const { return base() + (uintptr_t{page} << kPageShift); }
};

// The first page behind the records, at a multiple of 2 MiB so that huge pages fit.
inline constexpr uint32_t kFirstPage = static_cast<uint32_t>(PagesFor(AlignUp(sizeof(Chunk), 2 * kMiB)));
inline constexpr uint32_t kUsablePages = kChunkPages - kFirstPage;
// What of the records a collected heap touches for each page in use: 2 % of it.
inline constexpr size_t kRecordBytesPerPage = sizeof(PageRef) + sizeof(PageDescriptor) + sizeof(Span) + 2 * sizeof(BitLine);
static_assert(sizeof(Chunk) <= 10 * kMiB);

inline Chunk* ChunkOf(uintptr_t address) { return reinterpret_cast<Chunk*>(address & ~kChunkMask); }
inline Chunk* ChunkOf(const Span* span) { return ChunkOf(reinterpret_cast<uintptr_t>(span)); }
inline uint32_t PageOf(uintptr_t address) { return static_cast<uint32_t>((address & kChunkMask) >> kPageShift); }
inline uint32_t FirstPageOf(const Span* span) { return static_cast<uint32_t>(span - ChunkOf(span)->spans); }
inline uintptr_t BaseOf(const Span* span) { return ChunkOf(span)->PageAddress(FirstPageOf(span)); }
inline size_t BytesOf(const Span* span) { return size_t{span->pages} << kPageShift; }
inline uint64_t* AllocBitsOf(const Span* span) { return ChunkOf(span)->alloc_lines[FirstPageOf(span)].words; }
inline uint64_t* WhiteBitsOf(const Span* span) { return ChunkOf(span)->white_lines[FirstPageOf(span)].words; }

// The bits of the span's pages in old_pages. Whoever the span cannot be freed under.
inline bool IsOld(const Span* span) {
  const uint32_t first = FirstPageOf(span);
  return (__atomic_load_n(&ChunkOf(span)->old_pages[first / kWordBits], __ATOMIC_RELAXED) >> first % kWordBits & 1) != 0;
}
void SetOld(const Span* span, bool is_old);

// The span that a page of this chunk belongs to, or null.
inline Span* SpanOfPage(Chunk* chunk, uint32_t page) {
  const PageDescriptor descriptor = chunk->descriptors[page];
  return descriptor.is_none() ? nullptr : &chunk->spans[page - descriptor.number_in_span()];
}

inline PageRef PageRefOf(uintptr_t address) { return ChunkOf(address)->page_refs[PageOf(address)]; }

struct Slot {
  Span* span = nullptr;  // Null: the word points into no span.
  uint32_t index = 0;    // At or above span's slots: in the left-over bytes of the span.
  uintptr_t base = 0;
};

// What lies at `word`, which may be anything. Reads no memory but the chunk table and the records of live chunks. The
// result is stable only while the caller keeps spans from being freed.
inline Slot FindSlot(const ChunkTable& table, uintptr_t word) {
  if (!table.IsChunk(word)) return {};
  Chunk* chunk = ChunkOf(word);
  const uint32_t page = PageOf(word);
  Span* span = SpanOfPage(chunk, page);
  if (span == nullptr) return {};
  const uintptr_t base = BaseOf(span);
  if (span->size_class == kLargeClass) return {span, 0, base};
  const SizeClassInfo& info = kSizeClasses[span->size_class];
  const uint32_t index = SlotAt(info, static_cast<uint32_t>(word - base));
  return {span, index, base + uintptr_t{index} * info.slot_bytes};
}

// Makes the pages [first, first + pages), which are in use and belong to no span, a span; fills descriptors, state rows
// and allocation bits (all free). The page heap's lock is held.
Span* MakeSpan(Chunk* chunk, uint32_t first, uint32_t pages, SizeClass size_class, Kind kind);

// A large span's objects are of another kind from now on.
void ChangeKind(Span* span, Kind kind);

// The reverse: the pages then belong to no span.
void UnmakeSpan(Span* span);

// A large span takes over, or gives up, pages at its end: [old pages, new pages).
void ResizeLargeSpan(Span* span, uint32_t pages);

// S1–S3.
void CheckSpan(const Span* span);

}  // namespace acre
