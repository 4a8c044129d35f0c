#pragma once

// Where a thread must call nothing that takes a lock of the C library or of the loader.
//
// A thread that was stopped by a signal may hold any of these locks: it was in malloc, in dlopen, in stdio. Whoever has
// stopped it and wants the same lock waits for ever. So nothing of the kind is called between the moment when the first
// thread is asked to stop and the one when all go on: not malloc or free, stdio, getenv, pthread_create, dlopen,
// dl_iterate_phdr, and no more by an embedder's trace functions and root callbacks. Such calls hang once in a thousand
// runs, so they are looked for: the tests replace these functions by some that ask AreForeignLocksForbidden and die
// (tests/support/foreign_locks.cc).
//
// Threads: the state is the calling thread's own, and nests. Cost: an addition to a thread-local word.

namespace acre::os {

void ForbidForeignLocks();
void AllowForeignLocks();  // REQUIRES: forbidden by the same thread.

bool AreForeignLocksForbidden();

}  // namespace acre::os
