#include "allocator/collect/span_pool.h"

#include "allocator/base/bits.h"
#include "allocator/collect/mark_bits.h"
#include "os/check.h"

namespace acre {

Room SpanPool::Take(PageHeap& page_heap, size_t most_bytes, Growth growth, size_t* freed_bytes) {
  const size_t most_slots = most_bytes / info().slot_bytes;
  os::MutexLock lock(mutex_);
  while (partial_.is_empty()) {
    if (Span* span = PopUnswept()) {
      *freed_bytes += Sweep(page_heap, span);
      continue;
    }
    if (growth == Growth::kRefused) return {};
    Span* span = page_heap.AllocateSmall(size_class_, kind_);
    if (span == nullptr) return {};
    if (freed_ == Freed::kClobbered) [[unlikely]] Clobber(BaseOf(span), size_t{info().slots} * info().slot_bytes);
    Place(span);
  }
  return TakeFrom(partial_.first(), most_slots == 0 ? 1 : most_slots);
}

Room SpanPool::TakeFrom(Span* span, size_t most_slots) {
  uint64_t* words = AllocBitsOf(span);
  const auto word_at = [words](uint32_t index) { return words[index]; };
  const uint32_t first = FindZero(0, info().slots, word_at);
  ASSERT(first < info().slots);
  const uint32_t most = most_slots < info().slots - first ? static_cast<uint32_t>(most_slots) : info().slots - first;
  const uint32_t limit = FindOne(first, first + most, word_at);
  SetBits(words, first, limit - first);
  span->free_slots = static_cast<uint16_t>(span->free_slots - (limit - first));
  if (span->free_slots == 0) {
    partial_.Remove(span);
    full_.Push(span);
  }
  const uintptr_t base = BaseOf(span);
  return {base + uintptr_t{first} * info().slot_bytes, base + uintptr_t{limit} * info().slot_bytes};
}

void SpanPool::GiveBack(PageHeap& page_heap, Room room, size_t* freed_bytes) {
  if (room.bytes() == 0) return;
  os::MutexLock lock(mutex_);
  Span* span = SpanOfPage(ChunkOf(room.base), PageOf(room.base));
  const uint32_t first = SlotAt(info(), static_cast<uint32_t>(room.base - BaseOf(span)));
  const uint32_t slots = static_cast<uint32_t>(room.bytes() / info().slot_bytes);
  if (span->bucket != epoch_) {
    SetBits(WhiteBitsOf(span), first, slots);  // Its sweeping frees them.
    unswept_[span->free_slots == 0].Remove(span);
    *freed_bytes += Sweep(page_heap, span) - room.bytes();  // What was never handed out has not died.
    return;
  }
  (span->free_slots == 0 ? full_ : partial_).Remove(span);
  ClearBits(AllocBitsOf(span), first, slots);
  if (freed_ == Freed::kClobbered) [[unlikely]] Clobber(room.base, room.bytes());
  span->free_slots = static_cast<uint16_t>(span->free_slots + slots);
  PlaceOrFree(page_heap, span);
}

// kDone: the object is live, in *slot of *span.
FreeResult SpanPool::Look(uintptr_t object, Span** span, uint32_t* slot) const {
  Span* found = SpanOfPage(ChunkOf(object), PageOf(object));
  if (found == nullptr || found->size_class != size_class_ || found->kind != kind_) return FreeResult::kNotLive;
  *span = found;
  *slot = SlotAt(info(), static_cast<uint32_t>(object - BaseOf(found)));
  if (*slot >= info().slots || !TestBit(AllocBitsOf(found), *slot)) return FreeResult::kNotLive;
  const bool is_swept = found->bucket == epoch_;
  return is_swept || !TestBit(WhiteBitsOf(found), *slot) ? FreeResult::kDone : FreeResult::kUnreachable;
}

FreeResult SpanPool::Free(PageHeap& page_heap, uintptr_t object, size_t* freed_bytes) {
  os::MutexLock lock(mutex_);
  Span* span;
  uint32_t slot;
  if (const FreeResult result = Look(object, &span, &slot); result != FreeResult::kDone) return result;
  if (span->bucket != epoch_) {
    // The object is marked, so that its span stays.
    unswept_[span->free_slots == 0].Remove(span);
    *freed_bytes += Sweep(page_heap, span);
  }
  (span->free_slots == 0 ? full_ : partial_).Remove(span);
  ClearBits(AllocBitsOf(span), slot, 1);
  if (freed_ == Freed::kClobbered) [[unlikely]] Clobber(object, info().slot_bytes);
  ++span->free_slots;
  PlaceOrFree(page_heap, span);
  return FreeResult::kDone;
}

bool SpanPool::Holds(uintptr_t object) {
  os::MutexLock lock(mutex_);
  Span* span;
  uint32_t slot;
  return Look(object, &span, &slot) == FreeResult::kDone;
}

void SpanPool::BeginSweep() {
  os::MutexLock lock(mutex_);
  ASSERT(unswept_[0].is_empty() && unswept_[1].is_empty());
  unswept_[0] = partial_;
  unswept_[1] = full_;
  partial_ = {};
  full_ = {};
  ++epoch_;
}

Span* SpanPool::PopUnswept() {
  // Spans that were not full before are more likely to have room than others are to have got some.
  Span* span = unswept_[0].Pop();
  return span != nullptr ? span : unswept_[1].Pop();
}

size_t SpanPool::SweepSome(PageHeap& page_heap, size_t most, size_t* freed_bytes) {
  size_t swept = 0;
  os::MutexLock lock(mutex_);
  for (Span* span; swept < most && (span = PopUnswept()) != nullptr; ++swept) *freed_bytes += Sweep(page_heap, span);
  return swept;
}

// What is white is free. Returns the bytes that this freed.
size_t SpanPool::Sweep(PageHeap& page_heap, Span* span) {
  uint64_t* white = WhiteBitsOf(span);
  uint64_t* words = AllocBitsOf(span);
  if (freed_ == Freed::kClobbered) [[unlikely]] CheckAndClobber(span);
  for (uint32_t word = 0; word < kLineWords; ++word) {
    ASSERT((white[word] & ~words[word]) == 0);
    words[word] &= ~white[word];
    white[word] = 0;
  }
  const uint32_t live = CountOnes(words, kLineWords);
  const uint32_t was_free = span->free_slots;
  span->free_slots = static_cast<uint16_t>(info().slots - live);
  const size_t freed = size_t{span->free_slots - was_free} * info().slot_bytes;
  if (freed_ == Freed::kClobbered && freed != 0) {
    Place(span);
  } else {
    PlaceOrFree(page_heap, span);
  }
  return freed;
}

// What was free before is as it was left, and what dies now is overwritten.
void SpanPool::CheckAndClobber(const Span* span) {
  for (uint32_t slot = 0; slot < info().slots; ++slot) {
    const uintptr_t base = BaseOf(span) + uintptr_t{slot} * info().slot_bytes;
    if (!TestBit(AllocBitsOf(span), slot)) {
      CheckClobbered(base, info().slot_bytes, info().slot_bytes);
    } else if (TestBit(WhiteBitsOf(span), slot)) {
      Clobber(base, info().slot_bytes);
    }
  }
}

void SpanPool::PlaceOrFree(PageHeap& page_heap, Span* span) {
  if (span->free_slots == info().slots) {
    page_heap.Free(span);
  } else {
    Place(span);
  }
}

void SpanPool::Place(Span* span) {
  span->bucket = epoch_;
  (span->free_slots > 0 ? partial_ : full_).Push(span);
}

void SpanPool::CheckInvariants() {
  os::MutexLock lock(mutex_);
  for (const List<Span>* list : {&partial_, &full_}) {
    for (const Span* span = list->first(); span != nullptr; span = span->next) {
      CheckSpan(span);                                                // N2
      CHECK(span->size_class == size_class_ && span->kind == kind_);
      CHECK((span->free_slots > 0) == (list == &partial_));            // N1
      CHECK(span->bucket == epoch_);                                   // N3
      for (uint32_t word = 0; word < kLineWords; ++word) CHECK(WhiteBitsOf(span)[word] == 0);  // M3 of mark_bits.h
    }
  }
}

}  // namespace acre
