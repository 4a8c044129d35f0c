#pragma once

// What keeps objects alive besides stacks: words, ranges, and callbacks that the embedder registers.
//
// The records are the embedder's own, linked into lists here: so registering needs no memory and cannot fail, and takes no
// lock but the roots'. A record must not move while it is registered.
//
// The collector locks the roots before it stops the world, so that none is half registered then. A callback runs in the
// stop: it must not allocate on the heap, nor register roots, nor take a lock that a mutator may hold.
//
// Threads: any, in no region; who waits for a collection to end counts as stopped. Cost: a lock.

#include <cstddef>
#include <cstdint>

#include "acre/internal/records.h"
#include "allocator/base/list.h"
#include "allocator/base/lock_rank.h"
#include "allocator/collect/world.h"
#include "os/debug_options.h"
#include "os/check.h"
#include "os/mutex.h"

namespace acre {

class Marker;

// The public records: see acre/acre.h.
using RootWord = acre_root;
using RootRange = acre_root_range;
using RootCallback = acre_root_callback;
using RootPin = acre_pin;  // Added by Collector::Pin.

class Roots {
 public:
  constexpr Roots() = default;
  Roots(const Roots&) = delete;
  Roots& operator=(const Roots&) = delete;

  void Add(RootWord& word) { Push(words_, word); }
  void Add(RootRange& range) { Push(ranges_, range); }
  void Add(RootCallback& callback) { Push(callbacks_, callback); }
  void Add(RootPin& pin) { Push(pins_, pin); }

  // One that is not registered is a fatal error, as far as it can be told.
  void Remove(RootWord& word) { Drop(words_, word); }
  void Remove(RootRange& range) { Drop(ranges_, range); }
  void Remove(RootCallback& callback) { Drop(callbacks_, callback); }
  void Remove(RootPin& pin) { Drop(pins_, pin); }

  // With the lock held by the caller. `dropped`: for tests; see os/debug_options.h.
  void Scan(Marker& marker, os::RootSources dropped) const;
  os::Mutex& mutex() { return mutex_; }

 private:
  template <class Root>
  void Push(List<Root>& list, Root& root) {
    BlockingLock lock(mutex_);
    list.Push(&root);
  }
  template <class Root>
  void Drop(List<Root>& list, Root& root) {
    const BlockingLock lock(mutex_);
    const bool is_there = root.previous != nullptr ? root.previous->next == &root : list.first() == &root;
    if (!is_there) os::Fatal("a root is removed that is not registered: ", os::Hex{reinterpret_cast<uintptr_t>(&root)});
    list.Remove(&root);
  }

  os::Mutex mutex_{kRootsRank};
  // Guarded by mutex_.
  List<RootWord> words_;
  List<RootRange> ranges_;
  List<RootCallback> callbacks_;
  List<RootPin> pins_;
};

}  // namespace acre
