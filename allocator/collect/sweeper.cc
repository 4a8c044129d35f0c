#include "allocator/collect/sweeper.h"

namespace acre {

void Sweeper::Begin(Extent extent, Extent next) {
  large_pool_.BeginSweep();
  for (std::atomic<SpanPool*>& place : pools_) {
    SpanPool* row = place.load(std::memory_order_acquire);
    if (row == nullptr) continue;
    for (uint32_t number = 1; number < kSizeClassCount; ++number) row[number].BeginSweep(extent, next);
  }
  const uint64_t cycle = place_.load(std::memory_order_relaxed) >> 32;
  place_.store((cycle + 1) << 32, std::memory_order_release);
}

size_t Sweeper::SweepAt(uint32_t place, size_t most, size_t* freed_bytes) {
  if (place == 0) return large_pool_.SweepSome(most, freed_bytes);
  SpanPool* row = pools_[(place - 1) / kSizeClassCount].load(std::memory_order_acquire);
  const uint32_t size_class = (place - 1) % kSizeClassCount;
  if (row == nullptr || size_class == 0) return 0;
  return row[size_class].SweepSome(page_heap_, most, freed_bytes);
}

// The place behind one where nothing is left. A row that is not there is passed as a whole: one that is made meanwhile has
// nothing to sweep in this cycle.
uint32_t Sweeper::PlaceAfter(uint32_t place) const {
  if (place == 0) return 1;
  const uint32_t number = (place - 1) / kSizeClassCount;
  if (pools_[number].load(std::memory_order_acquire) != nullptr) return place + 1;
  return 1 + (number + 1) * kSizeClassCount;
}

bool Sweeper::SweepSome(size_t most) {
  for (;;) {
    uint64_t place = place_.load(std::memory_order_acquire);
    const auto number = static_cast<uint32_t>(place);
    if (number >= kPlaces) return false;
    size_t freed = 0;
    const size_t swept = SweepAt(number, most, &freed);
    if (freed != 0) AddFreed(freed);
    if (swept == most) return true;
    (void)place_.compare_exchange_strong(place, place - number + PlaceAfter(number), std::memory_order_acq_rel);
    if (swept != 0) return true;
  }
}

void Sweeper::Reclaim(size_t bytes) {
  if (is_done()) return;
  const size_t before = freed_bytes();
  for (uint32_t step = 0; step < kReclaimSteps && freed_bytes() - before < bytes; ++step) {
    if (!SweepSome(kReclaimSpans)) return;
  }
}

}  // namespace acre
