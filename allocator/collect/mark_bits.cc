#include "allocator/collect/mark_bits.h"

#include "os/check.h"

namespace acre {

MarkCount CountMarks(const ChunkTable& table) {
  MarkCount count;
  ForEachSpan(table, [&](const Span* span) {
    uint64_t marked[kLineWords];
    for (uint32_t word = 0; word < kLineWords; ++word) marked[word] = MarkedWordOf(span, word);
    const size_t objects = CountOnes(marked, kLineWords);
    const size_t bytes = span->size_class == kLargeClass ? BytesOf(span) : kSizeClasses[span->size_class].slot_bytes;
    count.objects += objects;
    count.bytes += objects * bytes;
  });
  return count;
}

// Others write what is read here. Every word of it is good for something.
[[gnu::no_sanitize_thread]] MarkCount EstimateSmallMarks(const ChunkTable& table) {
  MarkCount count;
  for (uintptr_t base = table.base(); base < table.limit(); base += kChunkBytes) {
    if (!table.IsChunk(base)) continue;
    const auto* chunk = reinterpret_cast<const Chunk*>(base);
    for (uint32_t page = kFirstPage; page < kChunkPages; ++page) {
      const PageDescriptor descriptor = chunk->descriptors[page];
      if (descriptor.is_none() || descriptor.number_in_span() != 0 || descriptor.size_class() == kLargeClass) continue;
      uint64_t marked[kLineWords];
      for (uint32_t word = 0; word < kLineWords; ++word) {
        marked[word] = chunk->alloc_lines[page].words[word] & ~chunk->white_lines[page].words[word];
      }
      const size_t objects = CountOnes(marked, kLineWords);
      count.objects += objects;
      count.bytes += objects * kSizeClasses[descriptor.size_class()].slot_bytes;
    }
  }
  return count;
}

void ClearMarks(const ChunkTable& table) {
  ForEachSpan(table, [](const Span* span) {
    Chunk* chunk = ChunkOf(span);
    chunk->white_lines[FirstPageOf(span)] = chunk->alloc_lines[FirstPageOf(span)];
  });
}

void CheckMarks(const ChunkTable& table) {
  ForEachSpan(table, [](const Span* span) {
    for (uint32_t word = 0; word < kLineWords; ++word) {
      CHECK((WhiteBitsOf(span)[word] & ~AllocBitsOf(span)[word]) == 0);  // M1
    }
    const uint32_t first = FirstPageOf(span);
    CHECK(!TestBit(ChunkOf(span)->pending_marks, first));  // M2
  });
}

}  // namespace acre
