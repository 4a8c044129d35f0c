#pragma once

// Who has locks, and wants a forked child to find them free and what they guard whole.
//
// A process has one list of fork handlers, whose functions have no argument by which to find a heap. So this is the
// second place, besides os/stop_signal.h, with state that belongs to no heap.
//
// Before a fork every user is called twice: first to let come to an end what other threads must not be left in the midst
// of and what needs them (a collection that waits for its mutators), then to take its locks. Nobody takes locks of the
// second kind before all have done the first, so that no thread waits for one while a user still needs that thread. After
// the fork the process goes on where it was; the child has only the thread that forked.
//
// A child that was made past the handlers, by a raw clone or vfork, must not use the users.

#include <cstdint>

namespace acre::os {

struct ForkUser {
  void (*end_work)(ForkUser* self) = nullptr;
  void (*lock)(ForkUser* self) = nullptr;
  void (*in_parent)(ForkUser* self) = nullptr;  // Unlocks.
  void (*in_child)(ForkUser* self) = nullptr;   // Unlocks, and forgets the other threads.

  ForkUser* next = nullptr;  // Private.
  ForkUser* previous = nullptr;
};

class ForkUsers {
 public:
  // Any thread. Add: false if the system refuses; may allocate (the C library does). Remove waits for a fork under way.
  [[nodiscard]] static bool Add(ForkUser& user);
  static void Remove(ForkUser& user);
};

}  // namespace acre::os
