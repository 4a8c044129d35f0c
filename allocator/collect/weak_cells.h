#pragma once

// Weak references: cells that hold an object without keeping it alive.
//
// A cell is cleared in the stop of the cycle that finds its object dead (after finalizers: what one of them revives keeps
// its cells), and when the object is freed by hand. An object may have any number of cells. They lie outside of the heap,
// so that clearing them writes to no page of it.
//
// Threads: any mutator's; Create and Destroy take the lock of the ends, Get takes none. Cost: Get a load; each cycle about
// as long for a cell as a look at its object's mark.

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "allocator/collect/end_records.h"
#include "allocator/collect/liveness.h"
#include "os/mutex.h"

namespace acre {

struct WeakCell {
  // Written by Create, in stops and by an explicit free; read by anyone.
  std::atomic<uintptr_t> object{0};
  WeakCell* next_in_index = nullptr;

  uintptr_t indexed_object() const { return object.load(std::memory_order_relaxed); }
};

class WeakCells {
 public:
  WeakCells(os::Mutex& mutex, Metadata& metadata, os::AddressSpace& space, const Liveness& liveness)
      : mutex_(mutex), liveness_(liveness), cells_(metadata), index_(space) {}

  // A cell for the object, which must be given by its start. Null: no memory.
  [[nodiscard]] WeakCell* Create(const void* object);

  // The object, or null if it has died. The caller's copy keeps it alive as any other pointer on a stack; in a heap that
  // marks beside mutators the caller is in a region, and shades it before the region ends.
  static void* Get(const WeakCell& cell) {
    return reinterpret_cast<void*>(cell.object.load(std::memory_order_relaxed));
  }

  void Destroy(WeakCell* cell);

  // In the stop, with the lock held: clears the cells of what is not marked.
  void ClearDead();

  // With the lock held: the object ends now.
  void DropObject(uintptr_t object);

  size_t count();

 private:
  os::Mutex& mutex_;
  const Liveness& liveness_;
  RecordPool<WeakCell> cells_;   // Guarded by mutex_, like the index, which holds those that are not cleared.
  ObjectIndex<WeakCell> index_;
};

}  // namespace acre
