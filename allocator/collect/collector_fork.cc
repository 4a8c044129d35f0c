#include "allocator/collect/collector.h"
#include "os/check.h"

// A collected heap over a fork (os/fork.h).
//
// First the cycle's lock is taken, and a marking that goes on is ended: no collection is under way then, and nobody is stopped or asked to stop. While the
// forking thread waits for it, it counts as stopped. Then every other lock is taken in the order of ranks, so that all
// lists are whole. Threads that use the heap without a lock at that moment are merely cut off, wherever they are: what
// they were about to do did not happen.
//
// In the child only the forking thread's mutators are left, and those that are parked. Runs of the others stay as they
// are: nobody consumes them, nothing reaches their slots, and the next cycle but one frees them. The rows that they stood in
// are freed: else a chain of forks would lose 8 KiB for each kind and thread of every generation.

namespace acre {

bool Collector::AddForkUser() {
  fork_.collector = this;
  fork_.end_work = [](os::ForkUser* user) { static_cast<Fork*>(user)->collector->EndWorkForFork(); };
  fork_.lock = [](os::ForkUser* user) { static_cast<Fork*>(user)->collector->LockForFork(); };
  fork_.in_parent = [](os::ForkUser* user) { static_cast<Fork*>(user)->collector->UnlockAfterFork(); };
  fork_.in_child = [](os::ForkUser* user) { static_cast<Fork*>(user)->collector->AfterForkInChild(); };
  fork_.is_added = os::ForkUsers::Add(fork_);
  return fork_.is_added;
}

void Collector::EndWorkForFork() {
  const CollectedMutator* own = OfThisThread();
  if (own != nullptr && own->is_collecting) os::Fatal("fork within a collection (a trace function or a callback)");
  fork_.is_in_shortage = own != nullptr && own->is_in_shortage;
  World::WaitAsStopped([](void* mutex) { static_cast<os::Mutex*>(mutex)->LockForFork(); }, &cycle_mutex_);
  EndMarkingBeside();
}

void Collector::LockForFork() {
  scavenger_.work_mutex().LockForFork();
  roots_.mutex().LockForFork();
  ends_.mutex().LockForFork();
  world_.mutex().LockForFork();
  kinds_mutex_.LockForFork();
  helpers_.work_mutex().LockForFork();
  for (uint32_t number = 0; number < kMaxKinds; ++number) {
    SpanPool* row = pools_[number].load(std::memory_order_acquire);
    fork_.locked[number] = row;
    if (row == nullptr) continue;
    for (uint32_t size_class = 1; size_class < kSizeClassCount; ++size_class) row[size_class].mutex().LockForFork();
  }
  large_pool_.mutex().LockForFork();
  heap_.LockAll();
}

void Collector::UnlockAfterFork() {
  heap_.UnlockAll();
  large_pool_.mutex().UnlockAfterFork();
  // A row that came in between was not locked.
  for (SpanPool* row : fork_.locked) {
    if (row == nullptr) continue;
    for (uint32_t size_class = 1; size_class < kSizeClassCount; ++size_class) row[size_class].mutex().UnlockAfterFork();
  }
  helpers_.work_mutex().UnlockAfterFork();
  kinds_mutex_.UnlockAfterFork();
  world_.mutex().UnlockAfterFork();
  ends_.mutex().UnlockAfterFork();
  roots_.mutex().UnlockAfterFork();
  scavenger_.work_mutex().UnlockAfterFork();
  cycle_mutex_.UnlockAfterFork();
}

void Collector::AfterForkInChild() {
  helpers_.AfterForkInChild();
  scavenger_.AfterForkInChild();
  Standing* lost = world_.AfterForkInChild();
  if (!fork_.is_in_shortage) {
    // Another thread may have been in a callback of the embedder's, which is not waited for.
    shortage_mutex_.ResetAfterFork();
    heap_.page_heap().set_limit_bytes(options_.hard_limit_bytes);
  }
  // In a row that came in between another thread may hold a lock; but it waited for memory then, and the pool is empty.
  for (uint32_t number = 0; number < kMaxKinds; ++number) {
    SpanPool* row = pools_[number].load(std::memory_order_acquire);
    if (row == nullptr || row == fork_.locked[number]) continue;
    for (uint32_t size_class = 1; size_class < kSizeClassCount; ++size_class) row[size_class].mutex().ResetAfterFork();
  }
  UnlockAfterFork();
  for (; lost != nullptr; lost = lost->next_in_world) FreeRows(*static_cast<CollectedMutator*>(lost));
}

}  // namespace acre
