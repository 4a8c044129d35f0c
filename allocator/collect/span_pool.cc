#include "allocator/collect/span_pool.h"

#include <bit>

#include "allocator/base/bits.h"
#include "allocator/collect/mark_bits.h"
#include "arch/memory.h"
#include "os/check.h"

namespace acre {
namespace {

// The lowest `most` ones of the word.
uint64_t LowestOnes(uint64_t word, size_t most) {
  if (most >= kWordBits) return word;
  uint64_t others = word;
  for (size_t i = 0; i < most; ++i) others &= others - 1;  // Of 0 it stays 0.
  return word & ~others;
}

}  // namespace

uint32_t SpanPool::Take(PageHeap& page_heap, size_t most_bytes, Growth growth, Birth birth, SlotSet* taken,
                        size_t* freed_bytes) {
  const size_t most_slots = most_bytes / info().slot_bytes;
  os::MutexLock lock(mutex_);
  while (partial_.is_empty()) {
    if (Span* span = PopUnswept()) {
      *freed_bytes += Sweep(page_heap, span, IfEmpty::kStays);
      continue;
    }
    if (growth == Growth::kRefused) return 0;
    Span* span = page_heap.AllocateSmall(size_class_, kind_);
    if (span == nullptr) return 0;
    if (freed_ == Freed::kClobbered) [[unlikely]] Clobber(BaseOf(span), size_t{info().slots} * info().slot_bytes);
    Place(span);
  }
  return TakeFrom(partial_.first(), most_slots == 0 ? 1 : most_slots, birth, taken);
}

uint32_t SpanPool::TakeFrom(Span* span, size_t most_slots, Birth birth, SlotSet* taken) {
  uint64_t* words = AllocBitsOf(span);
  uint64_t* white = WhiteBitsOf(span);
  const uint32_t slots = info().slots;
  taken->span = span;
  size_t left = most_slots;
  for (uint32_t first = 0; first < slots && left != 0; first += kWordBits) {
    const uint32_t word = first / kWordBits;
    const uint32_t in_word = slots - first < kWordBits ? slots - first : kWordBits;
    const uint64_t some = LowestOnes(~words[word] & WordMask(0, in_word), left);
    taken->bits[word] = some;
    if (clears_) [[unlikely]] ClearSlots(span, first, some);
    __atomic_store_n(&words[word], words[word] | some, __ATOMIC_RELEASE);
    if (birth == Birth::kWhite) white[word] |= some;
    left -= some == ~uint64_t{0} ? kWordBits : CountOnes(&some, 1);
  }
  const auto count = static_cast<uint32_t>(most_slots - left);
  ASSERT(count != 0);
  span->free_slots = static_cast<uint16_t>(span->free_slots - count);
  if (span->free_slots == 0) {
    partial_.Remove(span);
    full_.Push(span);
  }
  return count;
}

// Of the word of slots that begins with `first`.
void SpanPool::ClearSlots(const Span* span, uint32_t first, uint64_t slots) {
  const size_t slot_bytes = info().slot_bytes;
  for (; slots != 0; slots &= slots - 1) {
    const uintptr_t slot = BaseOf(span) + (first + static_cast<uint32_t>(std::countr_zero(slots))) * slot_bytes;
    if (freed_ == Freed::kClobbered) [[unlikely]] CheckClobbered(slot, slot_bytes, slot_bytes);
    arch::Clear(reinterpret_cast<void*>(slot), slot_bytes);
  }
}

void SpanPool::GiveBack(PageHeap& page_heap, const SlotSet& slots, Birth birth, size_t* freed_bytes) {
  Span* span = slots.span;
  os::MutexLock lock(mutex_);
  if (!IsSwept(span)) {
    // Its sweeping frees them.
    ForEachSlotWord(slots, [](uint64_t*, uint64_t* white_word, uint64_t mask) { *white_word |= mask; });
    TakeOff(span);
    // What was never handed out has not died.
    *freed_bytes += Sweep(page_heap, span, IfEmpty::kToPageHeap) - size_t{slots.count()} * info().slot_bytes;
    return;
  }
  TakeOff(span);
  ForEachSlotWord(slots, [birth](uint64_t* alloc_word, uint64_t* white_word, uint64_t mask) {
    *alloc_word &= ~mask;
    if (birth == Birth::kWhite) *white_word &= ~mask;
  });
  if (freed_ == Freed::kClobbered) [[unlikely]] ClobberSlots(slots);
  span->free_slots = static_cast<uint16_t>(span->free_slots + slots.count());
  PlaceOrFree(page_heap, span);
}

void SpanPool::ClobberSlots(const SlotSet& slots) {
  for (uint32_t slot = 0; slot < info().slots; ++slot) {
    if (TestBit(slots.bits, slot)) Clobber(BaseOf(slots.span) + size_t{slot} * info().slot_bytes, info().slot_bytes);
  }
}

// kDone: the object is live, in *slot of *span.
FreeResult SpanPool::Look(uintptr_t object, Span** span, uint32_t* slot) const {
  Span* found = SpanOfPage(ChunkOf(object), PageOf(object));
  if (found == nullptr || found->size_class != size_class_ || found->kind != kind_) return FreeResult::kNotLive;
  *span = found;
  *slot = SlotAt(info(), static_cast<uint32_t>(object - BaseOf(found)));
  if (*slot >= info().slots || !TestBit(AllocBitsOf(found), *slot)) return FreeResult::kNotLive;
  return IsSwept(found) || !TestBit(WhiteBitsOf(found), *slot) ? FreeResult::kDone : FreeResult::kUnreachable;
}

FreeResult SpanPool::Free(PageHeap& page_heap, uintptr_t object, size_t* freed_bytes) {
  os::MutexLock lock(mutex_);
  Span* span;
  uint32_t slot;
  if (const FreeResult result = Look(object, &span, &slot); result != FreeResult::kDone) return result;
  if (!IsSwept(span)) {
    // The object is marked, so that its span stays.
    TakeOff(span);
    *freed_bytes += Sweep(page_heap, span, IfEmpty::kToPageHeap);
  }
  TakeOff(span);
  ClearBits(AllocBitsOf(span), slot, 1);
  ClearBits(WhiteBitsOf(span), slot, 1);
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

void SpanPool::BeginSweep(Extent extent, Extent next) {
  os::MutexLock lock(mutex_);
  ASSERT(unswept_[0].is_empty() && unswept_[1].is_empty() && unswept_[2].is_empty());
  unswept_[0] = partial_;
  unswept_[1] = full_;
  partial_ = {};
  full_ = {};
  if (++epoch_ == kOldBuckets) epoch_ = 0;
  // Each page of a span that is filled costs a fault, and another look at its old objects.
  const uint32_t much = extent == Extent::kFull ? (info().slots + 3) / 4 : info().slots;
  least_room_ = next == Extent::kFull ? 1 : much;
  if (extent == Extent::kMinor) return;
  unswept_[2] = old_;
  old_ = {};
  old_slots_ = 0;
  old_bucket_ ^= 1;
}

Span* SpanPool::PopUnswept() {
  // Spans that were not full before are more likely to have room than others are to have got some.
  for (List<Span>& list : unswept_) {
    if (Span* span = list.Pop()) return span;
  }
  return nullptr;
}

// The list that the span is on, as its bucket and its free slots say.
List<Span>& SpanPool::ListOf(const Span* span) {
  if (span->bucket == epoch_) return span->free_slots == 0 ? full_ : partial_;
  if (span->bucket == old_bucket_) return old_;
  if (span->bucket >= kOldBuckets) return unswept_[2];
  return unswept_[span->free_slots == 0];
}

void SpanPool::TakeOff(Span* span) {
  ListOf(span).Remove(span);
  if (span->bucket == old_bucket_) old_slots_ -= info().slots - span->free_slots;
}

void SpanPool::Whiten() {
  os::MutexLock lock(mutex_);
  for (const List<Span>* list : {&partial_, &full_, &old_}) {
    for (const Span* span = list->first(); span != nullptr; span = span->next) {
      for (uint32_t word = 0; word < kLineWords; ++word) WhiteBitsOf(span)[word] = AllocBitsOf(span)[word];
    }
  }
}

MarkCount SpanPool::CountMarked() {
  os::MutexLock lock(mutex_);
  size_t slots = old_slots_;
  for (const List<Span>* list : {&partial_, &full_}) {
    for (const Span* span = list->first(); span != nullptr; span = span->next) {
      uint64_t marked[kLineWords];
      for (uint32_t word = 0; word < kLineWords; ++word) marked[word] = MarkedWordOf(span, word);
      slots += CountOnes(marked, kLineWords);
    }
  }
  return {.objects = slots, .bytes = slots * info().slot_bytes};
}

bool SpanPool::IsAside(const Span* span) {
  os::MutexLock lock(mutex_);
  return span->bucket == old_bucket_;
}

size_t SpanPool::SweepSome(PageHeap& page_heap, size_t most, size_t* freed_bytes) {
  size_t swept = 0;
  os::MutexLock lock(mutex_);
  for (Span* span; swept < most && (span = PopUnswept()) != nullptr; ++swept) {
    *freed_bytes += Sweep(page_heap, span, IfEmpty::kToPageHeap);
  }
  return swept;
}

// What is white is free, and what lives is white in the next cycle, unless marks are kept. Returns the bytes that this freed.
size_t SpanPool::Sweep(PageHeap& page_heap, Span* span, IfEmpty if_empty) {
  uint64_t* white = WhiteBitsOf(span);
  uint64_t* words = AllocBitsOf(span);
  if (freed_ == Freed::kClobbered) [[unlikely]] CheckAndClobber(span);
  for (uint32_t word = 0; word < kLineWords; ++word) {
    ASSERT((white[word] & ~words[word]) == 0);
    words[word] &= ~white[word];
    white[word] = keeps_marks_ ? 0 : words[word];
  }
  const uint32_t live = CountOnes(words, kLineWords);
  if (keeps_marks_ && live != 0 && !IsOld(span)) SetOld(span, true);
  const uint32_t was_free = span->free_slots;
  span->free_slots = static_cast<uint16_t>(info().slots - live);
  const size_t freed = size_t{span->free_slots - was_free} * info().slot_bytes;
  if (if_empty == IfEmpty::kStays || (freed_ == Freed::kClobbered && freed != 0)) {
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
  const bool is_aside = keeps_marks_ && BelongsAside(span);
  span->bucket = is_aside ? old_bucket_ : epoch_;
  if (is_aside) old_slots_ += info().slots - span->free_slots;
  ListOf(span).Push(span);
}

bool SpanPool::HasWhite(const Span* span) const {
  uint64_t white = 0;
  for (uint32_t word = 0; word < kLineWords; ++word) white |= WhiteBitsOf(span)[word];
  return white != 0;
}

// Old objects only, and not much room. (A span without any object has its whole room.) In the stop that ends a marking nothing
// that lives is white, but not all of it is old yet.
bool SpanPool::BelongsAside(const Span* span) const {
  return span->free_slots < least_room_ && IsOld(span) && !HasWhite(span);
}

void SpanPool::CheckInvariants() {
  os::MutexLock lock(mutex_);
  for (const List<Span>* list : {&partial_, &full_}) {
    for (const Span* span = list->first(); span != nullptr; span = span->next) {
      CheckSpan(span);                                                // N2
      CHECK(span->size_class == size_class_ && span->kind == kind_);
      CHECK((span->free_slots > 0) == (list == &partial_));            // N1
      CHECK(span->bucket == epoch_);                                   // N3
      for (uint32_t word = 0; word < kLineWords; ++word) {
        const uint64_t white = WhiteBitsOf(span)[word];
        const uint64_t alloc = AllocBitsOf(span)[word];
        CHECK(keeps_marks_ ? (white & ~alloc) == 0 : white == alloc);  // M3
        CHECK(IsOld(span) || white == alloc);                          // N5
      }
    }
  }
  size_t old_slots = 0;
  for (const Span* span = old_.first(); span != nullptr; span = span->next) {
    CheckSpan(span);
    CHECK(keeps_marks_ && span->size_class == size_class_ && span->kind == kind_);
    CHECK(span->bucket == old_bucket_ && IsOld(span));  // N4, N5
    old_slots += info().slots - span->free_slots;
  }
  CHECK(old_slots == old_slots_);
}

}  // namespace acre
