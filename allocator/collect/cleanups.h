#pragma once

// Cleanups: functions that are called once after an object has died. They are not given the object, and cannot revive it:
// what is to be cleaned up is told by the context, which the cleanup does not keep alive, and which must not lead to the
// object from a root (it would never die).
//
// An object may have any number. They are queued by the cycle that finds the object dead, or by its explicit free, in the
// order in which they were added; the embedder calls Run on a thread of its choice.
//
// Threads: any mutator's; the lock of the ends, which is not held while a cleanup runs.

#include <cstddef>
#include <cstdint>

#include "allocator/base/fifo.h"
#include "allocator/collect/end_records.h"
#include "allocator/collect/liveness.h"
#include "os/mutex.h"

namespace acre {

using CleanupFunction = void(void* context);

struct Cleanup {
  Cleanup* next = nullptr;
  Cleanup* previous = nullptr;
  Cleanup* next_in_index = nullptr;
  uintptr_t object = 0;
  CleanupFunction* function = nullptr;
  void* context = nullptr;
  uint64_t number = 0;  // 0: the record is not in use.
  bool is_queued = false;

  uintptr_t indexed_object() const { return object; }
};

// Names a cleanup for good: a record is used again, its number is not.
struct CleanupHandle {
  Cleanup* record = nullptr;  // Null: there was no memory.
  uint64_t number = 0;
};

class Cleanups {
 public:
  Cleanups(os::Mutex& mutex, Metadata& metadata, os::AddressSpace& space, const Liveness& liveness)
      : mutex_(mutex), liveness_(liveness), records_(metadata), index_(space) {}

  // The object must be given by its start. A null record: no memory.
  [[nodiscard]] CleanupHandle Add(const void* object, CleanupFunction* function, void* context);

  // False: it has been called, or removed before.
  bool Remove(CleanupHandle handle);

  // Calls up to `most` queued cleanups; returns how many it called. A cleanup may do anything but not return.
  size_t Run(size_t most);

  // In the stop, with the lock held, after finalizers. Returns how many it queued.
  size_t QueueDead();

  // With the lock held: the object ends now; its cleanups are queued. Returns how many.
  size_t QueueObject(uintptr_t object);

  size_t queued_count();

 private:
  void Queue(Cleanup* cleanup);
  void Free(Cleanup* cleanup);

  os::Mutex& mutex_;
  const Liveness& liveness_;
  // Guarded by mutex_. Waiting ones are in the index, queued ones are not: their object may be another one by now.
  RecordPool<Cleanup> records_;
  ObjectIndex<Cleanup> index_;
  Fifo<Cleanup> waiting_;
  Fifo<Cleanup> queued_;
  size_t queued_count_ = 0;
  uint64_t last_number_ = 0;
};

}  // namespace acre
