#include "allocator/collect/cleanups.h"

#include "allocator/collect/world.h"

namespace acre {

CleanupHandle Cleanups::Add(const void* object, CleanupFunction* function, void* context) {
  const auto address = reinterpret_cast<uintptr_t>(object);
  BlockingLock lock(mutex_);
  if (!liveness_.IsStart(address)) os::Fatal("cleanup for ", os::Hex{address}, ": not the start of an object");
  Cleanup* cleanup = records_.Allocate();
  if (cleanup == nullptr) return {};
  cleanup->object = address;
  cleanup->function = function;
  cleanup->context = context;
  cleanup->number = ++last_number_;
  index_.Add(cleanup);
  waiting_.Append(cleanup);
  return {.record = cleanup, .number = cleanup->number};
}

bool Cleanups::Remove(CleanupHandle handle) {
  BlockingLock lock(mutex_);
  // Memory of records stays; the number says whether it is still this one.
  Cleanup* cleanup = handle.record;
  if (cleanup == nullptr || cleanup->number != handle.number) return false;
  if (cleanup->is_queued) {
    queued_.Remove(cleanup);
    --queued_count_;
  } else {
    index_.Remove(cleanup);
    waiting_.Remove(cleanup);
  }
  Free(cleanup);
  return true;
}

void Cleanups::Free(Cleanup* cleanup) {
  cleanup->number = 0;
  records_.Free(cleanup);
}

size_t Cleanups::Run(size_t most) {
  size_t called = 0;
  for (; called < most; ++called) {
    CleanupFunction* function;
    void* context;
    {
      BlockingLock lock(mutex_);
      Cleanup* cleanup = queued_.Pop();
      if (cleanup == nullptr) return called;
      --queued_count_;
      function = cleanup->function;
      context = cleanup->context;
      Free(cleanup);
    }
    function(context);
  }
  return called;
}

void Cleanups::Queue(Cleanup* cleanup) {
  index_.Remove(cleanup);
  waiting_.Remove(cleanup);
  queued_.Append(cleanup);
  cleanup->is_queued = true;
  ++queued_count_;
}

size_t Cleanups::QueueDead() {
  size_t count = 0;
  for (Cleanup* cleanup = waiting_.first(); cleanup != nullptr;) {
    Cleanup* const next = cleanup->next;
    if (!liveness_.IsMarked(cleanup->object)) {
      Queue(cleanup);
      ++count;
    }
    cleanup = next;
  }
  return count;
}

size_t Cleanups::QueueObject(uintptr_t object) {
  size_t count = 0;
  // The index has the newest first: the oldest is looked for each time, of the few that an object has.
  while (Cleanup* oldest = index_.First(object)) {
    for (Cleanup* other = oldest; other != nullptr; other = ObjectIndex<Cleanup>::Next(other)) {
      if (other->number < oldest->number) oldest = other;
    }
    Queue(oldest);
    ++count;
  }
  return count;
}

size_t Cleanups::queued_count() {
  BlockingLock lock(mutex_);
  return queued_count_;
}

}  // namespace acre
