#include "allocator/collect/finalizers.h"

#include "allocator/collect/world.h"

namespace acre {

bool Finalizers::Set(const void* object, FinalizerFunction* function, void* context) {
  const auto address = reinterpret_cast<uintptr_t>(object);
  BlockingLock lock(mutex_);
  if (!liveness_.IsStart(address)) os::Fatal("finalizer for ", os::Hex{address}, ": not the start of an object");
  Finalizer* finalizer = index_.First(address);
  if (finalizer != nullptr) {
    Unlink(finalizer);
  } else {
    finalizer = records_.Allocate();
    if (finalizer == nullptr) return false;
    finalizer->object = address;
    index_.Add(finalizer);
  }
  finalizer->function = function;
  finalizer->context = context;
  waiting_.Append(finalizer);
  return true;
}

bool Finalizers::Remove(const void* object) {
  BlockingLock lock(mutex_);
  Finalizer* finalizer = index_.First(reinterpret_cast<uintptr_t>(object));
  if (finalizer == nullptr) return false;
  DropObject(finalizer->object);
  return true;
}

// Off the list it is on.
void Finalizers::Unlink(Finalizer* finalizer) {
  if (!finalizer->is_queued) {
    waiting_.Remove(finalizer);
    return;
  }
  queued_.Remove(finalizer);
  finalizer->is_queued = false;
  --queued_count_;
}

void Finalizers::DropObject(uintptr_t object) {
  Finalizer* finalizer = index_.First(object);
  if (finalizer == nullptr) return;
  Unlink(finalizer);
  index_.Remove(finalizer);
  records_.Free(finalizer);
}

size_t Finalizers::Run(size_t most) {
  size_t called = 0;
  for (; called < most; ++called) {
    uintptr_t object;
    FinalizerFunction* function;
    void* context;
    {
      BlockingLock lock(mutex_);
      const Finalizer* finalizer = queued_.first();
      if (finalizer == nullptr) return called;
      object = finalizer->object;
      function = finalizer->function;
      context = finalizer->context;
      DropObject(object);
    }
    // From here on this thread's stack and registers keep the object.
    function(reinterpret_cast<void*>(object), context);
  }
  return called;
}

void Finalizers::AddRoots(Marker& marker) const {
  for (const Finalizer* finalizer = queued_.first(); finalizer != nullptr; finalizer = finalizer->next) {
    marker.AddRoot(finalizer->object);
  }
}

size_t Finalizers::QueueDead(Marker& marker) {
  Finalizer* const last_before = queued_.last();
  size_t count = 0;
  for (Finalizer* finalizer = waiting_.first(); finalizer != nullptr;) {
    Finalizer* const next = finalizer->next;
    if (!liveness_.IsMarked(finalizer->object)) {
      waiting_.Remove(finalizer);
      queued_.Append(finalizer);
      finalizer->is_queued = true;
      ++count;
    }
    finalizer = next;
  }
  // Only now: marking one must not hide that another was unreached.
  const Finalizer* finalizer = last_before == nullptr ? queued_.first() : last_before->next;
  for (; finalizer != nullptr; finalizer = finalizer->next) marker.AddRoot(finalizer->object);
  queued_count_ += count;
  return count;
}

size_t Finalizers::queued_count() {
  BlockingLock lock(mutex_);
  return queued_count_;
}

}  // namespace acre
