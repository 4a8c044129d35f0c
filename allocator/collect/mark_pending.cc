// Objects that found no room on the stack: their pages are walked again when there is nothing else to do.
//
// A page's bit is taken before its marked objects are pushed, so that an overflow meanwhile sets it again. Only objects
// that are marked anew can overflow, and each is marked once: the walk comes to an end.

#include "allocator/base/bits.h"
#include "allocator/collect/mark_worker.h"

namespace acre {

template <Markers kMarkers>
void MarkWorker::DrainPending() {
  constexpr size_t kSlotsInSpan = sizeof(BitLine) * 8;
  const auto push_page = [&](Chunk* chunk, uint32_t page) {
    if (!stack_.Reserve(kSlotsInSpan)) (void)Drain<kMarkers>(SIZE_MAX);
    ForEachMarked(&chunk->spans[page], [&](Grey grey) {
      *stack_.top() = grey;
      stack_.set_top(stack_.top() + (IsTraced(grey) ? 1 : 0));
    });
  };
  context_.table.ForEach([&](uintptr_t base, ChunkUse use) {
    if (use != ChunkUse::kPages) return;
    auto* chunk = reinterpret_cast<Chunk*>(base);
    for (uint32_t word = 0; word < kChunkPages / kWordBits; ++word) {
      if (__atomic_load_n(&chunk->pending_marks[word], __ATOMIC_RELAXED) == 0) continue;
      uint64_t pages = __atomic_exchange_n(&chunk->pending_marks[word], 0, __ATOMIC_RELAXED);
      for (; pages != 0; pages &= pages - 1) {
        push_page(chunk, word * kWordBits + static_cast<uint32_t>(std::countr_zero(pages)));
      }
    }
  });
  (void)Drain<kMarkers>(SIZE_MAX);
}

template void MarkWorker::DrainPending<Markers::kOne>();
template void MarkWorker::DrainPending<Markers::kSeveral>();
template void MarkWorker::DrainPending<Markers::kOneWatched>();

}  // namespace acre
