#include "allocator/collect/mark_pool.h"

#include <bit>
#include <limits>

#include "arch/cpu.h"
#include "os/check.h"

namespace acre {

// Some 20 us: a marker that has work gives some of it within a wave, which takes less than one. Sleeping and being woken
// took both markers 50 us a time.
constexpr int kSpins = 1000;

void MarkPool::Begin(uint32_t markers) {
  CHECK(markers <= kMaxMarkers);
  os::MutexLock lock(mutex_);
  markers_ = markers;
  is_over_ = false;
  CHECK(segments_ == nullptr);
  CHECK(range_count_ == 0);
  CHECK(sleeping_ == 0);
}

void MarkPool::UpdateWanted() {
  const int32_t sleeping = std::popcount(sleeping_);
  wanted_.store(sleeping - static_cast<int32_t>(segment_count_ + range_count_), std::memory_order_relaxed);
}

// The sleeper's bit goes at once, so that two gifts wake two markers.
void MarkPool::WakeOne() {
  if (sleeping_ == 0) return;
  const auto marker = static_cast<uint32_t>(std::countr_zero(sleeping_));
  sleeping_ &= sleeping_ - 1;
  events_[marker].Signal();
}

void MarkPool::GiveSegment(MarkSegment* segment) {
  os::MutexLock lock(mutex_);
  segment->next = segments_;
  segments_ = segment;
  ++segment_count_;
  WakeOne();
  UpdateWanted();
}

bool MarkPool::GiveRange(const GreyRange& range) {
  os::MutexLock lock(mutex_);
  if (range_count_ == kMaxRanges) return false;
  ranges_[range_count_++] = range;
  WakeOne();
  UpdateWanted();
  return true;
}

bool MarkPool::TakeLocked(Work* work) {
  if (segments_ != nullptr) {
    work->next = Next::kSegment;
    work->segment = segments_;
    segments_ = segments_->next;
    --segment_count_;
  } else if (range_count_ > 0) {
    work->next = Next::kRange;
    work->range = ranges_[--range_count_];
  } else if (is_over_) {
    work->next = Next::kEnd;
  } else {
    return false;
  }
  return true;
}

MarkPool::Work MarkPool::Take(uint32_t marker) {
  Work work;
  for (;;) {
    {
      os::MutexLock lock(mutex_);
      // A marker that was woken for a gift which another one took first may still have its bit: not now.
      sleeping_ &= ~(uint64_t{1} << marker);
      const bool is_something = TakeLocked(&work);
      if (!is_something) {
        if (static_cast<uint32_t>(std::popcount(sleeping_)) + 1 == markers_) {
          work.next = Next::kLast;
          return work;
        }
        sleeping_ |= uint64_t{1} << marker;
      }
      UpdateWanted();
      if (is_something) return work;
    }
    for (int spin = 0; spin < kSpins && !events_[marker].IsSignalled(); ++spin) arch::CpuRelax();
    (void)events_[marker].Wait(std::numeric_limits<uint64_t>::max());
  }
}

void MarkPool::End() {
  os::MutexLock lock(mutex_);
  is_over_ = true;
  while (sleeping_ != 0) WakeOne();
  UpdateWanted();
}

}  // namespace acre
