#pragma once

// Sweeping between two cycles: spans are swept before they are allocated from (SpanPool::Take), a few more by whoever would
// have to make a new span else, and all of them by a helper in the background. What is left the next cycle sweeps before
// it begins.
//
// Pools are swept one after the other: large objects first, which free most at once, then each class of each kind. The
// place is one word, the cycle's number and the pool's; it moves on when somebody has found nothing left in the pool,
// which stays so until the next cycle. So all is swept when it is behind the last pool, whoever did it, and nobody who
// was late with an earlier cycle can move it.
//
// Threads: any, but for Begin, for which the world is stopped and everything swept.

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "allocator/collect/large_pool.h"
#include "allocator/collect/span_pool.h"

namespace acre {

class Sweeper {
 public:
  // A row of pools for each number of a kind, one for each class; null where there is none yet.
  using Pools = std::atomic<SpanPool*>[kMaxKinds];

  Sweeper(PageHeap& page_heap, Pools& pools, LargePool& large_pool)
      : page_heap_(page_heap), pools_(pools), large_pool_(large_pool) {}
  Sweeper(const Sweeper&) = delete;
  Sweeper& operator=(const Sweeper&) = delete;

  // Marking has ended: everything is to be swept that may have white objects.
  void Begin(Extent extent = Extent::kFull, Extent next = Extent::kFull);

  // Sweeps up to `most` spans, with a pool's lock held meanwhile (about 50 ns a span). False if there is nothing left.
  bool SweepSome(size_t most);

  // Before the heap takes more pages: sweeps until `bytes` were freed, but not for long.
  void Reclaim(size_t bytes);

  bool is_done() const { return static_cast<uint32_t>(place_.load(std::memory_order_acquire)) >= kPlaces; }
  void AddFreed(size_t bytes) { freed_bytes_.fetch_add(bytes, std::memory_order_relaxed); }
  size_t freed_bytes() const { return freed_bytes_.load(std::memory_order_relaxed); }

 private:
  static constexpr uint32_t kPlaces = 1 + kMaxKinds * kSizeClassCount;
  static constexpr size_t kReclaimSpans = 16;    // At a time, and
  static constexpr uint32_t kReclaimSteps = 8;   // at most so often.

  size_t SweepAt(uint32_t place, size_t most, size_t* freed_bytes);
  uint32_t PlaceAfter(uint32_t place) const;

  PageHeap& page_heap_;
  Pools& pools_;
  LargePool& large_pool_;
  std::atomic<uint64_t> place_{kPlaces};  // The number of the pool that is swept, in the lower half; of the cycle, above.
  std::atomic<size_t> freed_bytes_{0};
};

}  // namespace acre
