// The installed C++ interface, by what acre/manual_heap.h promises.

#include <acre/manual_heap.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <optional>
#include <thread>
#include <vector>

#include "tests/support/process_memory.h"

namespace acre {
namespace {

constexpr size_t kKiB = 1024;
constexpr size_t kMiB = 1024 * kKiB;

TEST(ManualHeap, ObjectsOfEverySizeAreAlignedAndUsable) {
  ManualHeap heap;
  ManualMutator mutator(heap);
  ASSERT_TRUE(heap.is_valid());
  ASSERT_TRUE(mutator.is_valid());
  for (size_t bytes : {size_t{0}, size_t{1}, size_t{64}, size_t{5000}, 100 * kKiB, 100 * kMiB}) {
    void* object = mutator.Allocate(bytes);
    ASSERT_NE(object, nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(object) % 16, 0u);
    EXPECT_GE(mutator.UsableBytes(object), bytes == 0 ? 1 : bytes);
    std::memset(object, 1, bytes);
    mutator.Free(object);
  }
}

TEST(ManualHeap, ZeroedAlignedAndReallocatedObjectsAreWhatTheySay) {
  ManualHeap heap;
  ManualMutator mutator(heap);
  auto* zeroed = static_cast<char*>(mutator.AllocateZeroed(10'000));
  for (size_t i = 0; i < 10'000; ++i) ASSERT_EQ(zeroed[i], 0);
  void* aligned = mutator.AllocateAligned(100, 4096);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(aligned) % 4096, 0u);
  std::memset(zeroed, 7, 10'000);
  auto* grown = static_cast<char*>(mutator.Reallocate(zeroed, 5 * kMiB));
  for (size_t i = 0; i < 10'000; ++i) ASSERT_EQ(grown[i], 7);
  mutator.Free(grown);
  mutator.Free(aligned);
  mutator.Free(mutator.Reallocate(nullptr, 10));
  mutator.Free(nullptr);
}

TEST(ManualHeap, RequestThatCannotBeServedIsNullAndKeepsTheObject) {
  ManualHeap heap;
  ManualMutator mutator(heap);
  EXPECT_EQ(mutator.Allocate(SIZE_MAX), nullptr);
  EXPECT_EQ(mutator.AllocateZeroed(SIZE_MAX / 2), nullptr);
  EXPECT_EQ(mutator.AllocateAligned(1, size_t{1} << 60), nullptr);
  void* object = mutator.Allocate(100);
  std::memset(object, 3, 100);
  EXPECT_EQ(mutator.Reallocate(object, SIZE_MAX / 2), nullptr);
  EXPECT_EQ(static_cast<char*>(object)[99], 3);
  mutator.Free(object);
}

TEST(ManualHeap, SeveralHeapsLiveSideBySideAndEndInAnyOrder) {
  std::vector<std::optional<ManualHeap>> heaps(5);
  std::vector<std::optional<ManualMutator>> mutators(5);
  std::vector<void*> objects;
  for (size_t i = 0; i < heaps.size(); ++i) {
    heaps[i].emplace();
    mutators[i].emplace(*heaps[i]);
    objects.push_back(mutators[i]->Allocate(1000));
    std::memset(objects[i], static_cast<int>(i), 1000);
  }
  for (size_t gone : {2u, 0u, 4u}) {
    mutators[gone].reset();
    heaps[gone].reset();
    for (size_t i = 0; i < heaps.size(); ++i) {
      if (!heaps[i].has_value()) continue;
      EXPECT_EQ(static_cast<unsigned char*>(objects[i])[999], i);
      EXPECT_EQ(heaps[i]->statistics().live_bytes, 1024u);
    }
  }
}

TEST(ManualHeap, EndOfAHeapReturnsAllItsMemory) {
  // The first one settles what the test program itself maps.
  size_t before = 0;
  for (int round = 0; round < 4; ++round) {
    {
      ManualHeap heap;
      ManualMutator mutator(heap);
      for (size_t bytes = 1; bytes < 3 * kMiB; bytes += 1 + bytes / 5) ASSERT_NE(mutator.Allocate(bytes), nullptr);
      ASSERT_NE(mutator.Allocate(100 * kMiB), nullptr);
    }
    const size_t after = testing::VirtualBytes();
    if (round > 0) {
      EXPECT_EQ(after, before) << "objects that nobody freed have to go as well";
    }
    before = after;
  }
}

TEST(ManualHeap, ThreadsWithMutatorsOfTheirOwnFreeEachOthersObjects) {
  ManualHeap heap;
  std::vector<void*> objects(20'000);
  std::thread([&] {
    ManualMutator mutator(heap);
    for (size_t i = 0; i < objects.size(); ++i) objects[i] = mutator.Allocate(1 + i % 3000);
  }).join();
  EXPECT_GE(heap.statistics().live_bytes, 20'000 * 1500u);
  std::vector<std::thread> threads;
  for (size_t part = 0; part < 4; ++part) {
    threads.emplace_back([&, part] {
      ManualMutator mutator(heap);
      for (size_t i = part; i < objects.size(); i += 4) mutator.Free(objects[i]);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(heap.statistics().live_bytes, 0u);
  heap.Release();
  EXPECT_EQ(heap.statistics().cached_bytes, 0u) << "the caches ended with their mutators, the depots with the release";
  EXPECT_EQ(heap.statistics().free_bytes, 0u);
}

TEST(ManualHeap, StatisticsFollowWhatTheProgramHolds) {
  ManualHeap heap;
  ManualMutator mutator(heap);
  EXPECT_EQ(heap.statistics().live_bytes, 0u);
  void* small = mutator.Allocate(64);
  EXPECT_EQ(heap.statistics().live_bytes, 64u);
  EXPECT_GT(heap.statistics().reserved_bytes, 0u);
  EXPECT_GT(heap.statistics().metadata_bytes, 0u);
  void* large = mutator.Allocate(kMiB);
  EXPECT_EQ(heap.statistics().live_bytes, 64 + kMiB);
  mutator.Free(small);
  mutator.Free(large);
  EXPECT_EQ(heap.statistics().live_bytes, 0u);
  EXPECT_GE(heap.statistics().free_bytes, kMiB);
}

TEST(ManualHeap, ReleaseGivesFreeMemoryBackAtOnce) {
  ManualHeap heap;
  ManualMutator mutator(heap);
  void* object = mutator.Allocate(10 * kMiB);
  std::memset(object, 1, 10 * kMiB);
  mutator.Free(object);
  EXPECT_GE(heap.Release(), 10 * kMiB);
  EXPECT_LT(heap.statistics().free_bytes, kMiB);
  EXPECT_EQ(heap.Release(), 0u);
}

TEST(ManualHeap, HeapWithoutAThreadReleasesInTheCallsThatFree) {
  ManualHeap heap({.may_start_thread = false});
  ManualMutator mutator(heap);
  std::vector<void*> objects;
  for (int i = 0; i < 100; ++i) objects.push_back(mutator.Allocate(kMiB));
  for (void* object : objects) mutator.Free(object);
  EXPECT_EQ(heap.statistics().live_bytes, 0u);
}

TEST(ManualHeap, DoubleFreeEndsTheProcessWithALineThatNamesTheAddress) {
  ManualHeap heap;
  ManualMutator mutator(heap);
  void* object = mutator.Allocate(64);
  mutator.Free(object);
  EXPECT_DEATH(mutator.Free(object), "^acre: double free of 0x[0-9a-f]+: a slot of 64 bytes, freed before\n");
}

}  // namespace
}  // namespace acre
