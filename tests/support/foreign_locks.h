#pragma once

// Linked into a program, acre_test_foreign_locks ends it by one line when the thread that has stopped the world, or one
// that helps it mark, calls a function of the C library that may take a lock (os/foreign_locks.h).

namespace acre::testing {

// Not under a sanitizer, which replaces the same functions.
#if defined(ACRE_POISONED_FOREIGN_LOCKS)
inline constexpr bool kAreForeignLocksPoisoned = true;
#else
inline constexpr bool kAreForeignLocksPoisoned = false;
#endif

}  // namespace acre::testing
