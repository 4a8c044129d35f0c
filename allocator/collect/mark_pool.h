#pragma once

// What several markers share: grey objects that one gives to others, and the end of marking.
//
// A marker looks at WantsWork once a wave; while somebody sleeps it gives a full segment or half of what it has, or half
// of a range. A marker with nothing takes from here or sleeps; the one that would be the last to sleep knows that there
// is nothing left: it is told kLast, and may find more (what is pending) or end the marking.
//
// Idle markers spin for some 20 us, since one that has work mostly gives some within one; then they sleep: spinning on doubled to tripled
// the CPU time of two markers on one list.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "allocator/base/lock_rank.h"
#include "allocator/collect/grey.h"
#include "allocator/collect/mark_stack.h"
#include "os/mutex.h"
#include "os/thread.h"

namespace acre {

inline constexpr uint32_t kMaxMarkers = 64;

class MarkPool {
 public:
  enum class Next : uint8_t { kSegment, kRange, kLast, kEnd };

  struct Work {
    Next next = Next::kEnd;
    MarkSegment* segment = nullptr;
    GreyRange range;
  };

  MarkPool() = default;
  MarkPool(const MarkPool&) = delete;
  MarkPool& operator=(const MarkPool&) = delete;

  // Before `markers` threads begin.
  void Begin(uint32_t markers);

  // More sleep than there is to take.
  bool WantsWork() const { return wanted_.load(std::memory_order_relaxed) > 0; }

  void GiveSegment(MarkSegment* segment);
  [[nodiscard]] bool GiveRange(const GreyRange& range);  // False: full.

  // For a marker that has nothing left. Sleeps until there is something: work; kEnd, marking is over; or kLast, to one
  // marker while all others sleep: it is awake, and calls End if it finds nothing more.
  Work Take(uint32_t marker);

  void End();

 private:
  static constexpr size_t kMaxRanges = 256;

  bool TakeLocked(Work* work);
  void UpdateWanted();
  void WakeOne();

  os::Mutex mutex_{kMarkPoolRank};
  std::atomic<int32_t> wanted_{0};       // Written with mutex_ held, read by markers without: a hint.
  uint32_t markers_ = 0;                 // From here on guarded by mutex_.
  uint64_t sleeping_ = 0;                // A bit a marker.
  bool is_over_ = false;
  MarkSegment* segments_ = nullptr;
  uint32_t segment_count_ = 0;
  uint32_t range_count_ = 0;
  std::array<GreyRange, kMaxRanges> ranges_;
  std::array<os::Event, kMaxMarkers> events_;  // A marker waits on its own.
};

}  // namespace acre
