#include "allocator/collect/mark_stack.h"

#include "arch/memory.h"
#include "os/check.h"

namespace acre {

MarkSegment* SegmentSource::Take() {
  {
    os::MutexLock lock(mutex_);
    if (MarkSegment* segment = free_) {
      free_ = segment->next;
      return segment;
    }
    if (taken_ == max_segments_) return nullptr;
    ++taken_;
  }
  void* memory = space_.AllocateMetadata(sizeof(MarkSegment), "acre: mark stack");
  if (memory == nullptr) {
    os::MutexLock lock(mutex_);
    --taken_;
  }
  return static_cast<MarkSegment*>(memory);
}

void SegmentSource::Give(MarkSegment* segment) {
  os::MutexLock lock(mutex_);
  segment->next = free_;
  free_ = segment;
}

void SegmentSource::ReleaseFree() {
  for (;;) {
    MarkSegment* segment;
    {
      os::MutexLock lock(mutex_);
      segment = free_;
      if (segment == nullptr) return;
      free_ = segment->next;
      --taken_;
    }
    space_.FreeMetadata(segment, sizeof(MarkSegment));
  }
}

void MarkStack::MakeCurrent(MarkSegment* segment, size_t count) {
  current_ = segment;
  base_ = segment->entries;
  top_ = base_ + count;
  limit_ = base_ + MarkSegment::kEntries;
}

bool MarkStack::NextSegment() {
  if (top_ == base_) return true;  // A request for more than a segment's entries would be a bug of the caller.
  MarkSegment* next = spare_;
  spare_ = nullptr;
  if (next == nullptr) next = source_.Take();
  if (next == nullptr) return false;
  current_->count = static_cast<size_t>(top_ - base_);
  current_->next = older_;
  older_ = current_;
  MakeCurrent(next, 0);
  return true;
}

bool MarkStack::PreviousSegment() {
  ASSERT(top_ == base_);
  MarkSegment* previous = older_;
  if (previous == nullptr) return false;
  MarkSegment* empty = current_;
  older_ = previous->next;
  MakeCurrent(previous, previous->count);
  // The first segment is part of this object: it is kept as the spare, in the place of one that can go.
  if (empty == &first_ || spare_ == nullptr) {
    MarkSegment* replaced = spare_;
    spare_ = empty;
    empty = replaced;
  }
  if (empty != nullptr) source_.Give(empty);
  return true;
}

MarkSegment* MarkStack::Split(size_t least) {
  // A full segment goes as it is, unless it is the one that must stay: that and the current one are halved.
  if (older_ != nullptr && older_ != &first_) {
    MarkSegment* given = older_;
    older_ = given->next;
    return given;
  }
  const bool is_first = older_ == &first_;
  const size_t count = is_first ? first_.count : static_cast<size_t>(top_ - base_);
  if (count < least) return nullptr;
  MarkSegment* given = spare_ != nullptr && spare_ != &first_ ? spare_ : source_.Take();
  if (given == nullptr) return nullptr;
  if (given == spare_) spare_ = nullptr;
  // The older half: nearer to the roots, it is likely to be worth more.
  Grey* entries = is_first ? first_.entries : base_;
  given->count = count / 2;
  arch::Move(given->entries, entries, given->count * sizeof(Grey));
  arch::Move(entries, entries + given->count, (count - given->count) * sizeof(Grey));
  if (is_first) {
    first_.count -= given->count;
  } else {
    top_ -= given->count;
  }
  return given;
}

void MarkStack::Adopt(MarkSegment* segment) {
  ASSERT(is_dry());
  MarkSegment* empty = current_;
  MakeCurrent(segment, segment->count);
  if (spare_ == nullptr || empty == &first_) {
    MarkSegment* replaced = spare_;
    spare_ = empty;
    empty = replaced;
  }
  if (empty != nullptr) source_.Give(empty);
}

void MarkStack::ReleaseSpare() {
  ASSERT(is_dry());
  if (current_ != &first_) {
    source_.Give(current_);
    MakeCurrent(&first_, 0);
    if (spare_ == &first_) spare_ = nullptr;
  }
  if (spare_ != nullptr) source_.Give(spare_);
  spare_ = nullptr;
}

}  // namespace acre
