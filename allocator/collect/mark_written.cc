// Marked objects whose memory was written after they were scanned: they are scanned again.

#include <bit>

#include "allocator/base/bits.h"
#include "allocator/collect/mark_worker.h"

namespace acre {

constexpr size_t kMostWordsAtOnce = 8 * kKiB;

// All marked objects that overlap [base, limit), which lies in one chunk of pages; of larger ones only that part, if they have
// no trace function.
template <Markers kMarkers>
void MarkWorker::ScanWritten(uintptr_t base, uintptr_t limit) {
  auto* chunk = reinterpret_cast<Chunk*>(base & ~kChunkMask);
  for (uint32_t page = PageOf(base); page <= PageOf(limit - 1); ++page) {
    const uint32_t bits = __atomic_load_n(reinterpret_cast<const uint32_t*>(&chunk->descriptors[page]), __ATOMIC_ACQUIRE);
    const auto descriptor = std::bit_cast<PageDescriptor>(bits);
    if (bits == 0 || FormOf(descriptor.kind()) == TraceForm::kNone) continue;
    const uint32_t first_page = page - descriptor.number_in_span();
    const uintptr_t span_base = chunk->PageAddress(first_page);
    const uintptr_t page_base = chunk->PageAddress(page);
    const uintptr_t from = base < page_base ? page_base : base;
    const uintptr_t to = limit < page_base + kPageBytes ? limit : page_base + kPageBytes;
    const uint64_t* white = chunk->white_lines[first_page].words;
    const uint64_t* alloc = chunk->alloc_lines[first_page].words;
    const auto marked_word = [&](uint32_t word) {
      return __atomic_load_n(&alloc[word], __ATOMIC_ACQUIRE) & ~__atomic_load_n(&white[word], __ATOMIC_RELAXED);
    };
    if (descriptor.size_class() == kLargeClass) {
      if ((marked_word(0) & 1) == 0) continue;
      const Grey grey = MakeGrey(span_base, descriptor);
      if (FormOf(descriptor.kind()) != TraceForm::kFunction) {
        ScanWrittenPart({.object = span_base, .object_bytes = 0, .kind = descriptor.kind(), .base = from, .limit = to});
      } else if (stack_.top() == stack_.base() || stack_.top()[-1] != grey) {
        // Nobody knows which pointers the part holds. Once for all its pages, which come one after the other.
        if (!stack_.Reserve(1)) (void)Drain<kMarkers>(SIZE_MAX);
        *stack_.top() = grey;
        stack_.set_top(stack_.top() + 1);
      }
      continue;
    }
    const SizeClassInfo& info = kSizeClasses[descriptor.size_class()];
    if (!stack_.Reserve(sizeof(BitLine) * 8)) (void)Drain<kMarkers>(SIZE_MAX);
    const uint32_t first = SlotAt(info, static_cast<uint32_t>(from - span_base));
    const uint32_t last = SlotAt(info, static_cast<uint32_t>(to - 1 - span_base));  // May be left-over bytes: never marked.
    for (uint32_t word = first / kWordBits; word <= last / kWordBits && word < kLineWords; ++word) {
      const uint32_t low = word == first / kWordBits ? first % kWordBits : 0;
      const uint32_t high = word == last / kWordBits ? last % kWordBits : kWordBits - 1;
      uint64_t slots = marked_word(word) & WordMask(low, high - low + 1);
      written_objects_ += static_cast<size_t>(std::popcount(slots));
      for (; slots != 0; slots &= slots - 1) {
        const uint32_t slot = word * kWordBits + static_cast<uint32_t>(std::countr_zero(slots));
        *stack_.top() = MakeGrey(span_base + uintptr_t{slot} * info.slot_bytes, descriptor);
        stack_.set_top(stack_.top() + 1);
      }
    }
  }
}

// A range of its own, or all of it at once if there is a trace function.
void MarkWorker::ScanWrittenPart(const WrittenPart& part) {
  if (FormOf(part.kind) == TraceForm::kFunction) {
    heap_low = context_.filter.low;
    heap_bytes = context_.filter.bytes;
    const bool is_traced = context_.kinds.Trace(part.kind, part.object, part.object_bytes, *this);
    MarkPendingCandidates();
    if (!is_traced) AddRange(part.base, part.limit, kConservative);
    return;
  }
  const uint32_t period = context_.kinds.PeriodWords(part.kind);
  const size_t first = (part.base - part.object) / sizeof(uint64_t);
  const GreyRange range = {.base = part.base,
                           .words = static_cast<uint32_t>((part.limit - part.base) / sizeof(uint64_t)),
                           .phase = static_cast<uint32_t>(first % period) & kMaxBitmapWords,
                           .kind = part.kind};
  if (range.words > kMostWordsAtOnce) return PushRange(range);
  // A page of a table: most of what it points to is marked, and in pieces it would take as many rounds of a stop's budget.
  heap_low = context_.filter.low;
  heap_bytes = context_.filter.bytes;
  ScanPieces(range);
  MarkPendingCandidates();
}

template void MarkWorker::ScanWritten<Markers::kOne>(uintptr_t, uintptr_t);

}  // namespace acre
