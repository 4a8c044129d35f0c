#include "allocator/collect/helpers.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "tests/support/sanitizers.h"

namespace acre {
namespace {

constexpr uint32_t kThreads = 3;

struct Calls {
  std::atomic<uint32_t> of[kThreads + 1] = {};
  std::atomic<uint32_t> open_signals = 0;
};

void CountCall(void* context, uint32_t number) {
  auto* calls = static_cast<Calls*>(context);
  ++calls->of[number];
  sigset_t blocked;
  pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
  for (int signal : {SIGURG, SIGTERM, SIGINT, SIGALRM, SIGUSR1}) calls->open_signals += !sigismember(&blocked, signal);
}

// By their name: a sanitizer has threads too.
size_t ThreadsOfProcess() {
  size_t threads = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string name;
    std::getline(std::ifstream(entry.path() / "comm"), name);
    threads += name == "acre-collect";
  }
  return threads;
}

TEST(Helpers, EachClaimedOneRunsTheJobOnceAndUnderItsNumber) {
  Helpers helpers;
  helpers.Ensure(kThreads);
  ASSERT_EQ(helpers.count(), kThreads);
  Calls calls;
  for (uint32_t round = 1; round <= 1000; ++round) {
    ASSERT_EQ(helpers.Claim(kThreads), kThreads);
    EXPECT_EQ(helpers.Claim(1), 0u) << "they are taken";
    helpers.Start(&CountCall, &calls);
    helpers.Join();
    for (uint32_t number = 1; number <= kThreads; ++number) ASSERT_EQ(calls.of[number], round);
  }
  EXPECT_EQ(calls.of[0], 0u);
  EXPECT_EQ(calls.open_signals, 0u) << "no signal of the application's reaches them";
}

TEST(Helpers, NoMoreAreClaimedThanAskedForOrThere) {
  Helpers helpers;
  EXPECT_EQ(helpers.Claim(5), 0u);
  helpers.Ensure(2);
  EXPECT_EQ(helpers.Claim(1), 1u);
  Calls calls;
  helpers.Start(&CountCall, &calls);
  helpers.Join();
  EXPECT_EQ(calls.of[1], 1u);
  EXPECT_EQ(helpers.Claim(5), 2u);
  helpers.Start(&CountCall, &calls);
  helpers.Join();
}

TEST(Helpers, ThreadsEndWithTheirOwner) {
  {
    Helpers helpers;
    helpers.Ensure(kThreads);
    // Each names itself when it first runs.
    while (ThreadsOfProcess() < kThreads) std::this_thread::yield();
    EXPECT_EQ(ThreadsOfProcess(), kThreads);
  }
  // The kernel needs a moment for a thread that has left the heap for good.
  while (ThreadsOfProcess() > 0) std::this_thread::yield();
}

TEST(Helpers, ThreadsWithoutAJobEndAndAreMadeAgain) {
  Helpers helpers(1'000'000);
  Calls calls;
  for (uint32_t round = 0; round < 20; ++round) {
    helpers.Ensure(kThreads);
    const uint32_t claimed = helpers.Claim(kThreads);  // Some may have ended already.
    helpers.Start(&CountCall, &calls);
    helpers.Join();
    EXPECT_LE(claimed, kThreads);
    while (helpers.count() > 0) std::this_thread::yield();
    EXPECT_EQ(helpers.Claim(kThreads), 0u);
  }
}

// Ends while others are claimed: a claimed one does not go.
TEST(Helpers, ClaimedOneWaitsForItsJob) {
  Helpers helpers(1'000'000);
  Calls calls;
  helpers.Ensure(1);
  while (helpers.Claim(1) == 0) helpers.Ensure(1);
  for (int i = 0; i < 100; ++i) std::this_thread::yield();
  EXPECT_EQ(helpers.count(), 1u);
  helpers.Start(&CountCall, &calls);
  helpers.Join();
  EXPECT_EQ(calls.of[1], 1u);
}

TEST(Helpers, ForkedChildHasNoneAndCanMakeItsOwn) {
  if (testing::kHasThreadSanitizer) GTEST_SKIP() << "ThreadSanitizer forbids threads in the child of threads";
  Helpers helpers;
  helpers.Ensure(2);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    helpers.AfterForkInChild();
    if (helpers.count() != 0 || helpers.Claim(2) != 0) _exit(1);
    helpers.Ensure(2);
    Calls calls;
    if (helpers.Claim(2) != 2) _exit(2);
    helpers.Start(&CountCall, &calls);
    helpers.Join();
    _exit(calls.of[1] == 1 && calls.of[2] == 1 ? 0 : 3);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(helpers.Claim(2), 2u) << "the parent has its own still";
  Calls calls;
  helpers.Start(&CountCall, &calls);
  helpers.Join();
}

}  // namespace
}  // namespace acre
