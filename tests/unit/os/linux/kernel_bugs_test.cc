#include "os/linux/kernel_bugs.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstdlib>

#include "os/check.h"
#include "os/kernel_bugs.h"
#include "tests/unit/os/linux/fresh_kernel_bug_state.h"

namespace acre::os {
namespace {

struct Case {
  const char* release;
  bool is_affected;
};

TEST(KernelBugs, AffectedAreTheseReleasesOnX86) {
  const Case cases[] = {
      {"5.1.21", false},
      {"5.2", true},
      {"5.2-rc1", true},
      {"5.2.0", true},
      {"5.2.18-200.fc30.x86_64", true},
      {"5.2.99", true},
      {"5.3.0", true},
      {"5.3.0-24-generic", true},
      {"5.3.14", true},
      {"5.3.15", false},
      {"5.3.18-150300.59.93-default", false},
      {"5.4.0-rc3", true},
      {"5.4.0", true},
      {"5.4.1-arch1-1", true},
      {"5.4.2", false},
      {"5.4.19", false},
      {"5.4.274", false},
      {"5.5.0-rc1", false},
      {"5.20.0", false},
      {"5.15.153.1-microsoft-standard-WSL2", false},
      {"4.3.1", false},
      {"4.4.0-19041-Microsoft", false},
      {"6.2.1", false},
      {"6.3.0", false},
      {"6.4.0", false},
      {"15.3.0", false},
      {"", false},
      {"garbage", false},
  };
  for (const Case& test : cases) {
    const KernelRelease release = ParseKernelRelease(TextOf(test.release));
    EXPECT_EQ(HasSignalVectorBug(RunningKernel{release, true}), test.is_affected) << test.release;
    EXPECT_FALSE(HasSignalVectorBug(RunningKernel{release, false})) << test.release << " on another CPU";
  }
}

TEST(KernelBugs, UbuntusSignatureDecidesOverItsReleaseString) {
  const auto is_affected = [](const char* signature) {
    return HasSignalVectorBug(KernelOf(TextOf("5.4.0-12-generic"), {}, TextOf("x86_64"), TextOf(signature)));
  };
  EXPECT_FALSE(is_affected("Ubuntu 5.4.0-12.15-generic 5.4.8"));
  EXPECT_TRUE(is_affected("Ubuntu 5.4.0-2.3-generic 5.4.1"));
  EXPECT_TRUE(is_affected(""));
}

// What follows changes the state of the process, so each runs in a child.

TEST(KernelBugs, EnvironmentMakesAnyKernelCount) {
  const auto verdict = [](const char* debug) {
    return RunWithDebug(debug, [] { return HasSignalVectorBug() ? 1 : 0; });
  };
  EXPECT_TRUE(verdict("kernelbug=1").exited_with(1));
  const int own = HasSignalVectorBug(ReadRunningKernel()) ? 1 : 0;
  EXPECT_TRUE(verdict("kernelbug=0").exited_with(own));
  EXPECT_TRUE(verdict("").exited_with(own));
}

TEST(KernelBugs, VerdictIsKept) {
  const testing::ChildResult result = RunWithDebug("kernelbug=1", [] {
    const bool before = HasSignalVectorBug();
    setenv("ACRE_DEBUG", "kernelbug=0", 1);
    return before && HasSignalVectorBug() ? 0 : 1;
  });
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
}

TEST(KernelBugs, FirstLockErrorIsTheOneKept) {
  const testing::ChildResult result = RunWithDebug("", [] {
    if (FirstLockError() != 0) return 1;
    KeepLockError(ENOMEM);
    KeepLockError(EPERM);
    return FirstLockError() == ENOMEM ? 0 : 2;
  });
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
}

TEST(KernelBugs, NotesAreThreeLinesWithTheNumberSeen) {
  const testing::ChildResult result = RunWithDebug("", [] {
    KeepLockError(ENOMEM);
    WriteKernelBugNotes();
    return 0;
  });
  ASSERT_TRUE(result.exited_with(0)) << result.Describe();
  const std::vector<std::string> lines = result.error_lines();
  ASSERT_EQ(lines.size(), 3u) << result.error_output;
  EXPECT_EQ(lines[0], "acre: note: your Linux kernel may be buggy");
  const std::string see = "acre: note: see docs/kernel-signal-vector-bug.md";
  EXPECT_EQ(lines[1].substr(0, see.size()), see);
  EXPECT_NE(lines[1].find("/kernel-signal-vector-bug.md)", see.size()), std::string::npos)
      << "must say where it is installed";
  EXPECT_EQ(lines[2], "acre: note: mlock workaround for kernel bug failed with errno 12");
}

TEST(KernelBugs, WithoutALockErrorThereAreNoNotes) {
  const testing::ChildResult result = RunWithDebug("kernelbug=1", [] {
    const bool is_affected = HasSignalVectorBug();
    WriteKernelBugNotes();
    return is_affected ? 0 : 1;
  });
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
  EXPECT_EQ(result.error_output, "");
}

TEST(KernelBugs, NotesFollowAFatalMessage) {
  const testing::ChildResult fatal = RunWithDebug("", []() -> int {
    KeepLockError(ENOMEM);
    Fatal("double free of ", Hex{0x1234});
  });
  ASSERT_TRUE(fatal.killed_by(SIGABRT)) << fatal.Describe();
  ASSERT_EQ(fatal.error_lines().size(), 4u) << fatal.error_output;
  EXPECT_EQ(fatal.error_lines()[0], "acre: double free of 0x1234");
  EXPECT_EQ(fatal.error_lines()[3], "acre: note: mlock workaround for kernel bug failed with errno 12");

  const testing::ChildResult check = RunWithDebug("", [] {
    KeepLockError(EPERM);
    CHECK(FirstLockError() == 0);
    return 0;
  });
  ASSERT_EQ(check.error_lines().size(), 4u) << check.Describe();
  EXPECT_EQ(check.error_lines()[3], "acre: note: mlock workaround for kernel bug failed with errno 1");
}

}  // namespace
}  // namespace acre::os
