#include "os/descriptor.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <thread>

#include "os/limits.h"
#include "os/page_watch.h"
#include "os/poller.h"
#include "tests/support/child.h"
#include "tests/support/descriptors.h"
#include "tests/support/sanitizers.h"

namespace acre::os {
namespace {

using testing::ChildResult;
using testing::CloseInherited;
using testing::CountInherited;
using testing::CountInheritedByFork;
using testing::CountOpen;
using testing::IsOpen;
using testing::RunInChild;

constexpr int kHighNumber = 512;

TEST(Descriptor, WhatIsTakenOverIsMovedUpAndCloseOnExec) {
  Descriptor descriptor;
  EXPECT_FALSE(descriptor.IsOurs());
  const int number = open("/dev/null", O_RDONLY);
  ASSERT_EQ(descriptor.Take(number), 0);
  EXPECT_FALSE(IsOpen(number));
  EXPECT_GE(descriptor.number(), kHighNumber);
  EXPECT_NE(fcntl(descriptor.number(), F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_TRUE(descriptor.IsOurs());
  const int taken = descriptor.number();
  descriptor.Close();
  EXPECT_FALSE(IsOpen(taken));
  EXPECT_EQ(descriptor.number(), -1);
  descriptor.Close();
}

TEST(Descriptor, AnotherFileInItsPlaceIsLeftAlone) {
  Descriptor descriptor;
  ASSERT_EQ(descriptor.Take(open("/dev/null", O_RDONLY)), 0);
  const int place = descriptor.number();
  const int other = open("/dev/zero", O_RDONLY);
  ASSERT_EQ(dup2(other, place), place);
  close(other);
  EXPECT_FALSE(descriptor.IsOurs());
  descriptor.Close();
  EXPECT_TRUE(IsOpen(place));
  close(place);
}

TEST(Descriptor, OneThatIsNotOpenIsRefusedAndErrnoIsKept) {
  Descriptor descriptor;
  errno = E2BIG;
  EXPECT_EQ(descriptor.Take(kHighNumber - 1), EBADF);
  EXPECT_FALSE(descriptor.IsOurs());
  EXPECT_EQ(errno, E2BIG);
}

TEST(SocketPair, WhatIsSentIsRead) {
  Descriptor one;
  Descriptor other;
  ASSERT_EQ(OpenSocketPair(&one, &other), 0);
  char byte = 0;
  EXPECT_EQ(ReadSome(one, &byte, 1), -EAGAIN);
  EXPECT_EQ(SendSome(other, "x", 1), 1);
  EXPECT_EQ(ReadSome(one, &byte, 1), 1);
  EXPECT_EQ(byte, 'x');
  while (SendSome(other, "x", 1) == 1) {
  }
  EXPECT_EQ(SendSome(other, "x", 1), -EAGAIN);
  // No signal comes.
  one.Close();
  EXPECT_EQ(SendSome(other, "x", 1), -EPIPE);
  other.Close();
}

TEST(SocketPair, WithoutFreeDescriptorsNoneStays) {
  const ChildResult result = RunInChild([] {
    constexpr int kLimit = 64;
    const rlimit low{kLimit, kLimit};
    if (setrlimit(RLIMIT_NOFILE, &low) != 0) return 1;
    while (dup(STDERR_FILENO) >= 0) {
    }
    Descriptor one;
    Descriptor other;
    for (int free = 0; free < 2; ++free) {
      if (OpenSocketPair(&one, &other) != EMFILE) return 2;
      if (CountOpen(kLimit) != kLimit - free) return 3;
      close(kLimit - 1 - free);
    }
    return OpenSocketPair(&one, &other) == 0 && CountOpen(kLimit) == kLimit ? 0 : 4;
  });
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
}

// ---- Programs that are executed inherit nothing ---------------------------------------------------------------------

TEST(Descriptors, TheWalkFindsThem) {
  const ChildResult result = RunInChild([] {
    CloseInherited();
    if (CountInherited(DESCRIPTOR_WALK) != 0) return 1;
    if (open("/dev/null", O_RDONLY) < 0) return 2;
    return CountInherited(DESCRIPTOR_WALK) == 1 ? 0 : 3;
  });
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
}

TEST(Descriptors, ASpawnedProgramFindsNone) {
  const ChildResult result = RunInChild([] {
    CloseInherited();
    Poller poller;
    if (poller.Open() != 0) return 1;
    PageWatch watch;
    (void)watch.Open();  // Where the kernel has it.
    (void)CgroupMemoryLimitBytes();
    if (CountOpen(2 * kHighNumber) < 6) return 2;
    return CountInherited(DESCRIPTOR_WALK) == 0 ? 0 : 3;
  });
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
}

TEST(Descriptors, TheProgramThatTakesTheProcessOverFindsNone) {
  const ChildResult result = RunInChild([] {
    CloseInherited();
    Poller poller;
    if (poller.Open() != 0) return 101;
    PageWatch watch;
    (void)watch.Open();
    char path[] = DESCRIPTOR_WALK;
    char* const arguments[] = {path, nullptr};
    execv(path, arguments);
    return 102;
  });
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
}

// Programs are started by one thread while another makes and closes descriptors.
TEST(Descriptors, AProgramThatIsStartedMeanwhileFindsNone) {
  const ChildResult result = RunInChild([] {
    constexpr int kPrograms = 100;
    CloseInherited();
    std::atomic<bool> is_over = false;
    std::atomic<int> rounds = 0;
    std::thread maker([&] {
      while (!is_over) {
        Poller poller;
        (void)poller.Open();
        PageWatch watch;
        (void)watch.Open();
        (void)CgroupMemoryLimitBytes();
        ++rounds;
      }
    });
    int found = 0;
    while (rounds == 0) std::this_thread::yield();
    for (int i = 0; i < kPrograms && found == 0; ++i) found = CountInherited(DESCRIPTOR_WALK);
    is_over = true;
    maker.join();
    return found == 0 ? 0 : 1;
  });
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
}

// The same with fork and exec, between which the child has copies of all.
TEST(Descriptors, AProgramThatIsForkedAndExecutedMeanwhileFindsNone) {
  if (testing::kHasThreadSanitizer) GTEST_SKIP() << "its child of a process with several threads may hang";
  const ChildResult result = RunInChild([] {
    constexpr int kPrograms = 100;
    CloseInherited();
    std::atomic<bool> is_over = false;
    std::thread maker([&] {
      while (!is_over) {
        Poller poller;
        (void)poller.Open();
      }
    });
    int found = 0;
    for (int i = 0; i < kPrograms && found == 0; ++i) found = CountInheritedByFork(DESCRIPTOR_WALK);
    is_over = true;
    maker.join();
    return found == 0 ? 0 : 1;
  });
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
}

}  // namespace
}  // namespace acre::os
