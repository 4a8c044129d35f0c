#include "os/thread.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <limits>
#include <thread>

#include "os/clock.h"

namespace acre::os {
namespace {

constexpr uint64_t kForever = std::numeric_limits<uint64_t>::max();
constexpr uint64_t kLongNs = 30 * kNsPerSecond;  // Only a test that fails waits for it.

TEST(Thread, NumbersAreTheKernels) {
  EXPECT_EQ(CurrentProcessId(), getpid());
  EXPECT_EQ(CurrentThreadId(), static_cast<int32_t>(syscall(SYS_gettid)));
  int32_t other = CurrentThreadId();
  std::thread([&] { other = CurrentThreadId(); }).join();
  EXPECT_NE(other, CurrentThreadId());
}

struct Seen {
  char name[16];
  sigset_t mask;
  int32_t thread_id;
  Event done;
};

void Look(void* argument) {
  Seen& seen = *static_cast<Seen*>(argument);
  pthread_getname_np(pthread_self(), seen.name, sizeof seen.name);
  pthread_sigmask(SIG_SETMASK, nullptr, &seen.mask);
  seen.thread_id = CurrentThreadId();
  seen.done.Signal();
}

TEST(Thread, StartedOneIsNamedAndBlocksAllSignals) {
  static Seen seen;  // Outlives the detached thread's last access.
  ASSERT_TRUE(StartThread(Look, &seen, "acre-test"));
  ASSERT_TRUE(seen.done.Wait(kLongNs));
  EXPECT_STREQ(seen.name, "acre-test");
  EXPECT_NE(seen.thread_id, CurrentThreadId());
  for (const int signal : {SIGINT, SIGTERM, SIGURG, SIGUSR1, SIGCHLD, SIGALRM}) {
    EXPECT_EQ(sigismember(&seen.mask, signal), 1) << signal;
  }
}

TEST(Thread, StartingOneKeepsTheCallersMask) {
  static Seen seen;
  sigset_t before;
  sigset_t after;
  ASSERT_EQ(pthread_sigmask(SIG_SETMASK, nullptr, &before), 0);
  ASSERT_TRUE(StartThread(Look, &seen, "acre-test"));
  ASSERT_EQ(pthread_sigmask(SIG_SETMASK, nullptr, &after), 0);
  EXPECT_EQ(sigismember(&before, SIGUSR1), sigismember(&after, SIGUSR1));
  EXPECT_EQ(sigismember(&after, SIGURG), 0);
  ASSERT_TRUE(seen.done.Wait(kLongNs));
}

TEST(Event, SignalBeforeTheWaitIsNotLostAndIsTakenOnce) {
  Event event;
  EXPECT_FALSE(event.IsSignalled());
  event.Signal();
  event.Signal();
  EXPECT_TRUE(event.IsSignalled());
  EXPECT_TRUE(event.Wait(0));
  EXPECT_FALSE(event.IsSignalled());
  EXPECT_FALSE(event.Wait(0));
}

TEST(Event, WaitEndsAfterItsTime) {
  Event event;
  const uint64_t before = MonotonicNs();
  EXPECT_FALSE(event.Wait(5 * kNsPerMs));
  EXPECT_GE(MonotonicNs() - before, 5 * kNsPerMs);
}

TEST(Event, SignalAfterAWaitThatEndedByTimeIsNotLost) {
  Event event;
  EXPECT_FALSE(event.Wait(1));
  EXPECT_FALSE(event.Take());
  event.Signal();
  EXPECT_TRUE(event.Take());
  EXPECT_FALSE(event.Take());
  event.Signal();
  EXPECT_TRUE(event.Wait(kLongNs));
}

TEST(Event, EverySignalOfAnotherThreadArrives) {
  constexpr int kRounds = 2000;
  Event ping;
  Event pong;
  std::thread other([&] {
    for (int round = 0; round < kRounds; ++round) {
      EXPECT_TRUE(ping.Wait(kForever));
      pong.Signal();
    }
  });
  for (int round = 0; round < kRounds; ++round) {
    ping.Signal();
    EXPECT_TRUE(pong.Wait(kLongNs));
  }
  other.join();
}

TEST(ThreadExitHook, RunsOnceInEachArmedThread) {
  static std::atomic<int> runs{0};
  runs = 0;
  ThreadExitHook hook;
  ASSERT_TRUE(hook.Create([](void* value) { runs += *static_cast<int*>(value); }));
  int one = 1;
  int ten = 10;
  std::thread([&] { EXPECT_TRUE(hook.Arm(&one)); }).join();
  std::thread([&] { EXPECT_TRUE(hook.Arm(&ten)); }).join();
  std::thread([] {}).join();
  EXPECT_EQ(runs, 11);
  hook.Destroy();
}

// In a child process: handlers cannot be taken back.
int ForkWithHandlers() {
  static int calls = 0;
  if (!OnFork([] { calls += 1; }, [] { calls += 10; }, [] { calls += 100; })) return 1;
  const pid_t child = fork();
  if (child == 0) _exit(calls == 101 ? 0 : 1);
  int status = 0;
  waitpid(child, &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return 2;
  return calls == 11 ? 0 : 3;
}

TEST(ThreadDeathTest, ForkHandlersRunInParentAndChild) {
  EXPECT_EXIT(_exit(ForkWithHandlers()), testing::ExitedWithCode(0), "");
}

TEST(ThreadDeathTest, ProcessExitHandlerRuns) {
  EXPECT_EXIT(
      {
        if (!OnProcessExit([] { _exit(42); })) _exit(1);
        exit(0);
      },
      testing::ExitedWithCode(42), "");
}

}  // namespace
}  // namespace acre::os
