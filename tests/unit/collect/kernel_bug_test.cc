#include <gtest/gtest.h>

#include <csignal>
#include <string>
#include <vector>

#include "tests/support/child.h"

// The whole way: a heap whose signal stacks cannot be locked on an affected kernel, and what its misuse writes.

namespace acre {
namespace {

constexpr int kCannotShow = 77;
constexpr char kMisuse[] = "acre: acre_heap_destroy: a thread is still attached to the heap";

// AddressSanitizer gives each thread a signal stack: ours would neither be made nor locked.
testing::ChildResult RunProgram(const std::string& debug) {
  return testing::RunCommand({COLLECT_KERNEL_BUG_PROGRAM}, {"ACRE_DEBUG=" + debug, "ASAN_OPTIONS=use_sigaltstack=0"});
}

// What it wrote, without lines about threads that were late.
std::vector<std::string> LinesOf(const testing::ChildResult& result) {
  std::vector<std::string> lines;
  for (const std::string& line : result.error_lines()) {
    if (line.find("has not stopped for a collection") == std::string::npos) lines.push_back(line);
  }
  return lines;
}

TEST(KernelBug, MisuseOfAHeapWhoseStacksCouldNotBeLockedIsFollowedByTheNotes) {
  const testing::ChildResult result = RunProgram("kernelbug=1");
  if (result.exited_with(kCannotShow)) GTEST_SKIP() << result.Describe();
  EXPECT_TRUE(result.killed_by(SIGABRT)) << result.Describe();
  const std::vector<std::string> lines = LinesOf(result);
  ASSERT_EQ(lines.size(), 4u) << result.Describe();
  EXPECT_EQ(lines[0], kMisuse);
  EXPECT_EQ(lines[1], "acre: note: your Linux kernel may be buggy");
  EXPECT_EQ(lines[2].find("acre: note: see docs/kernel-signal-vector-bug.md"), 0u) << lines[2];
  EXPECT_EQ(lines[3].find("acre: note: mlock workaround for kernel bug failed with errno "), 0u) << lines[3];
}

TEST(KernelBug, MisuseOfAHeapOnAnotherKernelIsOneLine) {
  const testing::ChildResult result = RunProgram("kernelbug=0");
  if (result.exited_with(kCannotShow)) GTEST_SKIP() << result.Describe();
  EXPECT_EQ(LinesOf(result), std::vector<std::string>{kMisuse}) << result.Describe();
}

}  // namespace
}  // namespace acre
