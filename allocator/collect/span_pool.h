#pragma once

// The spans of one size class and one kind whose objects the collector frees.
//
// Mutators take *runs*: neighbouring free slots of a span, which they consume by bumping. A run's slots have their
// allocation bits set when it is taken; what is left of it when its mutator goes away is given back.
//
// Sweeping a span takes its white line out of its allocation line: that is all. It happens when a run is needed, or by
// SweepSome. Every span must be swept before marks are cleared for the next cycle.
//
// Invariants (CheckInvariants):
//   N1. A swept span is on `partial` exactly if it has a free slot, else on `full`.
//   N2. span->free_slots is the number of zero allocation bits of a swept span.
//   N3. A span is swept exactly if its `bucket` is the pool's epoch. An unswept one is on unswept_[0] if it had free slots
//       before, else on unswept_[1].
//
// Where freed slots are clobbered, every free slot is, and each sweep looks at all of them; spans that have become empty
// are kept for a cycle more.
//
// Threads: any; one lock. Cost of a run: about 50 ns, and some more for each span that must be swept first.

#include <cstddef>
#include <cstdint>

#include "allocator/base/list.h"
#include "allocator/base/lock_rank.h"
#include "allocator/collect/clobber.h"
#include "allocator/heap/page_heap.h"
#include "os/mutex.h"

namespace acre {

// What came of freeing an object by hand.
enum class FreeResult : uint8_t { kDone, kNotLive, kUnreachable };

struct Room {
  uintptr_t base = 0;
  uintptr_t limit = 0;

  size_t bytes() const { return limit - base; }
};

class SpanPool {
 public:
  SpanPool(SizeClass size_class, Kind kind, Freed freed = Freed::kLeft)
      : size_class_(size_class), kind_(kind), freed_(freed) {}
  SpanPool(const SpanPool&) = delete;
  SpanPool& operator=(const SpanPool&) = delete;

  // Whether a span may be made when none of those that there are has room.
  enum class Growth : bool { kRefused, kAllowed };

  // A run of at most `most_bytes`, but of one slot at least; its memory is as it was. Empty when there is no memory, or a
  // span would have to be made that is refused. `*freed_bytes` grows by what sweeping freed.
  Room Take(PageHeap& page_heap, size_t most_bytes, Growth growth, size_t* freed_bytes);

  // The slots of a run from `room.base` on were not used. `*freed_bytes` grows by what sweeping freed, without them.
  void GiveBack(PageHeap& page_heap, Room room, size_t* freed_bytes);

  // The object that begins at `object` is free from now on. kNotLive: it is not this pool's, or free; kUnreachable: the last
  // cycle found it dead. `*freed_bytes` grows by what sweeping its span freed besides.
  FreeResult Free(PageHeap& page_heap, uintptr_t object, size_t* freed_bytes);

  // Whether an object begins at `object`: not a free slot, nor one that the last cycle found dead.
  bool Holds(uintptr_t object);

  // Marking has ended: every span is to be swept. REQUIRES: none still is; the world is stopped.
  void BeginSweep();

  // Sweeps up to `most` spans; returns how many it swept. `*freed_bytes` grows by their dead objects.
  size_t SweepSome(PageHeap& page_heap, size_t most, size_t* freed_bytes);

  os::Mutex& mutex() { return mutex_; }

  void CheckInvariants();

 private:
  const SizeClassInfo& info() const { return kSizeClasses[size_class_]; }
  size_t Sweep(PageHeap& page_heap, Span* span);
  void CheckAndClobber(const Span* span);
  FreeResult Look(uintptr_t object, Span** span, uint32_t* slot) const;
  Span* PopUnswept();
  Room TakeFrom(Span* span, size_t most_slots);
  void Place(Span* span);
  void PlaceOrFree(PageHeap& page_heap, Span* span);

  const SizeClass size_class_;
  const Kind kind_;
  const Freed freed_;
  os::Mutex mutex_{kSpanPoolRank};

  // Guarded by mutex_.
  List<Span> partial_;
  List<Span> full_;
  List<Span> unswept_[2];
  uint8_t epoch_ = 0;  // Counts BeginSweep.
};

}  // namespace acre
