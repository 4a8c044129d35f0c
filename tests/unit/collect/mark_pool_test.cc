#include "allocator/collect/mark_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace acre {
namespace {

TEST(MarkPoolTest, AMarkerAloneIsAtOnceTheLast) {
  auto pool = std::make_unique<MarkPool>();
  pool->Begin(1);
  EXPECT_EQ(pool->Take(0).next, MarkPool::Next::kLast);
  EXPECT_FALSE(pool->WantsWork());
  EXPECT_TRUE(pool->GiveRange({.base = 64, .words = 8}));
  const MarkPool::Work work = pool->Take(0);
  EXPECT_EQ(work.next, MarkPool::Next::kRange);
  EXPECT_EQ(work.range.base, 64u);
  EXPECT_EQ(pool->Take(0).next, MarkPool::Next::kLast);
  pool->End();
  EXPECT_EQ(pool->Take(0).next, MarkPool::Next::kEnd);
}

TEST(MarkPoolTest, RangesBeyondItsRoomAreRefused) {
  auto pool = std::make_unique<MarkPool>();
  pool->Begin(1);
  size_t given = 0;
  while (pool->GiveRange({.base = 64 + given, .words = 1})) ++given;
  EXPECT_GT(given, 0u);
  size_t taken = 0;
  while (pool->Take(0).next == MarkPool::Next::kRange) ++taken;
  EXPECT_EQ(taken, given);
}

// Each unit of work is a range whose number of words says how many more it makes: every one must be taken once, nobody
// may leave while there is one, and all must leave then.
TEST(MarkPoolTest, AllWorkIsTakenOnceAndEverybodyLeavesAfterIt) {
  constexpr uint32_t kThreads = 4;
  for (int round = 0; round < 50; ++round) {
    auto pool = std::make_unique<MarkPool>();
    pool->Begin(kThreads);
    std::atomic<size_t> units{0};
    std::atomic<int> last{0};
    const auto work = [&](uint32_t number) {
      std::vector<GreyRange> own;
      if (number == 0) own.push_back({.base = 8, .words = 12});
      for (;;) {
        while (!own.empty()) {
          const GreyRange range = own.back();
          own.pop_back();
          units.fetch_add(1, std::memory_order_relaxed);
          for (uint32_t words = 0; words < range.words; ++words) {
            const GreyRange made = {.base = 8, .words = words};
            if (!pool->WantsWork() || !pool->GiveRange(made)) own.push_back(made);
          }
        }
        const MarkPool::Work next = pool->Take(number);
        if (next.next == MarkPool::Next::kEnd) return;
        if (next.next == MarkPool::Next::kRange) own.push_back(next.range);
        if (next.next == MarkPool::Next::kLast) {
          last.fetch_add(1);
          pool->End();
          return;
        }
      }
    };
    std::vector<std::thread> threads;
    for (uint32_t number = 0; number < kThreads; ++number) threads.emplace_back(work, number);
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(units.load(), size_t{1} << 12);
    EXPECT_EQ(last.load(), 1);
  }
}

}  // namespace
}  // namespace acre
