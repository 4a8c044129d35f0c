// Many threads on one span heap: each allocates, frees what others allocated, comes and goes, while one more gives idle
// memory back and another reads statistics. Meant to be run under ThreadSanitizer and AddressSanitizer too.
//
// ACRE_STRESS_ROUNDS multiplies the length of a run.

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <thread>
#include <vector>

#include "allocator/heap/housekeeper.h"
#include "allocator/heap/span_heap.h"
#include "os/clock.h"
#include "os/memory_calls.h"
#include "tests/support/seed.h"

namespace acre {
namespace {

size_t Rounds(size_t rounds) {
  const char* factor = std::getenv("ACRE_STRESS_ROUNDS");
  return factor == nullptr ? rounds : rounds * std::strtoull(factor, nullptr, 10);
}

// The beginning of every object: whoever takes it from a slot can tell whether it is whole.
struct Header {
  size_t bytes;
  uint64_t check;
};

constexpr uint64_t kSalt = 0x5bd1e9955bd1e995;

class HeapStress : public ::testing::Test {
 protected:
  static constexpr size_t kSharedSlots = 512;

  HeapStress() { heap_.page_heap().set_huge_page_threshold(4 * kMiB); }

  void Write(void* memory, size_t bytes) {
    auto* header = static_cast<Header*>(memory);
    *header = {bytes, bytes ^ kSalt ^ reinterpret_cast<uintptr_t>(memory)};
    static_cast<unsigned char*>(memory)[bytes - 1] = static_cast<unsigned char>(bytes);
  }

  static void ExpectWhole(const void* memory) {
    const auto* header = static_cast<const Header*>(memory);
    ASSERT_EQ(header->check, header->bytes ^ kSalt ^ reinterpret_cast<uintptr_t>(memory));
    ASSERT_EQ(static_cast<const unsigned char*>(memory)[header->bytes - 1], static_cast<unsigned char>(header->bytes));
  }

  static size_t RandomBytes(testing::Random& random) {
    constexpr size_t kLeast = sizeof(Header) + 1;
    if (random.OneIn(5000)) return 33 * kMiB + random.Below(40 * kMiB);
    if (random.OneIn(1000)) return kLeast + random.Below(24 * kMiB);  // So that chunks grow, come and go.
    if (random.OneIn(100)) return kLeast + random.Below(300 * kKiB);
    return kLeast + random.Skewed(12);
  }

  // One thread's life: objects of its own, and a trade with the shared slots every now and then.
  void Work(uint64_t seed, size_t operations) {
    testing::Random random(seed);
    ThreadCache* cache = heap_.OpenCache();
    std::vector<void*> own;
    for (size_t i = 0; i < operations && !HasFatalFailure(); ++i) {
      if (own.size() < 40 || random.OneIn(2)) {
        own.push_back(Allocate(*cache, random));
      } else {
        void*& object = own[random.Below(own.size())];
        if (random.OneIn(3)) object = shared_[random.Below(kSharedSlots)].exchange(object);
        if (object != nullptr) {
          ExpectWhole(object);
          if (random.OneIn(10)) {
            Reallocate(*cache, random, &object);
            continue;
          }
          heap_.Free(*cache, object);
        }
        object = own.back();
        own.pop_back();
      }
    }
    for (void* object : own) heap_.Free(*cache, object);
    heap_.CloseCache(cache);
  }

  void* Allocate(ThreadCache& cache, testing::Random& random) {
    const size_t bytes = RandomBytes(random);
    void* object = random.OneIn(10)   ? heap_.AllocateZeroed(cache, bytes)
                   : random.OneIn(10) ? heap_.AllocateAligned(cache, bytes, size_t{1} << random.Below(16))
                                      : heap_.Allocate(cache, bytes);
    EXPECT_NE(object, nullptr);
    Write(object, bytes);
    return object;
  }

  void Reallocate(ThreadCache& cache, testing::Random& random, void** object) {
    const size_t bytes = RandomBytes(random);
    const auto before = static_cast<Header*>(*object)->bytes;
    void* moved = heap_.Reallocate(cache, *object, bytes);
    ASSERT_NE(moved, nullptr);
    ASSERT_EQ(static_cast<Header*>(moved)->bytes, before);
    Write(moved, bytes);
    *object = moved;
  }

  void FreeShared() {
    ThreadCache* cache = heap_.OpenCache();
    for (std::atomic<void*>& slot : shared_) heap_.Free(*cache, slot.exchange(nullptr));
    heap_.CloseCache(cache);
  }

