// Memory goes back to the system, in an idle process too, and threads cost little beyond what they hold.

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "tests/compat/blocks.h"
#include "tests/support/child.h"
#include "tests/support/malloc_library.h"
#include "tests/support/process_memory.h"
#include "tests/support/seed.h"

namespace acre::testing {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kDeadline = std::chrono::seconds(10);
constexpr auto kPollEvery = std::chrono::milliseconds(100);

// One child: a burst of `burst_bytes` of small objects beside `live_bytes` that stay. Returns 0 when RSS came down in
// time. The poll only sleeps and reads: the process allocates nothing meanwhile.
int BurstAndSleep(size_t burst_bytes, size_t live_bytes, uint64_t seed) {
  Random random(seed);
  const size_t start = ResidentBytes();
  constexpr size_t kMeanBytes = 136;
  std::vector<void*> live;
  std::vector<void*> burst;
  live.reserve(live_bytes / kMeanBytes);
  burst.reserve(burst_bytes / kMeanBytes);
  const auto allocate = [&](std::vector<void*>& into, size_t total) {
    for (size_t made = 0; made < total && into.size() < into.capacity();) {
      const size_t bytes = 16 + random.Below(240);
      into.push_back(malloc(bytes));
      std::memset(into.back(), 1, bytes);
      made += bytes;
    }
  };
  allocate(live, live_bytes);
  const size_t live_rss = ResidentBytes();
  allocate(burst, burst_bytes);
  const size_t peak = ResidentBytes();
  for (void* block : burst) free(block);
  std::vector<void*>().swap(burst);

  const size_t goal = live_rss + live_rss / 5;
  const auto deadline = Clock::now() + kDeadline;
  const auto begin = Clock::now();
  size_t now = ResidentBytes();
  while (now > goal && Clock::now() < deadline) {
    std::this_thread::sleep_for(kPollEvery);
    now = ResidentBytes();
  }
  const double waited = std::chrono::duration<double>(Clock::now() - begin).count();
  std::fprintf(stderr, "RSS start %zu, live %zu, peak %zu, after %.1f s %zu MiB (goal %zu)", start / kMiB,
               live_rss / kMiB, peak / kMiB, waited, now / kMiB, goal / kMiB);
  return now <= goal ? 0 : 1;
}

void ExpectBurstGoesBack(size_t burst_bytes, size_t live_bytes) {
  if (!RunsOnAcre()) GTEST_SKIP() << "no other malloc's default promises it";
  const uint64_t seed = Seed("Burst");
  const ChildResult result = RunInChild([=] { return BurstAndSleep(burst_bytes, live_bytes, seed); }, 60);
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
  std::printf("  %s\n", result.error_output.c_str());
}

TEST(GiveBack, BurstOfOneGiBIsReturnedWhileTheProcessSleeps) { ExpectBurstGoesBack(1024 * kMiB, 64 * kMiB); }

TEST(GiveBack, SmallBurstBesideLittleLiveMemoryIsReturned) { ExpectBurstGoesBack(100 * kMiB, 40 * kMiB); }

// 1000 threads that each hold 100 KiB in blocks of mixed sizes, all alive at once. Prints RSS in KiB to standard error.
int ThreadsThatHoldMemory() {
  constexpr int kThreads = 1000;
  constexpr size_t kHeldBytes = 100 * kKiB;
  std::vector<std::thread> threads;
  pthread_barrier_t all_hold;
  pthread_barrier_t measured;
  pthread_barrier_init(&all_hold, nullptr, kThreads + 1);
  pthread_barrier_init(&measured, nullptr, kThreads + 1);
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      Random random(static_cast<uint64_t>(i) + 1);
      std::vector<void*> blocks;
      for (size_t held = 0; held < kHeldBytes;) {
        const size_t bytes = 16 + random.Below(1000);
        blocks.push_back(malloc(bytes));
        std::memset(blocks.back(), 1, bytes);
        held += bytes;
      }
      pthread_barrier_wait(&all_hold);
      pthread_barrier_wait(&measured);
      for (void* block : blocks) free(block);
    });
  }
  pthread_barrier_wait(&all_hold);
  std::fprintf(stderr, "%zu\n", ResidentBytes() / kKiB);
  pthread_barrier_wait(&measured);
  for (std::thread& thread : threads) thread.join();
  return 0;
}

std::string OwnPath() {
  char path[4096];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
  return std::string(path, length > 0 ? static_cast<size_t>(length) : 0);
}

size_t MeasureThreads(const std::string& preload) {
  // The program runs itself again, so that each measurement begins with a fresh heap.
  const ChildResult result =
      RunCommand({OwnPath(), "--gtest_filter=GiveBackHelper.*"},
                 {"LD_PRELOAD=" + preload, "COMPAT_MEASURE_THREADS=1",
                  "COMPAT_EXPECT_MALLOC=" + (preload.empty() ? "libc.so.6" : preload)});
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
  return std::strtoull(result.error_output.c_str(), nullptr, 10) * kKiB;
}

TEST(GiveBack, ThousandThreadsOf100KiBCostLittleMoreThanWithGlibc) {
  const char* preload = std::getenv("LD_PRELOAD");
  if (preload == nullptr || *preload == '\0') GTEST_SKIP() << "nothing is preloaded: nothing to compare with glibc";
  const size_t with_glibc = MeasureThreads("");
  const size_t with_preload = MeasureThreads(preload);
  std::printf("  glibc %zu MiB, preloaded %zu MiB\n", with_glibc / kMiB, with_preload / kMiB);
  ASSERT_GT(with_glibc, 90 * kMiB) << "the threads held less than they should";
  ASSERT_GT(with_preload, 90 * kMiB) << "the threads held less than they should";
  EXPECT_LE(with_preload, with_glibc + 35 * kMiB);
}

// Not a test of its own: the body that the test above measures in a fresh process.
TEST(GiveBackHelper, ThreadsThatHoldMemory) {
  if (std::getenv("COMPAT_MEASURE_THREADS") == nullptr) GTEST_SKIP() << "run by another test only";
  EXPECT_EQ(ThreadsThatHoldMemory(), 0);
}

}  // namespace
}  // namespace acre::testing
