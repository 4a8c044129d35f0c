#include "os/mutex.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "os/clock.h"
#include "os/thread.h"

namespace acre::os {
namespace {

constexpr uint8_t kLowRank = 10;
constexpr uint8_t kHighRank = 200;

TEST(Mutex, GuardsAPlainCounterUnderThreads) {
  constexpr int kThreads = 8;
  constexpr int kRounds = 20'000;
  Mutex mutex(kLowRank);
  int counter = 0;  // Guarded by mutex.
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < kRounds; ++round) {
        const MutexLock lock(mutex);
        ++counter;
        // Holding it across a switch of threads makes others go to sleep.
        if (round % 64 == 0) std::this_thread::yield();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counter, kThreads * kRounds);
}

TEST(Mutex, TryLockFailsWhileAnotherThreadHoldsIt) {
  Mutex mutex(kLowRank);
  ASSERT_TRUE(mutex.TryLock());
  bool is_taken_by_other = true;
  std::thread([&] { is_taken_by_other = mutex.TryLock(); }).join();
  EXPECT_FALSE(is_taken_by_other);
  mutex.Unlock();
  std::thread([&] {
    is_taken_by_other = mutex.TryLock();
    if (is_taken_by_other) mutex.Unlock();
  }).join();
  EXPECT_TRUE(is_taken_by_other);
}

// As /proc says: "tid (name) S ..." for a thread that sleeps in the kernel.
bool IsAsleep(int32_t thread_id) {
  std::ifstream file("/proc/self/task/" + std::to_string(thread_id) + "/stat");
  std::string stat;
  std::getline(file, stat);
  const size_t name_limit = stat.rfind(") ");
  return name_limit != std::string::npos && stat[name_limit + 2] == 'S';
}

TEST(Mutex, SleepingThreadIsWoken) {
  Mutex mutex(kLowRank);
  std::atomic<int32_t> waiter_id{0};
  mutex.Lock();
  std::thread waiter([&] {
    waiter_id.store(CurrentThreadId());
    const MutexLock lock(mutex);
  });
  // Nothing but the lock can make it sleep; a waiter that only spins would never be seen asleep.
  const uint64_t deadline_ns = MonotonicNs() + 30 * kNsPerSecond;
  bool is_asleep = false;
  while (!is_asleep && MonotonicNs() < deadline_ns) {
    std::this_thread::yield();
    is_asleep = waiter_id.load() != 0 && IsAsleep(waiter_id.load());
  }
  EXPECT_TRUE(is_asleep);
  mutex.Unlock();
  waiter.join();
}

TEST(Mutex, RanksRiseAndMayBeReleasedInAnyOrder) {
  Mutex low(kLowRank);
  Mutex high(kHighRank);
  low.Lock();
  high.Lock();
  low.Unlock();
  high.Unlock();
  high.Lock();
  high.Unlock();
  low.Lock();
  low.Unlock();
  EXPECT_EQ(high.rank(), kHighRank);
}

TEST(Mutex, IsFreeInAForkedChildAfterReset) {
  Mutex low(kLowRank);
  Mutex high(kHighRank);
  low.Lock();
  high.Lock();
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    low.ResetAfterFork();
    high.ResetAfterFork();
    low.Lock();  // Would be fatal if a rank were still held.
    _exit(high.TryLock() ? 0 : 1);
  }
  high.Unlock();
  low.Unlock();
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

#if defined(ACRE_ASSERTS)

TEST(MutexDeathTest, LowerRankWhileHigherIsHeldIsFatal) {
  Mutex low(kLowRank);
  Mutex high(kHighRank);
  EXPECT_DEATH(
      {
        high.Lock();
        low.Lock();
      },
      "acre: lock of rank 10 asked for while rank 200 is held");
}

TEST(MutexDeathTest, EqualRankIsFatal) {
  Mutex first(kLowRank);
  Mutex second(kLowRank);
  EXPECT_DEATH(
      {
        first.Lock();
        second.Lock();
      },
      "acre: lock of rank 10 asked for while rank 10 is held");
}

TEST(MutexDeathTest, ReleaseOfWhatIsNotHeldIsFatal) {
  Mutex mutex(kLowRank);
  EXPECT_DEATH(mutex.Unlock(), "acre: lock of rank 10 released by a thread that does not hold it");
}

TEST(Mutex, RanksOfOtherThreadsDoNotCount) {
  Mutex low(kLowRank);
  Mutex high(kHighRank);
  const MutexLock lock(high);
  std::thread([&] { const MutexLock other(low); }).join();
}

#endif

}  // namespace
}  // namespace acre::os
