#include "allocator/heap/central_list.h"

#include <bit>

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
  ReturnSlot(slot);
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

// Takes up to `wanted` slots, written so that popping from the end yields ascending addresses.
uint32_t CentralList::TakeSlots(void** slots, uint32_t wanted) {
  uint32_t taken = 0;
  while (taken < wanted) {
    Span* span = SpanWithFreeSlots();
    if (span == nullptr) break;
    taken += TakeFromSpan(span, slots + taken, wanted - taken);
  }
  for (uint32_t low = 0, high = taken; low + 1 < high; ++low) {
    --high;
    void* slot = slots[low];
    slots[low] = slots[high];
    slots[high] = slot;
  }
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
  uint32_t taken = 0;
  for (uint32_t word = 0; word * kWordBits < info().slots && taken < wanted; ++word) {
    const uint32_t here = info().slots - word * kWordBits;
    uint64_t free_bits = ~words[word];
    if (here < kWordBits) free_bits &= WordMask(0, here);
    uint64_t handed_out = 0;
    while (free_bits != 0 && taken < wanted) {
      const uint64_t lowest = free_bits & (~free_bits + 1);
      const uint32_t index = word * kWordBits + static_cast<uint32_t>(std::countr_zero(free_bits));
      slots[taken++] = reinterpret_cast<void*>(base + uintptr_t{index} * info().slot_bytes);
      handed_out |= lowest;
      free_bits ^= lowest;
    }
    words[word] |= handed_out;
  }
  ASSERT(taken > 0);
  span->free_slots = static_cast<uint16_t>(span->free_slots - taken);
  free_slots_ -= taken;
  PlaceInBucket(span);
  return taken;
}

void CentralList::ReturnSlots(void* const* slots, uint32_t count) {
  // The records of the next slots' pages are on their way while one is put back.
  constexpr uint32_t kAhead = 8;
  for (uint32_t i = 0; i < count; ++i) {
    if (i + kAhead < count) {
      const auto ahead = reinterpret_cast<uintptr_t>(slots[i + kAhead]);
      __builtin_prefetch(&ChunkOf(ahead)->alloc_lines[PageOf(ahead)], 1);
    }
    ReturnSlot(slots[i]);
  }
}

void CentralList::ReturnSlot(void* slot) {
  const auto address = reinterpret_cast<uintptr_t>(slot);
  Span* span = SpanOfPage(ChunkOf(address), PageOf(address));
  ASSERT(span != nullptr);
  ASSERT(span->size_class == size_class_);
  const uint32_t index = SlotAt(info(), static_cast<uint32_t>(address - BaseOf(span)));
  uint64_t* words = AllocBitsOf(span);
  ASSERT(TestBit(words, index));
  words[index / kWordBits] &= ~(uint64_t{1} << (index % kWordBits));
  ++span->free_slots;
  ++free_slots_;
  if (span->free_slots < info().slots) {
    PlaceInBucket(span);
    return;
  }
  if (span->bucket != kNoBucket) partial_[span->bucket].Remove(span);
  --spans_;
  free_slots_ -= info().slots;
  page_heap_.Free(span);
}

uint8_t CentralList::BucketOf(const Span* span) {
  if (span->free_slots == 0) return kNoBucket;
  const uint32_t slots = kSizeClasses[span->size_class].slots;
  const uint32_t bucket = span->free_slots * kBuckets / (slots + 1);
  return static_cast<uint8_t>(bucket);
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
