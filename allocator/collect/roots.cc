#include "allocator/collect/roots.h"

#include "allocator/base/units.h"
#include "allocator/collect/kind.h"
#include "allocator/collect/marker.h"

namespace acre {

namespace {

// The object is kept, and what stands in the range is read here: nobody tells of writes there. Where only a trace function knows what
// is a pointer it is the whole object's.
void AddPin(const RootPin& pin, Marker& marker) {
  marker.AddRoot(reinterpret_cast<uintptr_t>(pin.object));
  switch (FormOf(pin.kind)) {
    case TraceForm::kNone: return;
    case TraceForm::kFunction: return marker.TraceObjectAsRoots(pin.kind, reinterpret_cast<uintptr_t>(pin.object), pin.object_bytes);
    default: break;
  }
  const uintptr_t base = AlignDown(reinterpret_cast<uintptr_t>(pin.base), sizeof(uintptr_t));
  const uintptr_t limit = AlignUp(reinterpret_cast<uintptr_t>(pin.limit), sizeof(uintptr_t));
  if (base < limit) marker.AddRootRange(base, limit);
}

}  // namespace

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
  if (!dropped.Has(os::RootSource::kPins)) {
    for (const RootPin* pin = pins_.first(); pin != nullptr; pin = pin->next) AddPin(*pin, marker);
  }
}

}  // namespace acre
