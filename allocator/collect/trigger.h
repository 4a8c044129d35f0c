#pragma once

// The policy of when to collect: how much may be allocated after a cycle before the next one begins.
//
// `gc_percent` of what a cycle had to look at, which is what it found alive and its roots; small heaps count double, up to
// kSmallHeapBytes, since extra memory should grow more slowly than the heap (Kirisame, Shenoy, Panchekha, "Optimal heap
// limits for reducing browser memory use", OOPSLA 2022). So at 100 percent a heap of 64 MiB and more doubles, one of 32 MiB
// or less triples. Figures for binary trees: docs/performance.md.
//
// No state: any thread.

#include <cstddef>
#include <cstdint>

#include "allocator/base/units.h"

namespace acre {

inline constexpr size_t kSmallHeapBytes = 64 * kMiB;

inline constexpr uint32_t kMaxGcPercent = 10'000;  // No product below overflows: addresses have 48 bits.

// In bytes; at least `min_bytes`. REQUIRES: gc_percent <= kMaxGcPercent.
constexpr size_t TriggerFor(size_t live_bytes, size_t root_bytes, uint32_t gc_percent, size_t min_bytes) {
  const size_t looked_at = live_bytes + root_bytes;
  const size_t doubled = 2 * looked_at < kSmallHeapBytes ? 2 * looked_at : kSmallHeapBytes;
  const size_t counted = looked_at < doubled ? doubled : looked_at;
  const size_t wanted = counted / 100 * gc_percent;
  return wanted < min_bytes ? min_bytes : wanted;
}

}  // namespace acre
