#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "os/fake/fake_memory.h"
#include "os/fork.h"
#include "tests/support/allocator/collected_heap.h"
#include "tests/support/allocator/marking_heap.h"
#include "tests/support/sanitizers.h"

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

// Each process makes threads with runs of three kinds, and then the next process, which has none of them. The last compares
// what the heap's records take with what the first one had. 0: nothing more.
int CompareGenerations(CollectedHeap& heap, Kind third, size_t first_bytes, int generations_left) {
  constexpr int kThreads = 4;
  static std::atomic<int> ready;
  ready = 0;
  for (int number = 0; number < kThreads; ++number) {
    std::thread([&heap, third] {
      AttachedMutator mutator(heap);
      for (const Kind kind : {kPlain, kConservative, third}) (void)mutator.Allocate(kind, 64);
      ready += 1;
      World::Block(mutator.mutator(), [](void*) { while (true) pause(); }, nullptr);
    }).detach();
  }
  while (ready != kThreads) std::this_thread::yield();
  const size_t bytes = heap.heap().stats().space.metadata_bytes;
  if (first_bytes == 0) first_bytes = bytes;
  if (generations_left == 0) return bytes == first_bytes ? 0 : 1;
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    _exit(CompareGenerations(heap, third, first_bytes, generations_left - 1));
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status)) return 2;
  return WEXITSTATUS(status);
}

