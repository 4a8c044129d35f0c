#pragma once

// Finalizers: functions that are called once with an object that nothing else reaches any more, and may revive it.
//
// The cycle that finds such an object keeps it, with all that it reaches, and queues its finalizer; the embedder calls Run
// on a thread of its choice. All unreached objects with finalizers are queued in the same cycle, in the order in which the
// finalizers were set, also when one of them reaches another, or itself: there is no order that would do for cycles, and a
// finalizer finds everything that its object reaches as it was. While it is queued the object is a root. Afterwards it is
// an object like any other, without a finalizer until one is set again.
//
// Threads: any mutator's; the lock of the ends, which is not held while a finalizer runs.

#include <cstddef>
#include <cstdint>

#include "allocator/base/fifo.h"
#include "allocator/collect/end_records.h"
#include "allocator/collect/liveness.h"
#include "allocator/collect/marker.h"
#include "os/mutex.h"

namespace acre {

using FinalizerFunction = void(void* object, void* context);

class Finalizers {
 public:
  Finalizers(os::Mutex& mutex, Metadata& metadata, os::AddressSpace& space, const Liveness& liveness)
      : mutex_(mutex), liveness_(liveness), records_(metadata), index_(space) {}

  // The object must be given by its start. A finalizer that it has, queued or not, is replaced. What `context` points to
  // is not kept. False: no memory, and nothing has changed.
  [[nodiscard]] bool Set(const void* object, FinalizerFunction* function, void* context);

  // False: it has none, or it has been called.
  bool Remove(const void* object);

  // Calls up to `most` queued finalizers; returns how many it called. A finalizer may do anything but not return.
  size_t Run(size_t most);

  // In the stop, with the lock held: queued objects are roots; then, when everything else is marked, what is unreached is
  // queued and becomes a root. QueueDead returns how many it queued.
  void AddRoots(Marker& marker) const;
  size_t QueueDead(Marker& marker);

  // With the lock held: the object ends now.
  void DropObject(uintptr_t object);

  size_t queued_count();

 private:
  struct Finalizer {
    Finalizer* next = nullptr;
    Finalizer* previous = nullptr;
    Finalizer* next_in_index = nullptr;
    uintptr_t object = 0;
    FinalizerFunction* function = nullptr;
    void* context = nullptr;
    bool is_queued = false;

    uintptr_t indexed_object() const { return object; }
  };
  void Unlink(Finalizer* finalizer);

  os::Mutex& mutex_;
  const Liveness& liveness_;
  // Guarded by mutex_. At most one record for an object, on one of the two lists.
  RecordPool<Finalizer> records_;
  ObjectIndex<Finalizer> index_;
  Fifo<Finalizer> waiting_;
  Fifo<Finalizer> queued_;
  size_t queued_count_ = 0;
};

}  // namespace acre
