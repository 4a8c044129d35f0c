#pragma once

// A thread on a stack that nobody has used before, for tests of what a conservative collector frees. The C library gives
// a new thread the stack of one that has ended, stale words included, and each of them may be the address of an object.

#include <functional>

namespace acre::testing {

// Runs `body` on such a thread and waits for its end; then the stack is gone.
void OnFreshThread(const std::function<void()>& body);

}  // namespace acre::testing
