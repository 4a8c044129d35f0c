#include "os/fork.h"

#include <atomic>

#include "os/mutex.h"
#include "os/thread.h"

namespace acre::os {
namespace {

struct ForkTable {
  Mutex mutex{0};  // Held from before a fork until after it, outside of the order of locks.
  ForkUser* first = nullptr;
  std::atomic<bool> has_handlers{false};
};

constinit ForkTable table;

void Prepare() {
  table.mutex.LockForFork();
  for (ForkUser* user = table.first; user != nullptr; user = user->next) user->end_work(user);
  for (ForkUser* user = table.first; user != nullptr; user = user->next) user->lock(user);
}

void InParent() {
  for (ForkUser* user = table.first; user != nullptr; user = user->next) user->in_parent(user);
  table.mutex.UnlockAfterFork();
}

void InChild() {
  for (ForkUser* user = table.first; user != nullptr; user = user->next) user->in_child(user);
  table.mutex.ResetAfterFork();
}

}  // namespace

bool ForkUsers::Add(ForkUser& user) {
  // Outside of the lock: the C library may call malloc.
  if (!table.has_handlers.exchange(true) && !OnFork(&Prepare, &InParent, &InChild)) {
    table.has_handlers.store(false);
    return false;
  }
  const MutexLock lock(table.mutex);
  user.previous = nullptr;
  user.next = table.first;
  if (table.first != nullptr) table.first->previous = &user;
  table.first = &user;
  return true;
}

void ForkUsers::Remove(ForkUser& user) {
  const MutexLock lock(table.mutex);
  (user.previous == nullptr ? table.first : user.previous->next) = user.next;
  if (user.next != nullptr) user.next->previous = user.previous;
}

}  // namespace acre::os
