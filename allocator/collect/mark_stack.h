#pragma once

// The stack of grey objects: segments of 64 KiB, one behind the other.
//
// One marker pushes and pops in its current segment by a bare pointer; full segments behind it are what it can give to
// others, whole. Memory comes from the kernel a segment at a time and goes back when marking ends; the first segment is
// always there. Where the kernel (or the limit) refuses, Reserve says no, and the caller notes what it cannot push as
// pending in mark bits.
//
// Threads: one marker. The source is shared by all markers.

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "allocator/base/lock_rank.h"
#include "allocator/base/units.h"
#include "allocator/collect/grey.h"
#include "os/address_space.h"
#include "os/check.h"
#include "os/mutex.h"

namespace acre {

struct MarkSegment {
  static constexpr size_t kBytes = 64 * kKiB;
  static constexpr size_t kEntries = (kBytes - 2 * sizeof(uint64_t)) / sizeof(Grey);

  MarkSegment* next;
  size_t count;  // While it is not the current one of a stack.
  Grey entries[kEntries];
};
static_assert(sizeof(MarkSegment) == MarkSegment::kBytes);

// Where segments come from, and where empty ones wait to be used again.
class SegmentSource {
 public:
  SegmentSource(os::AddressSpace& space, size_t max_segments) : space_(space), max_segments_(max_segments) {}
  ~SegmentSource() { ReleaseFree(); }
  SegmentSource(const SegmentSource&) = delete;
  SegmentSource& operator=(const SegmentSource&) = delete;

  [[nodiscard]] MarkSegment* Take();  // Null when there is no memory.
  void Give(MarkSegment* segment);
  void ReleaseFree();                 // Free segments go back to the kernel.

 private:
  os::AddressSpace& space_;
  const size_t max_segments_;
  os::Mutex mutex_{kMarkPoolRank};
  MarkSegment* free_ = nullptr;  // Guarded by mutex_.
  size_t taken_ = 0;             // Guarded by mutex_. From the kernel, free ones included.
};

class MarkStack {
 public:
  explicit MarkStack(SegmentSource& source) : source_(source) {}
  MarkStack(const MarkStack&) = delete;
  MarkStack& operator=(const MarkStack&) = delete;

  // The current segment's entries are [base, top). A caller may write up to limit and then set the top.
  Grey* base() const { return base_; }
  Grey* top() const { return top_; }
  Grey* limit() const { return limit_; }
  void set_top(Grey* top) {
    ASSERT(base_ <= top && top <= limit_);
    top_ = top;
  }

  bool is_dry() const { return top_ == base_ && older_ == nullptr; }

  // Makes room for `count` entries (at most a segment's) at the top. False: there is none, and no memory.
  bool Reserve(size_t count) { return static_cast<size_t>(limit_ - top_) >= count || NextSegment(); }

  // REQUIRES: the current segment is empty. Makes an older one current; false if there is none.
  bool PreviousSegment();

  // Takes a full segment out, or half of the current one's entries. Null: there is too little, or no memory.
  MarkSegment* Split(size_t least);

  // Takes over a segment's entries. REQUIRES: is_dry.
  void Adopt(MarkSegment* segment);

  // The spare segment goes back to the source.
  void ReleaseSpare();

 private:
  bool NextSegment();
  void MakeCurrent(MarkSegment* segment, size_t count);

  SegmentSource& source_;
  MarkSegment* current_ = &first_;
  MarkSegment* older_ = nullptr;  // Full ones, the newest first.
  MarkSegment* spare_ = nullptr;  // So that a stack whose top moves around the end of a segment takes no lock.
  Grey* base_ = first_.entries;
  Grey* top_ = first_.entries;
  Grey* limit_ = first_.entries + MarkSegment::kEntries;
  MarkSegment first_;
};

}  // namespace acre
