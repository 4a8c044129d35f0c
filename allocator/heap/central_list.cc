#include "allocator/heap/central_list.h"

#include <bit>
#include <cstring>

#include "allocator/base/bits.h"
#include "allocator/base/racy.h"
#include "os/check.h"
#include "os/clock.h"

namespace acre {

Magazine* CentralList::Refill(Magazine* empty, uint32_t wanted) {
  ASSERT(empty->count == 0);
  os::MutexLock lock(mutex_);
  if (Magazine* full = depot_) {
    depot_ = full->next;
    --depot_magazines_;
    depot_slots_ -= full->count;
    depot_low_water_.Note(depot_magazines_);
    Magazine::Destroy(metadata_, empty);
    return full;
  }
  empty->count = TakeSlots(empty->slots, wanted);
  return empty;
}

Magazine* CentralList::TakeBack(Magazine* full, uint32_t capacity, bool* drained) {
  *drained = false;
  os::MutexLock lock(mutex_);
  const uint64_t now_ns = os::CoarseMonotonicNs();
  if ((depot_slots_ + full->count) * info().slot_bytes <= kMaxDepotBytes) {
    if (Magazine* empty = Magazine::Make(metadata_, capacity)) {
      full->next = depot_;
      depot_ = full;
      ++depot_magazines_;
      depot_slots_ += full->count;
      DrainSome(depot_low_water_.Advance(now_ns, kQuarterNs, depot_magazines_));
      return empty;
    }
  }
  *drained = true;
  ReturnSlots(full->slots, full->count);
  full->count = 0;
  return full;
}

void CentralList::Drain(Magazine* magazine) {
  os::MutexLock lock(mutex_);
  ReturnSlots(magazine->slots, magazine->count);
  magazine->count = 0;
}

void* CentralList::AllocateOne() {
  void* slot = nullptr;
  os::MutexLock lock(mutex_);
  return TakeSlots(&slot, 1) == 1 ? slot : nullptr;
}

void CentralList::FreeOne(void* slot) {
  os::MutexLock lock(mutex_);
  ReturnSlots(&slot, 1);
}

Magazine* CentralList::MakeMagazine(uint32_t capacity) { return Magazine::Make(metadata_, capacity); }

void CentralList::ReleaseIdle(uint64_t now_ns) {
  os::MutexLock lock(mutex_);
  DrainSome(depot_low_water_.Advance(now_ns, kQuarterNs, depot_magazines_));
}

void CentralList::DrainDepot() {
  os::MutexLock lock(mutex_);
  DrainSome(depot_magazines_);
}

void CentralList::DrainSome(size_t magazines) {
  depot_low_water_.Subtract(magazines);
  for (; magazines > 0; --magazines) {
    Magazine* magazine = depot_;
    depot_ = magazine->next;
    --depot_magazines_;
    depot_slots_ -= magazine->count;
    ReturnSlots(magazine->slots, magazine->count);
    Magazine::Destroy(metadata_, magazine);
  }
}

// Takes up to `wanted` slots, written from the end of `slots` so that popping from there yields ascending addresses.
uint32_t CentralList::TakeSlots(void** slots, uint32_t wanted) {
  uint32_t left = wanted;
  while (left > 0) {
    Span* span = SpanWithFreeSlots();
    if (span == nullptr) break;
    left -= TakeFromSpan(span, slots, left);
  }
  const uint32_t taken = wanted - left;
  if (left > 0) std::memmove(slots, slots + left, taken * sizeof(void*));
  return taken;
}

Span* CentralList::SpanWithFreeSlots() {
  for (List<Span>& list : partial_) {
    if (!list.is_empty()) return list.first();
  }
  Span* span = page_heap_.AllocateSmall(size_class_, kind_);
  if (span == nullptr) return nullptr;
  ++spans_;
  free_slots_ += span->free_slots;
  span->bucket = kNoBucket;
  PlaceInBucket(span);
  return span;
}

uint32_t CentralList::TakeFromSpan(Span* span, void** slots, uint32_t wanted) {
  const uintptr_t base = BaseOf(span);
  uint64_t* words = AllocBitsOf(span);
  const uintptr_t slot_bytes = info().slot_bytes;
  uint32_t left = wanted;
  for (uint32_t word = 0; word * kWordBits < info().slots && left > 0; ++word) {
    const uint32_t here = info().slots - word * kWordBits;
    const uint64_t mask = here < kWordBits ? WordMask(0, here) : ~uint64_t{0};
    uint64_t free_bits = ~words[word] & mask;
    const uintptr_t first = base + word * kWordBits * slot_bytes;
    while (free_bits != 0 && left > 0) {
      slots[--left] = reinterpret_cast<void*>(first + static_cast<uint32_t>(std::countr_zero(free_bits)) * slot_bytes);
      free_bits &= free_bits - 1;
    }
    words[word] |= ~free_bits & mask;
  }
  const uint32_t taken = wanted - left;
  ASSERT(taken > 0);
  span->free_slots = static_cast<uint16_t>(span->free_slots - taken);
  free_slots_ -= taken;
  PlaceInBucket(span);
  return taken;
}

// Neighbours come together as a rule: a span is looked up, counted and placed once for each series of its slots.
void CentralList::ReturnSlots(void* const* slots, uint32_t count) {
  // The records of the next slots' pages are on their way while one is put back.
  constexpr uint32_t kAhead = 8;
  Span* span = nullptr;
  uintptr_t base = 0;
  uint64_t* words = nullptr;
  uint32_t returned = 0;
  const size_t bytes = size_t{info().span_pages} * kPageBytes;
  for (uint32_t i = 0; i < count; ++i) {
    if (i + kAhead < count) {
      const auto ahead = reinterpret_cast<uintptr_t>(slots[i + kAhead]);
      __builtin_prefetch(&ChunkOf(ahead)->alloc_lines[PageOf(ahead)], 1);
    }
    const auto address = reinterpret_cast<uintptr_t>(slots[i]);
    if (span == nullptr || address - base >= bytes) {
      if (span != nullptr) AccountReturned(span, returned);
      Chunk* chunk = ChunkOf(address);
      const uint32_t page = PageOf(address);
      ASSERT(!chunk->descriptors[page].is_none());
      const uint32_t first = page - chunk->descriptors[page].number_in_span();
      span = &chunk->spans[first];
      ASSERT(span->size_class == size_class_);
      base = chunk->PageAddress(first);
      words = chunk->alloc_lines[first].words;
      returned = 0;
    }
    const uint32_t index = SlotAt(info(), static_cast<uint32_t>(address - base));
    ASSERT(TestBit(words, index));
    words[index / kWordBits] &= ~(uint64_t{1} << (index % kWordBits));
    ++returned;
  }
  if (span != nullptr) AccountReturned(span, returned);
}

void CentralList::AccountReturned(Span* span, uint32_t returned) {
  span->free_slots = static_cast<uint16_t>(span->free_slots + returned);
  free_slots_ += returned;
  if (span->free_slots < info().slots) {
    PlaceInBucket(span);
    return;
  }
  if (span->bucket != kNoBucket) partial_[span->bucket].Remove(span);
  --spans_;
  free_slots_ -= info().slots;
  page_heap_.Free(span);
}

// By the quarter of the slots that is free, without a division.
uint8_t CentralList::BucketOf(const Span* span) {
  const uint32_t free_slots = span->free_slots;
  if (free_slots == 0) return kNoBucket;
  const uint32_t slots = kSizeClasses[span->size_class].slots;
  return static_cast<uint8_t>((4 * free_slots > slots) + (2 * free_slots > slots) + (4 * free_slots > 3 * slots));
}

void CentralList::PlaceInBucket(Span* span) {
  const uint8_t bucket = BucketOf(span);
  if (bucket == span->bucket) return;
  if (span->bucket != kNoBucket) partial_[span->bucket].Remove(span);
  if (bucket != kNoBucket) partial_[bucket].Push(span);
  span->bucket = bucket;
}

CentralStats CentralList::stats() {
  os::MutexLock lock(mutex_);
  return {.spans = spans_, .slots = spans_ * info().slots, .free_slots = free_slots_, .depot_slots = depot_slots_};
}

void CentralList::CheckInvariants() {
  os::MutexLock lock(mutex_);
  size_t free_slots = 0;
  for (uint32_t bucket = 0; bucket < kBuckets; ++bucket) {
    for (const Span* span = partial_[bucket].first(); span != nullptr; span = span->next) {
      CheckSpan(span);
      CHECK(span->bucket == bucket);
      CHECK(BucketOf(span) == bucket);  // C1
      CHECK(span->size_class == size_class_);
      CHECK(span->free_slots > 0);
      free_slots += span->free_slots;
    }
  }
  CHECK(free_slots == free_slots_);
  size_t magazines = 0;
  size_t slots = 0;
  for (const Magazine* magazine = depot_; magazine != nullptr; magazine = magazine->next) {
    ++magazines;
    slots += magazine->count;
    for (uint32_t i = 0; i < magazine->count; ++i) {
      const auto address = reinterpret_cast<uintptr_t>(magazine->slots[i]);
      const Span* span = SpanOfPage(ChunkOf(address), PageOf(address));
      CHECK(span != nullptr);
      CHECK(span->size_class == size_class_);
      CHECK(TestBit(AllocBitsOf(span), SlotAt(info(), static_cast<uint32_t>(address - BaseOf(span)))));  // C2
      const PageRef ref = PageRefOf(address);
      CHECK(ref.size_class() == size_class_);
      CHECK(RacyLoad(ref.State(address)) != LiveState(address));  // C2
    }
  }
  CHECK(magazines == depot_magazines_);
  CHECK(slots == depot_slots_);
}

}  // namespace acre