TEST(CollectorFork, RowsOfLostThreadsAreUsedAgain) {
  if (testing::kHasThreadSanitizer) GTEST_SKIP() << "it ends a child that makes threads";
  InForkedChild([] {  // In it the threads end with the process.
    CollectedHeap heap;
    const uint64_t bits = 1;
    Kind third = 0;
    if (heap.collector().kinds().AddBitmap(&bits, 1, &third) != Status::kOk) return 3;
    return CompareGenerations(heap, third, 0, 12);
  });
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

// A thread's first large object needs memory from the kernel. In that moment another thread forks, and has come to wait
// for a lock when the first goes on: the child has the object whole, or not at all.
class ForkWhileALargeObjectIsMade : public ::testing::Test {
 protected:
  // What is called before the locks of the heap are taken.
  struct Watch : os::ForkUser {
    std::atomic<bool> is_in_fork{false};
  };
  struct Parts {
    explicit Parts(const CollectorOptions& options)
        : heap(fake.calls(), std::numeric_limits<size_t>::max(), table), collector(heap, options) {}

    os::FakeMemory fake;
    ChunkTable table{};
    SpanHeap heap;
    Collector collector;
  };

  ForkWhileALargeObjectIsMade() {
    CollectorOptions options;
    options.debug.verifies_marks = true;
    parts_ = std::make_unique<Parts>(options);
    EXPECT_TRUE(parts_->collector.Prepare());
    watch_.end_work = [](os::ForkUser*) {};
    watch_.lock = [](os::ForkUser* user) { static_cast<Watch*>(user)->is_in_fork = true; };
    watch_.in_parent = watch_.end_work;
    watch_.in_child = watch_.end_work;
    EXPECT_TRUE(os::ForkUsers::Add(watch_));  // The last to come is the first to be called.
  }
  ~ForkWhileALargeObjectIsMade() override { os::ForkUsers::Remove(watch_); }

  static bool Sleeps(pid_t thread) {
    std::ifstream file("/proc/self/task/" + std::to_string(thread) + "/stat");
    std::string line;
    std::getline(file, line);
    const size_t name_end = line.rfind(')');  // Of the thread, which may have any character.
    return name_end != std::string::npos && line.compare(name_end, 3, ") S") == 0;
  }

  // 0: all is well.
  int Collect() {
    CollectedMutator mutator;
    if (!parts_->collector.Attach(mutator)) return 1;
    for (int round = 0; round < 3; ++round) parts_->collector.Collect(mutator);
    parts_->collector.Detach(mutator);
    parts_->collector.CheckInvariants();
    return 0;
  }

  Watch watch_;
  std::unique_ptr<Parts> parts_;
};

TEST_F(ForkWhileALargeObjectIsMade, TheChildHasItWholeOrNotAtAll) {
  const pid_t forking = gettid();
  std::atomic<bool> may_fork = false;
  std::atomic<bool> has_forked = false;
  std::thread maker([&] {
    CollectedMutator mutator;
    ASSERT_TRUE(parts_->collector.Attach(mutator));
    parts_->fake.BeforeNth(1, os::FakeMemory::Kind::kProtect, [&] {
      may_fork = true;
      may_fork.notify_all();
      while (!watch_.is_in_fork || !Sleeps(forking)) std::this_thread::yield();
    });
    EXPECT_NE(parts_->collector.Allocate(mutator, kConservative, 100'000), nullptr);
    EXPECT_TRUE(may_fork) << "the object needed no memory from the kernel";
    may_fork = true;
    may_fork.notify_all();
    has_forked.wait(false);  // No lock of the library's malloc is taken while the process forks.
    parts_->collector.Detach(mutator);
  });
  may_fork.wait(false);
  InForkedChild([&] { return Collect(); });
  has_forked = true;
  has_forked.notify_all();
  maker.join();
  EXPECT_EQ(Collect(), 0);
}

// A marking that goes on is ended before the fork: neither process loses what was overwritten, and each has cycles of its
// own afterwards.
class ForkWhileMarking : public ::testing::Test {
 protected:
  ForkWhileMarking() : heap_(Options()) {
    heap_.Do([&](AttachedMutator& mutator) {
      Node* list = MakeList(mutator, kNodes);
      heap_.Store(mutator, heap_.field(0), list);
      list_ = testing::Hidden(list);
    });
    heap_.Do([&](AttachedMutator& mutator) {
      heap_.BeginMarking(mutator);
      auto* object = static_cast<uint64_t*>(mutator.Allocate(kConservative, 64));
      heap_.Store(mutator, object, list_.get());
      heap_.held(0) = object;
      heap_.Store(mutator, heap_.field(0), nullptr);
    });
    heap_.gate().Open();  // Nobody allocates, so that the marking goes on until the fork.
  }

  static CollectorOptions Options() {
    CollectorOptions options = testing::ConcurrentOptions();
    options.debug.verifies_marks = true;
    options.debug.clobbers_freed = true;
    return options;
  }

  // 0: all is well.
  int GoOn() {
    const CycleStats before = heap_.collector().stats();
    if (before.concurrent_cycles != 1) return 10;
    if (heap_.collector().is_marking_beside()) return 11;
    int result = 0;
    heap_.Do([&](AttachedMutator& mutator) {
      for (int i = 0; i < 100'000 && heap_.collector().stats().concurrent_cycles < 4; ++i) {
        (void)mutator.Allocate(kPlain, 2000);
      }
      if (heap_.collector().stats().concurrent_cycles < 4) result = 12;
      if (heap_.collector().stats().cycles < before.cycles + 3) result = 13;
      mutator.Collect();
      if (!IsWhole(static_cast<const Node*>(list_.get()), kNodes)) result = 14;
    });
    heap_.collector().CheckInvariants();
    return result;
  }

  static constexpr uint64_t kNodes = 5000;
  testing::MarkingHeap heap_;
  testing::Hidden list_;
};

TEST_F(ForkWhileMarking, ByAThreadWithoutAMutator) {
  if (testing::kHasThreadSanitizer) GTEST_SKIP() << "the child must not make threads";
  InForkedChild([&] { return GoOn(); });
  EXPECT_EQ(GoOn(), 0);
}

TEST_F(ForkWhileMarking, ByAMutator) {
  if (testing::kHasThreadSanitizer) GTEST_SKIP() << "the child must not make threads";
  heap_.Do([&](AttachedMutator&) { InForkedChild([&] { return GoOn(); }); });
  EXPECT_EQ(GoOn(), 0);
}

}  // namespace
}  // namespace acre
