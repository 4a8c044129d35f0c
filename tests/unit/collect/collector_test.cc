#include "allocator/collect/collector.h"

#include <gtest/gtest.h>

#include <atomic>
#include <csignal>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "tests/support/allocator/collected_heap.h"

namespace acre {
namespace {

using testing::AttachedMutator;
using testing::CollectedHeap;
using testing::CollectOnFreshThread;
using testing::Hidden;
using testing::OnFreshThread;

struct Node {
  Node* next;
  uint64_t number;
};

// A list of `count` nodes, held by nothing but what is returned.
[[gnu::noinline]] Node* MakeList(AttachedMutator& mutator, uint64_t count) {
  Node* first = nullptr;
  for (uint64_t number = 0; number < count; ++number) {
    auto* node = static_cast<Node*>(mutator.Allocate(kConservative, sizeof(Node)));
    node->next = first;
    node->number = number;
    first = node;
  }
  return first;
}

uint64_t Length(const Node* node) {
  uint64_t length = 0;
  for (; node != nullptr; node = node->next) ++length;
  return length;
}

TEST(Collector, ObjectsAreZeroedAndAligned) {
  CollectedHeap heap;
  AttachedMutator mutator(heap);
  for (size_t bytes : {1, 16, 24, 100, 1000, 5000, 32'768, 40'000, 1'000'000}) {
    for (int i = 0; i < 50; ++i) {
      auto* object = static_cast<unsigned char*>(mutator.Allocate(kConservative, bytes));
      ASSERT_NE(object, nullptr);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(object) % 16, 0u);
      for (size_t at = 0; at < bytes; ++at) ASSERT_EQ(object[at], 0) << bytes << " bytes, at " << at;
      std::memset(object, 0xff, bytes);
    }
  }
}

TEST(Collector, WhatTheStackReachesSurvivesAndTheRestIsFreed) {
  CollectedHeap heap;
  AttachedMutator mutator(heap);
  Node* kept = MakeList(mutator, 10'000);
  OnFreshThread(heap, [](AttachedMutator& other) { MakeList(other, 90'000); });
  mutator.Collect();
  const CycleStats stats = heap.collector().stats();
  EXPECT_EQ(Length(kept), 10'000u);
  EXPECT_GE(stats.live_objects, 10'000u);
  EXPECT_LT(stats.live_objects, 10'200u) << "a few more may be reached by stale words";
  EXPECT_GT(stats.freed_bytes, 89'000u * sizeof(Node));
  heap.collector().CheckInvariants();
}

TEST(Collector, MemoryThatWasFreedIsUsedAgain) {
  CollectedHeap heap;
  AttachedMutator mutator(heap);
  for (int round = 0; round < 50; ++round) MakeList(mutator, 100'000);  // 1.6 MB each.
  EXPECT_GT(heap.collector().stats().cycles, 5u);
  EXPECT_LT(heap.heap().page_heap().used_bytes(), 16 * kMiB);
}

TEST(Collector, RegisteredRootsKeepWhatTheyPointTo) {
  CollectedHeap heap;
  AttachedMutator mutator(heap);
  // None of them lies on the stack, which is a root itself.
  const auto word = std::make_unique<RootWord>();
  const auto ranged = std::make_unique<Node*[]>(4);
  RootRange range{.next = nullptr, .previous = nullptr, .base = ranged.get(), .limit = ranged.get() + 4};
  const auto called = std::make_unique<Hidden>();
  RootCallback callback{.next = nullptr, .previous = nullptr, .function = [](void* context, acre_tracer* tracer) {
                          acre_visit(tracer, static_cast<Hidden*>(context)->get());
                        },
                        .context = called.get()};
  heap.roots().Add(*word);
  heap.roots().Add(range);
  heap.roots().Add(callback);
  OnFreshThread(heap, [&](AttachedMutator& other) {
    word->object = MakeList(other, 1000);
    ranged[2] = MakeList(other, 1000);
    *called = Hidden(MakeList(other, 1000));
  });
  mutator.Collect();
  EXPECT_EQ(Length(static_cast<Node*>(word->object)), 1000u);
  EXPECT_EQ(Length(ranged[2]), 1000u);
  EXPECT_EQ(Length(static_cast<Node*>(called->get())), 1000u);
  EXPECT_GE(heap.collector().stats().live_objects, 3000u);
  EXPECT_LT(heap.collector().stats().live_objects, 3100u);
  heap.roots().Remove(*word);
  heap.roots().Remove(range);
  heap.roots().Remove(callback);
  CollectOnFreshThread(heap);
  EXPECT_LT(heap.collector().stats().live_objects, 2000u) << "what was removed keeps nothing";
}

TEST(Collector, PlainObjectsAreNotRead) {
  CollectedHeap heap;
  AttachedMutator mutator(heap);
  auto* plain = static_cast<Node**>(mutator.Allocate(kPlain, 64 * sizeof(Node*)));
  OnFreshThread(heap, [&](AttachedMutator& other) { plain[5] = MakeList(other, 10'000); });
  mutator.Collect();
  EXPECT_LT(heap.collector().stats().live_objects, 200u);
  EXPECT_NE(plain[5], nullptr) << "the object itself is live";
}

TEST(Collector, BitmapKindsAreReadWhereTheirBitsAre) {
  CollectedHeap heap;
  AttachedMutator mutator(heap);
  const uint64_t bits = 0b10;
  Kind kind;
  ASSERT_EQ(heap.collector().kinds().AddBitmap(&bits, 2, &kind), Status::kOk);
  auto* pairs = static_cast<Node**>(mutator.Allocate(kind, 8 * sizeof(Node*)));
  OnFreshThread(heap, [&](AttachedMutator& other) {
    pairs[3] = MakeList(other, 1000);  // Word 1 of the second pair: a pointer.
    pairs[4] = MakeList(other, 1000);  // Word 0 of the third: none.
  });
  mutator.Collect();
  EXPECT_EQ(Length(pairs[3]), 1000u);
  EXPECT_GE(heap.collector().stats().live_objects, 1000u);
  EXPECT_LT(heap.collector().stats().live_objects, 1200u);
}

TEST(Collector, LargeAndHugeObjectsLiveAndDieLikeOthers) {
  CollectedHeap heap;
  const auto roots = std::make_unique<RootWord[]>(2);
  for (size_t i = 0; i < 2; ++i) heap.roots().Add(roots[i]);
  OnFreshThread(heap, [&](AttachedMutator& mutator) {
    roots[0].object = mutator.Allocate(kConservative, 100'000);
    roots[1].object = mutator.Allocate(kConservative, 70'000'000);
    static_cast<Node**>(roots[0].object)[12'000] = MakeList(mutator, 1000);
    static_cast<Node**>(roots[1].object)[8'000'000] = MakeList(mutator, 1000);
    for (int i = 0; i < 20; ++i) mutator.Allocate(kConservative, 500'000);
    mutator.Allocate(kConservative, 70'000'000);
  });
  CollectOnFreshThread(heap);
  EXPECT_EQ(Length(static_cast<Node**>(roots[0].object)[12'000]), 1000u);
  EXPECT_EQ(Length(static_cast<Node**>(roots[1].object)[8'000'000]), 1000u);
  EXPECT_GE(heap.collector().stats().live_objects, 2001u);
  EXPECT_EQ(heap.heap().huge_list().stats().objects, 1u);
  EXPECT_LE(heap.heap().page_heap().stats().large_spans, 3u);
  for (size_t i = 0; i < 2; ++i) heap.roots().Remove(roots[i]);
}

TEST(Collector, InteriorPointersKeepTheirObject) {
  CollectedHeap heap;
  AttachedMutator mutator(heap);
  auto* inside = static_cast<char*>(mutator.Allocate(kPlain, 3000)) + 1234;
  std::memset(inside, 7, 100);
  for (int i = 0; i < 3; ++i) {
    mutator.Collect();
    for (int k = 0; k < 1000; ++k) std::memset(mutator.Allocate(kPlain, 3000), 9, 3000);
  }
  for (int at = 0; at < 100; ++at) ASSERT_EQ(inside[at], 7);
}

// Threads that allocate and check lists of their own while they stop each other again and again.
TEST(Collector, ThreadsKeepTheirOwnListsWhileEachOfThemCollects) {
  CollectedHeap heap;
  constexpr int kThreads = 4;
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int number = 0; number < kThreads; ++number) {
    threads.emplace_back([&heap, &wrong] {
      AttachedMutator mutator(heap);
      for (int round = 0; round < 30; ++round) {
        Node* list = MakeList(mutator, 2000);
        if (round % 5 == 0) mutator.Collect();
        MakeList(mutator, 5000);
        wrong += Length(list) != 2000;
        uint64_t number_expected = 2000;
        for (const Node* node = list; node != nullptr; node = node->next) wrong += node->number != --number_expected;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_GE(heap.collector().stats().cycles, kThreads * 6u);
  heap.collector().CheckInvariants();
}

TEST(Collector, ThreadInABlockingCallIsNotWaitedFor) {
  CollectedHeap heap;
  AttachedMutator mutator(heap);
  std::atomic<bool> is_blocked = false;
  std::atomic<bool> may_go = false;
  std::atomic<uint64_t> length = 0;
  std::thread thread([&] {
    AttachedMutator own(heap);
    Node* list = MakeList(own, 1000);
    struct Call {
      std::atomic<bool>& is_blocked;
      std::atomic<bool>& may_go;
    } call{is_blocked, may_go};
    World::Block(
        own.mutator(),
        [](void* argument) {
          auto& flags = *static_cast<Call*>(argument);
          sigset_t all;
          sigset_t before;
          sigfillset(&all);
          pthread_sigmask(SIG_SETMASK, &all, &before);  // It could not be stopped by a signal.
          flags.is_blocked = true;
          while (!flags.may_go) std::this_thread::yield();
          pthread_sigmask(SIG_SETMASK, &before, nullptr);
        },
        &call);
    length = Length(list);
  });
  while (!is_blocked) std::this_thread::yield();
  for (int i = 0; i < 10; ++i) {
    MakeList(mutator, 1000);
    mutator.Collect();
  }
  may_go = true;
  thread.join();
  EXPECT_EQ(length, 1000u) << "the blocked thread's stack is a root";
}

// Who stops the world may find such a thread without a signal target, and running again a moment later.
TEST(Collector, ThreadThatParksAndComesBackAllTheTimeIsStopped) {
  CollectedHeap heap;
  std::atomic<bool> is_ending = false;
  std::vector<std::thread> threads;
  for (int number = 0; number < 3; ++number) {
    threads.emplace_back([&] {
      AttachedMutator mutator(heap);
      const auto held = std::make_unique<RootWord>();
      heap.roots().Add(*held);  // Before it holds the list: Add may wait for a collection.
      held->object = MakeList(mutator, 100);
      while (!is_ending) {
        World::Park(mutator.mutator());
        World::Unpark(mutator.mutator());
      }
      EXPECT_EQ(Length(static_cast<Node*>(held->object)), 100u);
      heap.roots().Remove(*held);
    });
  }
  AttachedMutator mutator(heap);
  for (int i = 0; i < 500; ++i) mutator.Collect();
  is_ending = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(heap.collector().stats().cycles, 500u);
}

TEST(Collector, RunLeftBehindByAThreadIsUsedByOthers) {
  CollectedHeap heap;
  for (int i = 0; i < 100; ++i) {
    std::thread([&heap] {
      AttachedMutator mutator(heap);
      MakeList(mutator, 10);
    }).join();
  }
  heap.collector().CheckInvariants();
  EXPECT_LE(heap.heap().page_heap().used_bytes(), 8 * kPageBytes);
}

}  // namespace
}  // namespace acre
