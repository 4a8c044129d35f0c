#pragma once

// The spans of one size class and one kind whose objects the collector frees.
//
// Mutators take free slots of a span, all at once up to a bound, and consume them by bumping, hole after hole. Slots have
// their allocation bits set when they are taken; what is left of them when their mutator goes away is given back.
//
// Sweeping a span takes its white line out of its allocation line, and makes white what is left: that is all. It happens when a run is needed, or by
// SweepSome. Every span must be swept before the next marking.
//
// Invariants (CheckInvariants):
//   N1. A swept span is on `partial` exactly if it has a free slot, else on `full`.
//   N2. span->free_slots is the number of zero allocation bits of a swept span.
//   N3. A span is swept exactly if its `bucket` is the pool's epoch. An unswept one is on unswept_[0] if it had free slots
//       before, else on unswept_[1].
//
// A span that is found empty when slots are wanted stays, since it would be made again at once.
//
// Where marks are kept, what has lived through a cycle is old: it is not white any more until Whiten, or the collector, makes
// it so for a full cycle. Spans that have old objects only are set aside, until a full cycle finds much room there or is the next
// one: nothing is allocated in them, so that no page of theirs is written for that, and a minor cycle has nothing to sweep there.
//
//   N4. A span is on `old_` exactly if its bucket is old_bucket_; it has no white slot, unless a mutator has left one unused.
//   N5. The old_pages bits of a span are set if it has old objects.
//
// Where freed slots are clobbered, every free slot is, and each sweep looks at all of them; spans that have become empty
// are kept for a cycle more.
//
// Threads: any; one lock. Cost of taking: about 50 ns, and some more for each span that must be swept first.

#include <cstddef>
#include <cstdint>

#include "allocator/base/list.h"
#include "allocator/base/lock_rank.h"
#include "allocator/collect/clobber.h"
#include "allocator/collect/mark_bits.h"
#include "allocator/collect/slot_set.h"
#include "allocator/heap/page_heap.h"
#include "os/mutex.h"

namespace acre {

// What came of freeing an object by hand.
enum class FreeResult : uint8_t { kDone, kNotLive, kUnreachable };

class SpanPool {
 public:
  // `clears`: slots are zeroed before they count as allocated, since a marker that watches pages may look at once.
  SpanPool(SizeClass size_class, Kind kind, Freed freed = Freed::kLeft, bool clears = false, bool keeps_marks = false)
      : size_class_(size_class), kind_(kind), freed_(freed), clears_(clears), keeps_marks_(keeps_marks) {}
  SpanPool(const SpanPool&) = delete;
  SpanPool& operator=(const SpanPool&) = delete;

  // Whether a span may be made when none of those that there are has room.
  enum class Growth : bool { kRefused, kAllowed };

  // Takes the first free slots of a span, at most `most_bytes` of them, but one at least; their memory is as it was. Returns
  // how many: 0 when there is no memory, or a span would have to be made that is refused; `*taken` is left alone then.
  // `*freed_bytes` grows by what sweeping freed. REQUIRES: *taken is empty.
  uint32_t Take(PageHeap& page_heap, size_t most_bytes, Growth growth, Birth birth, SlotSet* taken,
                size_t* freed_bytes);

  // Slots that were taken, all or some of them, were not used. (While marking their white bits are clear already, and those
  // beside them are the marker's.) `*freed_bytes` grows by what sweeping freed, without them.
  void GiveBack(PageHeap& page_heap, const SlotSet& slots, Birth birth, size_t* freed_bytes);

  // The object that begins at `object` is free from now on. kNotLive: it is not this pool's, or free; kUnreachable: the last
  // cycle found it dead. `*freed_bytes` grows by what sweeping its span freed besides.
  FreeResult Free(PageHeap& page_heap, uintptr_t object, size_t* freed_bytes);

  // Whether an object begins at `object`: not a free slot, nor one that the last cycle found dead.
  bool Holds(uintptr_t object);

  // Marking has ended: every span is to be swept that may have white slots. `next`: what the next cycle will look at; before a
  // full one nothing is set aside. REQUIRES: none still is; the world is stopped.
  void BeginSweep(Extent extent = Extent::kFull, Extent next = Extent::kFull);

  // All that is allocated is white. REQUIRES: everything is swept. Cost: some 20 ns a span, with the pool's lock held.
  void Whiten();

  // What is marked, where marks are kept; of spans that are set aside all that is allocated or was taken. REQUIRES: everything is
  // swept, the world is stopped.
  MarkCount CountMarked();
  bool IsAside(const Span* span);

  // Sweeps up to `most` spans; returns how many it swept. `*freed_bytes` grows by their dead objects.
  size_t SweepSome(PageHeap& page_heap, size_t most, size_t* freed_bytes);

  os::Mutex& mutex() { return mutex_; }

  void CheckInvariants();

 private:
  static constexpr uint8_t kOldBuckets = 254;

  const SizeClassInfo& info() const { return kSizeClasses[size_class_]; }
  enum class IfEmpty : bool { kToPageHeap, kStays };
  size_t Sweep(PageHeap& page_heap, Span* span, IfEmpty if_empty);
  void CheckAndClobber(const Span* span);
  void ClobberSlots(const SlotSet& slots);
  void ClearSlots(const Span* span, uint32_t first, uint64_t slots);
  FreeResult Look(uintptr_t object, Span** span, uint32_t* slot) const;
  Span* PopUnswept();
  uint32_t TakeFrom(Span* span, size_t most_slots, Birth birth, SlotSet* taken);
  void Place(Span* span);
  void PlaceOrFree(PageHeap& page_heap, Span* span);
  bool IsSwept(const Span* span) const { return span->bucket == epoch_ || span->bucket == old_bucket_; }
  List<Span>& ListOf(const Span* span);
  void TakeOff(Span* span);
  bool HasWhite(const Span* span) const;
  bool BelongsAside(const Span* span) const;

  const SizeClass size_class_;
  const Kind kind_;
  const Freed freed_;
  const bool clears_;
  const bool keeps_marks_;
  os::Mutex mutex_{kSpanPoolRank};

  // Guarded by mutex_.
  List<Span> partial_;
  List<Span> full_;
  List<Span> old_;
  List<Span> unswept_[3];  // The last: that were old.
  size_t old_slots_ = 0;   // That are allocated, in spans on old_.
  uint32_t least_room_ = 1;  // So many free slots between old ones, and a span is allocated from.
  uint8_t epoch_ = 0;      // Counts BeginSweep, less than kOldBuckets.
  uint8_t old_bucket_ = kOldBuckets;  // One of the two that there are, in turn, from one full sweeping to the next.
};

}  // namespace acre
