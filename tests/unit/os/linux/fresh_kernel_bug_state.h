#pragma once

// A child process that knows nothing yet of the kernel's bugs, whatever the test program has asked before.

#include <cstdlib>
#include <functional>

#include "os/linux/kernel_bugs.h"
#include "tests/support/child.h"

namespace acre::os {

// Runs the body in a forked child whose ACRE_DEBUG has this value.
inline acre::testing::ChildResult RunWithDebug(const char* debug, const std::function<int()>& body) {
  return acre::testing::RunInChild([&] {
    setenv("ACRE_DEBUG", debug, 1);
    kernel_bug_state.verdict = KernelVerdict::kUnknown;
    kernel_bug_state.first_lock_error = 0;
    return body();
  });
}

}  // namespace acre::os
