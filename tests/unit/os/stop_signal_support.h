#pragma once

// What the tests of stop signals share. Each runs in a child process: a handler, once installed, is there for good.

#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <functional>

#include "os/stop_signal.h"
#include "os/thread.h"
#include "tests/support/child.h"

namespace acre::os {

// ThreadSanitizer runs handlers when the thread next calls into its library, on no frame of the kernel's, and not at
// all in a loop of assembly.
#if defined(__SANITIZE_THREAD__)
inline constexpr bool kHandlersAreDelayed = true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
inline constexpr bool kHandlersAreDelayed = true;
#else
inline constexpr bool kHandlersAreDelayed = false;
#endif
#else
inline constexpr bool kHandlersAreDelayed = false;
#endif

// Fails, with what the child printed, if one of the body's expectations did.
inline void InFreshProcess(const std::function<void()>& body) {
  const acre::testing::ChildResult result = acre::testing::RunInChild([&] {
    body();
    std::fflush(stdout);
    return ::testing::Test::HasFailure() ? 1 : 0;
  });
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
}

// For what must happen; the process's alarm is what ends it otherwise.
template <class Condition>
void WaitUntil(const Condition& condition) {
  while (!condition()) sched_yield();
}

// A target that counts, and says on which thread.
struct CountingTarget : StopTarget {
  CountingTarget() { on_stop = &Count; }

  static void Count(StopTarget* self, const StopFrame&) {
    auto& counting = *static_cast<CountingTarget*>(self);
    counting.last_thread = CurrentThreadId();
    counting.calls += 1;
  }

  std::atomic<int> calls{0};
  std::atomic<int32_t> last_thread{0};
};

// Sends, and returns when the target has been called once more.
inline void StopAndWait(const CountingTarget& target) {
  const int before = target.calls;
  ASSERT_TRUE(StopSignal::Send(target));
  WaitUntil([&] { return target.calls != before; });
}

}  // namespace acre::os
