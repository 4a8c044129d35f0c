#include "allocator/span/chunk.h"

#include <bit>
#include <cstring>

#include "allocator/base/racy.h"
#include "os/check.h"

namespace acre {

uint32_t StateRows::Allocate(uint32_t shift) {
  const uint32_t area = shift - kMinStateShift;
  const uint32_t row = FindZero(search_from_[area], kChunkPages, [&](uint32_t index) { return taken_[area][index]; });
  ASSERT(row < kChunkPages);
  SetBits(taken_[area], row, 1);
  search_from_[area] = row + 1;
  return kStateAreas[area] + row * StateRowBytes(shift);
}

void StateRows::Free(uint32_t shift, size_t row_offset) {
  const uint32_t area = shift - kMinStateShift;
  const uint32_t row = (static_cast<uint32_t>(row_offset) - kStateAreas[area]) / StateRowBytes(shift);
  ASSERT(TestBit(taken_[area], row));
  ClearBits(taken_[area], row, 1);
  if (row < search_from_[area]) search_from_[area] = row;
}

namespace {

void SetDescriptor(Chunk* chunk, uint32_t page, PageDescriptor descriptor) {
  __atomic_store_n(reinterpret_cast<uint32_t*>(&chunk->descriptors[page]), std::bit_cast<uint32_t>(descriptor), __ATOMIC_RELEASE);
}

void Label(Chunk* chunk, uint32_t first, uint32_t pages, SizeClass size_class, Kind kind) {
  for (uint32_t number = 0; number < pages; ++number) {
    SetDescriptor(chunk, first + number, PageDescriptor(size_class, kind, number));
  }
}

}  // namespace

// Neighbours of the word are other pools'.
void SetOld(const Span* span, bool is_old) {
  uint64_t* words = ChunkOf(span)->old_pages;
  ForEachWord(FirstPageOf(span), span->pages, [=](uint32_t word, uint64_t mask) {
    if (is_old) {
      __atomic_fetch_or(&words[word], mask, __ATOMIC_RELAXED);
    } else {
      __atomic_fetch_and(&words[word], ~mask, __ATOMIC_RELAXED);
    }
  });
}

void ChangeKind(Span* span, Kind kind) {
  span->kind = kind;
  Label(ChunkOf(span), FirstPageOf(span), span->pages, span->size_class, kind);
}

Span* MakeSpan(Chunk* chunk, uint32_t first, uint32_t pages, SizeClass size_class, Kind kind) {
  Span* span = &chunk->spans[first];
  span->next = nullptr;
  span->previous = nullptr;
  RacyStore(span->pages, pages);
  span->free_slots = 0;
  span->size_class = size_class;
  span->kind = kind;
  span->bucket = 0;
  span->is_zeroed = false;
  // A large span has one object, as marking looks for it. A marker may look as soon as the pages have descriptors.
  uint64_t* const alloc_words = chunk->alloc_lines[first].words;
  RacyStore(alloc_words[0], uint64_t{size_class == kLargeClass});
  for (size_t word = 1; word < sizeof(BitLine) / sizeof(uint64_t); ++word) RacyStore(alloc_words[word], uint64_t{0});
  Label(chunk, first, pages, size_class, kind);
  if (size_class == kLargeClass) return span;
  const SizeClassInfo& info = kSizeClasses[size_class];
  span->free_slots = info.slots;
  if (kind != kNoPointers) return span;
  for (uint32_t page = first; page < first + pages; ++page) {
    const uint32_t row = chunk->state_rows.Allocate(info.state_shift);
    std::memset(static_cast<void*>(&chunk->states[row]), kNeverUsed, StateRowBytes(info.state_shift));
    chunk->page_refs[page] = PageRef(size_class, info.state_shift, reinterpret_cast<uintptr_t>(&chunk->states[row]),
                                     chunk->PageAddress(page));
  }
  return span;
}

void UnmakeSpan(Span* span) {
  Chunk* chunk = ChunkOf(span);
  const uint32_t first = FirstPageOf(span);
  if (IsOld(span)) SetOld(span, false);
  for (uint32_t page = first; page < first + span->pages; ++page) {
    SetDescriptor(chunk, page, PageDescriptor());
    const PageRef ref = chunk->page_refs[page];
    if (ref.is_none()) continue;
    const uintptr_t row = ref.StateAddress(chunk->PageAddress(page));
    chunk->state_rows.Free(ref.shift(), row - reinterpret_cast<uintptr_t>(chunk->states));
    chunk->page_refs[page] = PageRef();
  }
  span->size_class = kNoClass;
}

void ResizeLargeSpan(Span* span, uint32_t pages) {
  Chunk* chunk = ChunkOf(span);
  const uint32_t first = FirstPageOf(span);
  ASSERT(span->size_class == kLargeClass);
  for (uint32_t number = span->pages; number < pages; ++number) {
    SetDescriptor(chunk, first + number, PageDescriptor(kLargeClass, span->kind, number));
  }
  for (uint32_t number = pages; number < span->pages; ++number) SetDescriptor(chunk, first + number, PageDescriptor());
  span->pages = pages;
}

void CheckSpan(const Span* span) {
  Chunk* chunk = ChunkOf(span);
  const uint32_t first = FirstPageOf(span);
  CHECK(span->pages > 0);
  CHECK(span->size_class != kNoClass);
  const bool is_large = span->size_class == kLargeClass;
  if (!is_large) {
    const SizeClassInfo& info = kSizeClasses[span->size_class];
    CHECK(span->pages == info.span_pages);
    CHECK(CountBits(AllocBitsOf(span), 0, info.slots) + span->free_slots == info.slots);  // S1
  }
  for (uint32_t page = first; page < first + span->pages; ++page) {
    CHECK(SpanOfPage(chunk, page) == span);                                               // S2
    const PageRef ref = chunk->page_refs[page];
    CHECK(ref.is_none() == (is_large || span->kind != kNoPointers));                      // S3
    CHECK(ref.is_none() || ref.size_class() == span->size_class);
  }
}

}  // namespace acre
