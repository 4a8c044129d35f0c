#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

#include "os/fork.h"
#include "tests/support/allocator/collected_heap.h"

// Forks of processes whose heaps are in use. The child allocates and collects on the same heap; what it finds wrong is its
// exit status. An alarm ends a child that hangs.

namespace acre {
namespace {

using testing::AttachedMutator;
using testing::CollectedHeap;

struct Node {
  Node* next;
  uint64_t number;
};

[[gnu::noinline]] Node* MakeList(AttachedMutator& mutator, uint64_t count) {
  Node* first = nullptr;
  for (uint64_t number = 0; number < count; ++number) {
    auto* node = static_cast<Node*>(mutator.Allocate(number % 7 == 0 ? kPlain : kConservative, sizeof(Node)));
    if (number % 7 == 0) continue;
    node->next = first;
    node->number = number;
    first = node;
  }
  return first;
}

bool IsWhole(const Node* node, uint64_t count) {
  for (uint64_t number = count; number-- > 0;) {
    if (number % 7 == 0) continue;
    if (node == nullptr || node->number != number) return false;
    node = node->next;
  }
  return node == nullptr;
}

template <class Body>
void InForkedChild(Body body) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    alarm(60);
    _exit(body());
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
}

// What a process does with its heap after a fork, on either side. 0: all is well.
int GoOn(CollectedHeap& heap, AttachedMutator& mutator, const Node* kept, uint64_t count) {
  for (int round = 0; round < 5; ++round) {
    MakeList(mutator, 3000);
    (void)mutator.Allocate(kConservative, 200'000);
    mutator.Collect();
    if (!IsWhole(kept, count)) return 1;
  }
  return heap.collector().stats().cycles >= 5 ? 0 : 2;
}

TEST(CollectorFork, BothProcessesGoOnWithAHeapOfOneThread) {
  CollectedHeap heap;
  AttachedMutator mutator(heap);
  Node* kept = MakeList(mutator, 5000);
  InForkedChild([&] { return GoOn(heap, mutator, kept, 5000); });
  EXPECT_EQ(GoOn(heap, mutator, kept, 5000), 0);
}

TEST(CollectorFork, ThreadWithoutAMutatorForks) {
  CollectedHeap heap;
  InForkedChild([&] {
    AttachedMutator mutator(heap);
    Node* kept = MakeList(mutator, 100);
    return GoOn(heap, mutator, kept, 100);
  });
}

// Threads allocate, collect, come and go while this one forks again and again: every child finds its locks free, its own
// list whole, and no mutator of a thread that it does not have.
TEST(CollectorFork, AnyMomentOfTheOtherThreadsWillDo) {
  CollectorOptions options;
  options.min_trigger_bytes = 256 * kKiB;
  CollectedHeap heap(options);
  std::atomic<bool> is_over = false;
  std::vector<std::thread> threads;
  for (int number = 0; number < 2; ++number) {
    threads.emplace_back([&] {
      while (!is_over) {
        AttachedMutator mutator(heap);
        for (int round = 0; round < 20 && !is_over; ++round) {
          Node* list = MakeList(mutator, 2000);
          (void)mutator.Allocate(kConservative, 100'000);
          if (round % 4 == 0) mutator.Collect();
          EXPECT_TRUE(IsWhole(list, 2000));
        }
      }
    });
  }
  threads.emplace_back([&] {
    while (!is_over) AttachedMutator mutator(heap);
  });
  AttachedMutator mutator(heap);
  Node* kept = MakeList(mutator, 3000);
  for (int round = 0; round < 25; ++round) {
    MakeList(mutator, 1000);
    InForkedChild([&] { return GoOn(heap, mutator, kept, 3000); });
    EXPECT_TRUE(IsWhole(kept, 3000));
  }
  is_over = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(GoOn(heap, mutator, kept, 3000), 0);
  heap.collector().CheckInvariants();
}

TEST(CollectorFork, ParkedMutatorIsThereInTheChild) {
  CollectedHeap heap;
  CollectedMutator parked;
  ASSERT_TRUE(heap.collector().Attach(parked));
  World::Park(parked);
  InForkedChild([&] {
    {
      AttachedMutator mutator(heap);
      mutator.Collect();
    }
    World::Unpark(parked);
    heap.collector().Collect(parked);
    return heap.collector().Allocate(parked, kPlain, 100) == nullptr ? 1 : 0;
  });
  World::Unpark(parked);
  heap.collector().Detach(parked);
}

TEST(CollectorFork, SeveralHeapsOfOneThread) {
  CollectedHeap heaps[2];
  AttachedMutator first(heaps[0]);
  AttachedMutator second(heaps[1]);
  Node* kept[2] = {MakeList(first, 500), MakeList(second, 500)};
  InForkedChild([&] {
    const int result = GoOn(heaps[0], first, kept[0], 500);
    return result != 0 ? result : GoOn(heaps[1], second, kept[1], 500);
  });
  EXPECT_EQ(GoOn(heaps[0], first, kept[0], 500), 0);
  EXPECT_EQ(GoOn(heaps[1], second, kept[1], 500), 0);
}

}  // namespace
}  // namespace acre
