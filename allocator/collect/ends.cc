#include "allocator/collect/ends.h"

#include "allocator/collect/world.h"

namespace acre {

bool Ends::Decide(Marker& marker) {
  ephemerons_.BeginCycle();
  ephemerons_.Mark(marker);
  const size_t finalizers = finalizers_.QueueDead(marker);
  if (finalizers != 0) ephemerons_.Mark(marker);
  weak_cells_.ClearDead();
  ephemerons_.ClearDead();
  const size_t cleanups = cleanups_.QueueDead();
  return finalizers + cleanups != 0;
}

bool Ends::EndObject(uintptr_t object) {
  BlockingLock lock(mutex_);
  weak_cells_.DropObject(object);
  ephemerons_.DropObject(object);
  finalizers_.DropObject(object);
  return cleanups_.QueueObject(object) != 0;
}

}  // namespace acre
