#pragma once

// Large and huge objects that the collector frees.
//
// A large object has a span of its own in a chunk; its mark is bit 0 of its first page's line. A huge one has chunks of its
// own, and no page record: its record here holds its mark, and marking asks for it by MarkHuge and TakeHuge.
//
// Where freed memory is clobbered, a dead large object keeps its pages for a cycle more. A huge one's are unmapped at once:
// who touches it faults.
//
// Threads: any; one lock, under which a huge object is marked too (there are few).

#include <cstddef>
#include <cstdint>

#include "allocator/base/list.h"
#include "allocator/base/lock_rank.h"
#include "allocator/base/metadata.h"
#include "allocator/collect/clobber.h"
#include "allocator/collect/mark_bits.h"
#include "allocator/collect/mark_context.h"
#include "allocator/collect/span_pool.h"
#include "allocator/heap/huge_list.h"
#include "allocator/heap/page_heap.h"
#include "os/mutex.h"

namespace acre {

class LargePool {
 public:
  // `keeps_marks`: as in SpanPool.
  LargePool(PageHeap& page_heap, HugeList& huge_list, Metadata& metadata, Freed freed = Freed::kLeft,
            bool keeps_marks = false)
      : page_heap_(page_heap), huge_list_(huge_list), metadata_(metadata), freed_(freed), keeps_marks_(keeps_marks) {}
  LargePool(const LargePool&) = delete;
  LargePool& operator=(const LargePool&) = delete;

  // An object of at least `bytes`, and whether it is zeroed. Null when there is no memory. `*taken_bytes` is its size.
  [[nodiscard]] void* Allocate(Kind kind, size_t bytes, Birth birth, bool* is_zeroed, size_t* taken_bytes);

  // For the marker.
  HugeObjects huge_objects();

  // The huge object that the word points into, and whether it is marked; a base of 0 if there is none.
  struct HugeView {
    uintptr_t base = 0;
    size_t bytes = 0;
    Kind kind = 0;
    bool is_dead = false;  // Found so by the last cycle, and not swept yet.
    bool is_marked = false;
  };
  HugeView FindHuge(uintptr_t word);

  // Like SpanPool's; of large and huge objects. `*bytes` is the object's size.
  FreeResult Free(uintptr_t object, size_t* bytes);
  FreeResult Look(uintptr_t object, size_t* bytes);

  // Before marking: no huge object is marked.
  void ClearMarks();

  // Every large object is white.
  void Whiten();

  // Marking has ended. REQUIRES: the world is stopped, everything is swept.
  void BeginSweep();

  // Frees up to `most` objects that were not reached; returns how many it looked at.
  size_t SweepSome(size_t most, size_t* freed_bytes);

  struct Huge {
    Huge* next;
    Huge* previous;
    uintptr_t base;
    size_t bytes;
    Kind kind;
    bool is_marked;
    bool is_reached;  // The verifier's mark.
    Huge* next_grey;
    bool is_watched;  // heap_watch.h
  };

  // A copy of the first one behind the address. False: there is none.
  bool NextHuge(uintptr_t after, Huge* next);

  void SetWatched(uintptr_t base, bool is_watched);

  // Calls visit(huge) for each. REQUIRES: the world is stopped, everything is swept.
  template <class Visit>
  void ForEachHuge(Visit visit) {
    os::MutexLock lock(mutex_);
    for (Huge* huge = huge_.first(); huge != nullptr; huge = huge->next) visit(*huge);
  }

  // Swept large objects are allocated and not white, dead ones neither. REQUIRES: everything is swept.
  void CheckInvariants();

  os::Mutex& mutex() { return mutex_; }

  // Of marked large objects, at any time.
  MarkCount CountMarkedLarge();

  // Of marked huge objects, whose marks are not in white lines.
  size_t marked_huge_bytes() const { return marked_huge_bytes_; }
  size_t marked_huge_objects() const { return marked_huge_objects_; }

 private:
  static bool Mark(void* self, uintptr_t word);
  static bool Take(void* self, uintptr_t* base, size_t* bytes, Kind* kind);
  FreeResult LookAtLarge(uintptr_t object, Span** span) const;
  void FreeHuge(Huge* huge);
  void FreeLarge(Span* span);
  void* AllocateHuge(Kind kind, size_t bytes, Birth birth, bool* is_zeroed, size_t* taken_bytes);

  PageHeap& page_heap_;
  HugeList& huge_list_;
  Metadata& metadata_;
  const Freed freed_;
  const bool keeps_marks_;
  os::Mutex mutex_{kLargePoolRank};

  // Guarded by mutex_.
  List<Span> large_;
  List<Span> unswept_large_;
  List<Span> dead_large_;          // Clobbered; their pages go back when the next cycle has looked at them.
  List<Span> unswept_dead_large_;
  List<Huge> huge_;
  List<Huge> unswept_huge_;
  Huge* grey_ = nullptr;
  size_t marked_huge_bytes_ = 0;
  size_t marked_huge_objects_ = 0;
  uint8_t epoch_ = 0;  // Counts BeginSweep; a large object is swept if its span's bucket is this.
};

}  // namespace acre
