// From candidates to grey objects: steps 3 and 4 of a round. See mark_worker.h.

#include "allocator/collect/mark_worker.h"

namespace acre {

void MarkWorker::MarkHuge(uintptr_t word) {
  const HugeObjects& huge = context_.options.huge_objects;
  if (huge.mark == nullptr || !huge.mark(huge.context, word)) return;
  context_.has_huge.store(true, std::memory_order_relaxed);
}

// Most batches are: this takes nine instructions a word, and picking out those that are fifteen.
bool MarkWorker::AreAllInPages(const uint64_t* base, const uint64_t* limit) const {
  uint32_t differing = 0;
  for (; base != limit; ++base) {
    differing |= static_cast<uint32_t>(context_.table.UseWithin(*base)) ^ static_cast<uint32_t>(ChunkUse::kPages);
  }
  return differing == 0;
}

// Of the candidates, those in chunks of pages go to in_pages_, in their order; huge objects are marked. Returns how
// many stay. Where ends of objects count, the word before is a candidate too, and comes first: it is resolved after it.
template <EndPointers kEndPointers>
size_t MarkWorker::KeepPages(const uint64_t* base, const uint64_t* limit) {
  const ChunkTable& table = context_.table;
  size_t kept = 0;
  const auto keep = [&](uintptr_t word, bool is_candidate) {
    // The filter lets nothing else through, but for the heap's very end, and the byte before it, where ends count.
    const ChunkUse use = kEndPointers == EndPointers::kCount ? table.Use(word) : table.UseWithin(word);
    in_pages_[kept] = word;
    kept += static_cast<size_t>(is_candidate) & static_cast<size_t>(use == ChunkUse::kPages);
    if (IsHuge(use)) [[unlikely]] {
      if (is_candidate) MarkHuge(word);
    }
  };
  for (const uint64_t* candidate = base; candidate != limit; ++candidate) {
    // Slots begin at multiples of 16 bytes, so that only such a word can be the end of one.
    if constexpr (kEndPointers == EndPointers::kCount) keep(*candidate - 1, *candidate % kSlotAlignment == 0);
    keep(*candidate, true);
  }
  return kept;
}

size_t MarkWorker::ResolveBatch(const uint64_t* base, const uint64_t* limit) {
  auto words = static_cast<size_t>(limit - base);
  if (!context_.has_only_pages) {
    if (context_.options.end_pointers == EndPointers::kCount) {
      words = KeepPages<EndPointers::kCount>(base, limit);
      limit = in_pages_ + words;
    } else if (!AreAllInPages(base, limit)) {
      words = KeepPages<EndPointers::kIgnored>(base, limit);
      limit = in_pages_ + words;
    }
  }
  return context_.body.find_slots(limit, words, kSlotLayout, grey_, {.words = white_word_, .masks = white_mask_});
}

template <Markers kMarkers>
[[gnu::always_inline]] inline bool MarkWorker::TakeWhiteBit(size_t i) {
  return SetMark<kMarkers>(reinterpret_cast<uint64_t*>(white_word_[i]), white_mask_[i]);
}

template <Markers kMarkers>
void MarkWorker::MarkBatch(size_t count) {
  Grey* const top = stack_.top();
  size_t pushed = 0;
  for (size_t i = 0; i < count; ++i) {
    const Grey grey = grey_[i];
    const bool is_fresh = TakeWhiteBit<kMarkers>(i);
    if constexpr (kMarkers == Markers::kOneWatched) {
      if (is_fresh) context_.watch.marked(context_.watch.context, ObjectOf(grey));
    }
    top[pushed] = grey;
    // Fresh, and to be scanned: one comparison, since nothing is below 0.
    pushed += grey < (kUntracedGrey & -Grey{is_fresh});
  }
  stack_.set_top(top + pushed);
}

// What finds no room is noted at its page.
void MarkWorker::PushOrNote(Grey grey) {
  if (stack_.Reserve(1)) {
    *stack_.top() = grey;
    stack_.set_top(stack_.top() + 1);
  } else {
    SetPending(grey);
    context_.has_pending.store(true, std::memory_order_relaxed);
  }
}

// The same where the stack may not grow.
template <Markers kMarkers>
void MarkWorker::MarkBatchWithoutRoom(size_t count) {
  for (size_t i = 0; i < count; ++i) {
    const Grey grey = grey_[i];
    if (!TakeWhiteBit<kMarkers>(i)) continue;
    if constexpr (kMarkers == Markers::kOneWatched) context_.watch.marked(context_.watch.context, ObjectOf(grey));
    if (!IsTraced(grey)) continue;
    PushOrNote(grey);
  }
}

template <Markers kMarkers>
void MarkWorker::MarkCandidates(const uint64_t* base, const uint64_t* limit) {
  while (limit != base) {
    const size_t left = static_cast<size_t>(limit - base);
    const size_t batch = left < kBatch ? left : kBatch;
    const size_t count = ResolveBatch(limit - batch, limit);
    // One entry more, since each is stored before it is known whether it counts.
    if (stack_.Reserve(count + 1)) [[likely]] {
      MarkBatch<kMarkers>(count);
    } else {
      MarkBatchWithoutRoom<kMarkers>(count);
    }
    limit -= batch;
  }
}

template void MarkWorker::MarkCandidates<Markers::kOne>(const uint64_t*, const uint64_t*);
template void MarkWorker::MarkCandidates<Markers::kSeveral>(const uint64_t*, const uint64_t*);
template void MarkWorker::MarkCandidates<Markers::kOneWatched>(const uint64_t*, const uint64_t*);

void MarkWorker::MarkFound(const uint64_t* base, const uint64_t* limit) {
  switch (markers_) {
    case Markers::kOne:
      return MarkCandidates<Markers::kOne>(base, limit);
    case Markers::kSeveral:
      return MarkCandidates<Markers::kSeveral>(base, limit);
    case Markers::kOneWatched:
      return MarkCandidates<Markers::kOneWatched>(base, limit);
  }
}

void MarkWorker::Restart() { next_candidate = candidates_; }

void MarkWorker::MarkPendingCandidates() {
  const uint64_t* limit = next_candidate;
  Restart();
  MarkFound(candidates_, limit);
}

void MarkWorker::Flush(Tracer* tracer) { static_cast<MarkWorker*>(tracer)->MarkPendingCandidates(); }

void MarkWorker::TraceRoots(acre_root_function* function, void* context) {
  heap_low = context_.filter.low;
  heap_bytes = context_.filter.bytes;
  function(context, this);
  MarkPendingCandidates();
}

void MarkWorker::AddRoot(uint64_t word) {
  uint64_t found[2 + arch::kScanSlackWords];
  const uint64_t* limit = context_.body.scan_words(&word, 1, ~uint64_t{0}, context_.filter, found);
  MarkFound(found, limit);
}

}  // namespace acre
