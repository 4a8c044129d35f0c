#include "allocator/collect/roots.h"

#include "allocator/base/units.h"
#include "allocator/collect/marker.h"

namespace acre {

void Roots::Scan(Marker& marker, os::RootSources dropped) const {
  if (!dropped.Has(os::RootSource::kHandles)) {
    for (const RootWord* root = words_.first(); root != nullptr; root = root->next) marker.AddRoot(reinterpret_cast<uintptr_t>(root->object));
  }
  if (!dropped.Has(os::RootSource::kRanges)) {
    for (const RootRange* range = ranges_.first(); range != nullptr; range = range->next) {
      const uintptr_t base = AlignUp(reinterpret_cast<uintptr_t>(range->base), sizeof(uintptr_t));
      const uintptr_t limit = AlignDown(reinterpret_cast<uintptr_t>(range->limit), sizeof(uintptr_t));
      if (base < limit) marker.AddRootRange(base, limit);
    }
  }
  if (!dropped.Has(os::RootSource::kCallbacks)) {
    for (const RootCallback* callback = callbacks_.first(); callback != nullptr; callback = callback->next) {
      marker.TraceRoots(callback->function, callback->context);
    }
  }
}

}  // namespace acre
