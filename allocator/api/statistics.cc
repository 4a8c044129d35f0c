#include "allocator/api/heap.h"

static_assert(ACRE_STOP_BUCKETS == acre::StopHistogram::kBuckets);

namespace {

// An attached thread must not be stopped while it holds the heap's locks.
acre::HeapStats StatsOf(acre_heap* heap) {
  acre::CollectedMutator* own = heap->collector.OfThisThread();
  if (own == nullptr) return heap->spans.stats();
  acre::Region region(*own);
  return heap->spans.stats();
}

}  // namespace

extern "C" {

void acre_get_statistics(acre_heap* heap, acre_statistics* statistics) {
  const acre::CycleStats cycles = heap->collector.stats();
  const acre::HeapStats stats = StatsOf(heap);
  acre_statistics result = {};
  result.struct_bytes = sizeof(acre_statistics);
  result.cycles = cycles.cycles;
  result.live_bytes = cycles.live_bytes;
  result.live_objects = cycles.live_objects;
  result.allocated_bytes = cycles.allocated_bytes;
  result.freed_bytes = cycles.freed_bytes;
  result.committed_bytes = stats.pages.small_span_bytes + stats.pages.large_bytes + stats.pages.dirty_bytes + stats.huge.bytes;
  result.root_bytes = cycles.root_bytes;
  result.mark_cpu_ns = cycles.mark_cpu_ns;
  result.total_stop_ns = cycles.stops.total_ns;
  for (size_t bucket = 0; bucket < ACRE_STOP_BUCKETS; ++bucket) result.stops[bucket] = cycles.stops.buckets[bucket];
  result.metadata_bytes = stats.space.metadata_bytes;
  result.external_bytes = heap->collector.external_bytes();
  result.held_bytes = heap->collector.HeldBytes();
  result.memory_limit_bytes = heap->collector.memory_limit_bytes();
  result.reserved_bytes = stats.space.reserved_bytes;
  result.last_stop_ns = cycles.last_stop_ns;
  result.longest_stop_ns = cycles.longest_stop_ns;
  result.concurrent_cycles = cycles.concurrent_cycles;
  result.minor_cycles = cycles.minor_cycles;
  result.repeated_stops = cycles.repeated_stops;
  *statistics = result;
}

}  // extern "C"
