// Many threads, short threads, memory freed by others, and signals in between.

#include <gtest/gtest.h>
#include <pthread.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <thread>
#include <vector>

#include "tests/compat/blocks.h"
#include "tests/support/malloc_library.h"
#include "tests/support/process_memory.h"
#include "tests/support/seed.h"

namespace acre::testing {
namespace {

TEST(Threads, TenThousandShortThreadsLeaveNothingBehind) {
  constexpr int kThreads = 10'000;
  size_t settled = 0;
  for (int i = 0; i < kThreads; i += 4) {
    std::array<std::thread, 4> threads;
    for (std::thread& thread : threads) {
      thread = std::thread([] {
        // Each leaves full caches of many classes, and blocks of its own freed by nobody else.
        std::vector<void*> blocks;
        for (size_t bytes = 8; bytes <= 32 * kKiB; bytes = bytes * 5 / 4 + 1) {
          for (int n = 0; n < 4; ++n) blocks.push_back(malloc(bytes));
        }
        for (void* block : blocks) Fill(block, 8, 1);
        for (void* block : blocks) free(block);
      });
    }
    for (std::thread& thread : threads) thread.join();
    if (i == kThreads / 10) settled = ResidentBytes();
  }
  std::printf("  RSS after a tenth %zu KiB, at the end %zu KiB\n", settled / kKiB, ResidentBytes() / kKiB);
  EXPECT_LE(ResidentBytes(), settled + 8 * kMiB);
}

TEST(Threads, BlocksOfExitedThreadsCanBeFreed) {
  std::vector<void*> blocks;
  for (int i = 0; i < 50; ++i) {
    std::thread([&blocks] {
      for (size_t n = 0; n < 1000; ++n) {
        blocks.push_back(malloc(n));
        Fill(blocks.back(), n, n);
      }
    }).join();
  }
  for (size_t i = 0; i < blocks.size(); ++i) {
    ASSERT_TRUE(IsFilled(blocks[i], i % 1000, i % 1000));
    free(blocks[i]);
  }
}

// A ring with one writer and one reader.
class Ring {
 public:
  void Push(void* block) {
    const size_t at = written_.load(std::memory_order_relaxed);
    while (at - read_.load(std::memory_order_acquire) == kSlots) std::this_thread::yield();
    slots_[at % kSlots] = block;
    written_.store(at + 1, std::memory_order_release);
  }
  void* Pop() {
    const size_t at = read_.load(std::memory_order_relaxed);
    while (written_.load(std::memory_order_acquire) == at) std::this_thread::yield();
    void* block = slots_[at % kSlots];
    read_.store(at + 1, std::memory_order_release);
    return block;
  }

 private:
  static constexpr size_t kSlots = 4096;
  std::array<void*, kSlots> slots_{};
  std::atomic<size_t> written_{0};
  std::atomic<size_t> read_{0};
};

TEST(Threads, ProducerAndConsumerKeepMemoryFlat) {
  constexpr size_t kBlocks = 2'000'000;
  Ring ring;
  const size_t before = ResidentBytes();
  std::thread producer([&] {
    Random random(1);
    for (size_t i = 0; i < kBlocks; ++i) {
      const size_t bytes = sizeof(size_t) * 2 + random.Below(500);
      auto* block = static_cast<size_t*>(malloc(bytes));
      block[0] = i;
      block[1] = ~i;
      ring.Push(block);
    }
  });
  size_t wrong = 0;
  for (size_t i = 0; i < kBlocks; ++i) {
    auto* block = static_cast<size_t*>(ring.Pop());
    wrong += block[0] != i || block[1] != ~i;
    free(block);
  }
  producer.join();
  EXPECT_EQ(wrong, 0u);
  // 2 million blocks of 250 bytes would be half a gigabyte if the producer's memory never came back to it.
  EXPECT_LE(ResidentBytes(), before + 32 * kMiB);
}

TEST(Threads, RingOfThreadsPassesBlocksOn) {
  constexpr size_t kThreads = 6;
  constexpr size_t kRounds = 20'000;
  std::array<Ring, kThreads> rings;
  std::atomic<size_t> wrong{0};
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < kRounds; ++i) {
        const size_t bytes = sizeof(size_t) + i % 3000;
        auto* block = static_cast<unsigned char*>(malloc(bytes));
        std::memcpy(block, &bytes, sizeof bytes);
        Fill(block + sizeof bytes, bytes - sizeof bytes, bytes);
        rings[(t + 1) % kThreads].Push(block);
        auto* received = static_cast<unsigned char*>(rings[t].Pop());
        size_t got = 0;
        std::memcpy(&got, received, sizeof got);
        if (got != bytes || !IsFilled(received + sizeof got, got - sizeof got, got)) wrong.fetch_add(1);
        free(received);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong.load(), 0u);
}

// The handler does what async-signal-safe code may: nothing with the heap. Yet it interrupts the heap's code at every
// point of it, in threads that free what others allocated.
std::atomic<long> handled{0};

TEST(Threads, SignalStormWhileThreadsFreeForeignBlocks) {
  struct sigaction action {};
  struct sigaction old {};
  action.sa_handler = [](int) { handled.fetch_add(1, std::memory_order_relaxed); };
  action.sa_flags = SA_RESTART;
  sigaction(SIGUSR1, &action, &old);
  handled = 0;
  constexpr long kWanted = 5000;
  Ring ring;
  std::atomic<bool> is_enough{false};
  std::thread producer([&] {
    for (size_t i = 0; !is_enough; ++i) ring.Push(malloc(1 + i % 2000));
    ring.Push(nullptr);
  });
  std::thread consumer([&] {
    while (void* block = ring.Pop()) free(block);
  });
  while (handled < kWanted) {
    pthread_kill(producer.native_handle(), SIGUSR1);
    pthread_kill(consumer.native_handle(), SIGUSR1);
    std::this_thread::yield();
  }
  is_enough = true;
  producer.join();
  consumer.join();
  sigaction(SIGUSR1, &old, nullptr);
  std::printf("  %ld signals handled\n", handled.load());
}

TEST(Threads, CancelledThreadsReleaseTheHeap) {
  // A thread cancelled inside malloc must not take a lock with it: deferred cancellation acts at cancellation points
  // only, and the heap may contain none.
  for (int round = 0; round < 50; ++round) {
    pthread_t thread;
    ASSERT_EQ(pthread_create(
                  &thread, nullptr,
                  [](void*) -> void* {
                    for (size_t n = 0;; ++n) {
                      free(Opaque(malloc(n % 300'000)));
                      if (n % 1000 == 0) pthread_testcancel();
                    }
                  },
                  nullptr),
              0);
    free(Opaque(malloc(100'000)));
    pthread_cancel(thread);
    void* result = nullptr;
    pthread_join(thread, &result);
    EXPECT_EQ(result, PTHREAD_CANCELED);
    free(Opaque(malloc(1000)));
  }
}

}  // namespace
}  // namespace acre::testing