  // Calls `body` again and again until the guard goes.
  template <class Body>
  std::thread Repeat(Body body) {
    return std::thread([this, body]() mutable {
      while (!is_done_.load()) {
        body();
        std::this_thread::yield();
      }
    });
  }

  void ExpectEmpty() {
    heap_.ReleaseAll();
    heap_.CheckInvariants();
    EXPECT_EQ(heap_.page_heap().used_bytes(), 0u);
    EXPECT_EQ(heap_.page_heap().dirty_bytes(), 0u);
    EXPECT_EQ(heap_.space().stats().ready_bytes, 0u);
    EXPECT_EQ(heap_.stats().huge.bytes, 0u);
    EXPECT_EQ(heap_.stats().threads, 0u);
  }

  std::unique_ptr<ChunkTable> table_ = std::make_unique<ChunkTable>();
  SpanHeap heap_{os::KernelMemoryCalls(), std::numeric_limits<size_t>::max(), *table_};
  std::array<std::atomic<void*>, kSharedSlots> shared_{};
  std::atomic<bool> is_done_{false};
};

TEST_F(HeapStress, ThreadsThatFreeEachOthersObjectsWhileMemoryGoesBackLoseNothing) {
  const uint64_t seed = testing::Seed("heap stress");
  std::thread releaser = Repeat([this, now_ns = os::MonotonicNs(), turn = 0]() mutable {
    now_ns += 30'000'000;
    static_cast<void>(++turn % 4 == 0 ? heap_.ReleaseAll() : heap_.ReleaseIdle(now_ns));
  });
  std::thread reader = Repeat([this] {
    const HeapStats stats = heap_.stats();
    EXPECT_LE(stats.space.ready_bytes, size_t{1} << 40);
  });
  std::vector<std::thread> workers;
  for (uint64_t i = 0; i < 6; ++i) workers.emplace_back([=, this] { Work(seed + i, Rounds(150'000)); });
  for (std::thread& worker : workers) worker.join();
  is_done_.store(true);
  releaser.join();
  reader.join();
  FreeShared();
  ExpectEmpty();
}

TEST_F(HeapStress, ThreadsThatComeAndGoLeaveNothingBehind) {
  const uint64_t seed = testing::Seed("thread churn");
  for (uint64_t generation = 0; generation < Rounds(60); ++generation) {
    std::vector<std::thread> workers;
    for (uint64_t i = 0; i < 8; ++i) workers.emplace_back([=, this] { Work(seed + generation * 8 + i, 300); });
    for (std::thread& worker : workers) worker.join();
  }
  FreeShared();
  ExpectEmpty();
}

TEST_F(HeapStress, ProducerAndConsumerOfOneClassKeepTheHeapSmall) {
  // All is allocated by one thread and freed by another.
  constexpr size_t kBytes = 64;
  const size_t objects = Rounds(200'000);
  std::thread producer([this, objects] {
    ThreadCache* cache = heap_.OpenCache();
    for (size_t i = 0; i < objects; ++i) {
      void* object = heap_.Allocate(*cache, kBytes);
      Write(object, kBytes);
      void* expected = nullptr;
      while (!shared_[i % kSharedSlots].compare_exchange_weak(expected, object)) {
        expected = nullptr;
        std::this_thread::yield();
      }
    }
    heap_.CloseCache(cache);
  });
  ThreadCache* cache = heap_.OpenCache();
  for (size_t i = 0; i < objects; ++i) {
    void* object = nullptr;
    while ((object = shared_[i % kSharedSlots].exchange(nullptr)) == nullptr) std::this_thread::yield();
    ExpectWhole(object);
    heap_.Free(*cache, object);
  }
  producer.join();
  EXPECT_LE(heap_.page_heap().used_bytes(), 4 * kMiB);
  heap_.CloseCache(cache);
  ExpectEmpty();
}

TEST_F(HeapStress, HousekeeperAndWorkersShareTheHeap) {
  const uint64_t seed = testing::Seed("housekeeper");
  Housekeeper keeper(heap_);
  std::vector<std::thread> workers;
  for (uint64_t i = 0; i < 4; ++i) {
    workers.emplace_back([=, this, &keeper] {
      for (int life = 0; life < 4; ++life) {
        Work(seed + i, Rounds(15'000));
        keeper.Poke();
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
  keeper.Stop();
  FreeShared();
  ExpectEmpty();
}

}  // namespace
}  // namespace acre
