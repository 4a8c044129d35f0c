#pragma once

// An experiment: a heap grows by the square root of what lives, instead of by as much. Where several heaps share a memory, the time
// that all of them together spend on marking is least so (Kirisame, Shenoy, Panchekha, "Optimal heap limits for reducing browser
// memory use", OOPSLA 2022; there the factor follows from how fast each heap allocates and marks). Here it is
// chosen so that 64 MiB double, as with the default policy: smaller heaps grow by more, larger ones by less.

#include <cmath>
#include <cstddef>
#include <cstdint>

namespace acre::experiment {

inline size_t GrowthFor(size_t live_bytes, size_t root_bytes, uint32_t gc_percent, size_t min_bytes) {
  const double looked_at = static_cast<double>(live_bytes + root_bytes);
  const double wanted = std::sqrt(looked_at * static_cast<double>(64 * kMiB)) * gc_percent / 100;
  return wanted < static_cast<double>(min_bytes) ? min_bytes : static_cast<size_t>(wanted);
}

}  // namespace acre::experiment

#define GrowthFor experiment::GrowthFor
