#pragma once

// The ends of objects: weak references, ephemerons, finalizers and cleanups of one heap, and the order in which a cycle
// decides about them.
//
//   with the roots        queued finalizers keep their objects
//   marking is done       1. ephemerons, to a fixpoint
//                         2. finalizers of unreached objects are queued, all at once; what they reach is marked;
//                            ephemerons again
//                         3. weak references and ephemerons of what is still unmarked are cleared, entries of weak-key
//                            tables with dead keys vanish, cleanups are queued
//   the world runs again  the notifier is called if anything was queued
//
// So a finalizer may revive its object: then nothing that it reaches has lost a weak reference, an entry or a cleanup.
//
// The lock is taken by the collector before it stops the world, as that of the roots is: nobody is half-way in a table
// then. Whoever waits for it counts as stopped (BlockingLock). It must never be taken in a region, and what is called with
// it held must not allocate on the heap. Locks that are taken in regions may be taken under it: nobody is stopped while
// holding one, since every stop takes this lock first.
//
// Threads: each part says. Cost: a cycle looks at each record once; docs/ends.md.

#include <cstddef>
#include <cstdint>

#include "allocator/base/lock_rank.h"
#include "allocator/collect/cleanups.h"
#include "allocator/collect/ephemerons.h"
#include "allocator/collect/finalizers.h"
#include "allocator/collect/liveness.h"
#include "allocator/collect/weak_cells.h"
#include "os/mutex.h"

namespace acre {

class Ends {
 public:
  Ends(Metadata& metadata, os::AddressSpace& space, const ChunkTable& table, LargePool& large_pool)
      : liveness_(table, large_pool),
        weak_cells_(mutex_, metadata, space, liveness_),
        ephemerons_(mutex_, metadata, space, liveness_),
        finalizers_(mutex_, metadata, space, liveness_),
        cleanups_(mutex_, metadata, space, liveness_) {}
  Ends(const Ends&) = delete;
  Ends& operator=(const Ends&) = delete;

  WeakCells& weak_cells() { return weak_cells_; }
  Ephemerons& ephemerons() { return ephemerons_; }
  Finalizers& finalizers() { return finalizers_; }
  Cleanups& cleanups() { return cleanups_; }
  const Liveness& liveness() const { return liveness_; }

  // Called when a cycle or an explicit free has queued something, by the thread that did it, with no lock of the heap
  // held: it may use the heap and run what is queued, in the middle of whatever that thread was allocating for. Null for
  // none. To be set before other threads use the heap.
  using Notifier = void(void* context);
  void SetNotifier(Notifier* notifier, void* context) {
    notifier_ = notifier;
    notifier_context_ = context;
  }
  void Notify() const {
    if (notifier_ != nullptr) notifier_(notifier_context_);
  }

  // In the stop, with the lock held: AddRoots with the other roots, Decide when all that roots reach is marked. Decide
  // returns whether it queued anything.
  void AddRoots(Marker& marker) { finalizers_.AddRoots(marker); }
  bool Decide(Marker& marker);

  // The object is about to be freed by hand: its weak references and ephemerons are cleared, its finalizer is dropped, its
  // cleanups are queued. Returns whether any was.
  bool EndObject(uintptr_t object);

  os::Mutex& mutex() { return mutex_; }

 private:
  const Liveness liveness_;
  os::Mutex mutex_{kEndsRank};
  WeakCells weak_cells_;
  Ephemerons ephemerons_;
  Finalizers finalizers_;
  Cleanups cleanups_;
  Notifier* notifier_ = nullptr;
  void* notifier_context_ = nullptr;
};

}  // namespace acre
