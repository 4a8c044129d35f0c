#pragma once

// What all threads share of one size class: a depot of full magazines, and the spans with free slots.
//
// A thread that runs out takes a full magazine from the depot, else free slots from span bits; one that has too many gives
// a full magazine. What the depot does not need goes back to the bits: what lies beyond kMaxDepotBytes at once, and the
// least stock of the last 100 ms (nobody needed it) whenever time has passed. A span whose slots are all free goes back
// to the page heap.
//
// Spans with free slots are kept on four lists by how full they are; slots are taken from the fullest first, so that
// the emptiest have a chance to become free.
//
// Invariants (CheckInvariants):
//   C1. A span is on list b exactly if 0 < free_slots and b = BucketOf(span).
//   C2. Every slot in a depot magazine has its allocation bit set and is not live.
//
// Threads: any; one lock a class. Cost: tens of nanoseconds for a trade, a few more for each slot taken from or given to
// span bits.

#include <cstddef>
#include <cstdint>

#include "allocator/base/list.h"
#include "allocator/base/lock_rank.h"
#include "allocator/heap/low_water.h"
#include "allocator/heap/magazine.h"
#include "allocator/heap/page_heap.h"
#include "os/mutex.h"

namespace acre {

struct CentralStats {
  size_t spans;
  size_t slots;        // In these spans.
  size_t free_slots;   // By span bits.
  size_t depot_slots;  // In the depot's magazines.
};

class CentralList {
 public:
  CentralList(SizeClass size_class, Kind kind, PageHeap& page_heap, Metadata& metadata)
      : size_class_(size_class), kind_(kind), page_heap_(page_heap), metadata_(metadata),
        mutex_(static_cast<uint8_t>(kCentralListRank + size_class)) {}
  CentralList(const CentralList&) = delete;
  CentralList& operator=(const CentralList&) = delete;

  // Trades an empty magazine for a full one of the depot, or fills it with up to `wanted` slots from span bits: returns
  // the magazine to use from now on, whose count is 0 only when there is no memory.
  Magazine* Refill(Magazine* empty, uint32_t wanted);

  // Trades a full magazine for an empty one of `capacity`. The slots go to span bits instead where the depot has enough
  // or no empty magazine can be had; then `*drained` is set and the magazine itself comes back.
  Magazine* TakeBack(Magazine* full, uint32_t capacity, bool* drained);

  // Puts the slots of a magazine into span bits; it is empty then.
  void Drain(Magazine* magazine);

  // One slot, without a magazine: for threads that have none. Null when there is no memory.
  void* AllocateOne();
  void FreeOne(void* slot);

  // An empty magazine, and the way back.
  [[nodiscard]] Magazine* MakeMagazine(uint32_t capacity);
  void DestroyMagazine(Magazine* magazine) { Magazine::Destroy(metadata_, magazine); }

  // Returns what the depot did not need for 100 ms to span bits; all of it with DrainDepot.
  void ReleaseIdle(uint64_t now_ns);
  void DrainDepot();

  CentralStats stats();
  void CheckInvariants();
  os::Mutex& mutex() { return mutex_; }

 private:
  static constexpr uint32_t kBuckets = 4;
  static constexpr uint8_t kNoBucket = 255;
  static constexpr uint64_t kQuarterNs = 25'000'000;  // A window of 100 ms: see low_water.h.
  static constexpr size_t kMaxDepotBytes = 1 * kMiB;

  const SizeClassInfo& info() const { return kSizeClasses[size_class_]; }
  static uint8_t BucketOf(const Span* span);
  void PlaceInBucket(Span* span);
  uint32_t TakeSlots(void** slots, uint32_t wanted);
  uint32_t TakeFromSpan(Span* span, void** slots, uint32_t wanted);
  Span* SpanWithFreeSlots();
  void ReturnSlots(void* const* slots, uint32_t count);
  void AccountReturned(Span* span, uint32_t returned);
  void DrainSome(size_t magazines);

  const SizeClass size_class_;
  const Kind kind_;
  PageHeap& page_heap_;
  Metadata& metadata_;
  os::Mutex mutex_;

  // Guarded by mutex_.
  List<Span> partial_[kBuckets];  // 0: at most a quarter of the slots is free; 3: more than three quarters.
  size_t spans_ = 0;
  size_t free_slots_ = 0;
  Magazine* depot_ = nullptr;
  size_t depot_magazines_ = 0;
  size_t depot_slots_ = 0;
  LowWater depot_low_water_;
};

}  // namespace acre
