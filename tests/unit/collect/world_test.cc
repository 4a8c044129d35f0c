#include "allocator/collect/world.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "tests/support/allocator/collected_heap.h"
#include "tests/support/child.h"

namespace acre {
namespace {

using testing::AttachedMutator;
using testing::ChildResult;
using testing::CollectedHeap;
using testing::Hidden;
using testing::RunInChild;

CollectorOptions WithoutSignal() {
  CollectorOptions options;
  options.stop_signal = 0;
  options.min_trigger_bytes = 256 * kKiB;
  return options;
}

void Work(AttachedMutator& mutator, int rounds) {
  for (int round = 0; round < rounds; ++round) {
    for (int i = 0; i < 200; ++i) (void)mutator.Allocate(kConservative, 64);
    if (round % 10 == 0) mutator.Collect();
  }
}

TEST(World, SafepointsOnlyInstallsNoHandler) {
  const ChildResult result = RunInChild([] {
    signal(SIGURG, SIG_DFL);
    CollectedHeap heap(WithoutSignal());
    std::thread thread([&] {
      AttachedMutator other(heap);
      Work(other, 20);
    });
    {
      AttachedMutator mutator(heap);
      Work(mutator, 20);
    }
    thread.join();
    struct sigaction action = {};
    sigaction(SIGURG, nullptr, &action);
    return action.sa_handler == SIG_DFL ? 0 : 1;
  });
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
}

// Who waits for the collection, for the list of mutators or for the roots is waited for by nobody.
TEST(World, SafepointsOnlyThreadsThatAllocateCollectAttachAndRegister) {
  CollectedHeap heap(WithoutSignal());
  std::vector<std::thread> threads;
  for (int number = 0; number < 4; ++number) {
    threads.emplace_back([&] {
      for (int round = 0; round < 20; ++round) {
        AttachedMutator mutator(heap);
        acre_root root = {};
        heap.roots().Add(root);
        Work(mutator, 11);
        (void)heap.collector().stats();
        heap.roots().Remove(root);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  heap.collector().CheckInvariants();
  EXPECT_GE(heap.collector().stats().cycles, 4 * 20 * 2u);
}

// Each thread collects the one heap and is a mutator of both: each waits for the other in turn.
void CollectTwoHeaps(const CollectorOptions& options) {
  CollectedHeap heaps[2] = {CollectedHeap(options), CollectedHeap(options)};
  std::vector<std::thread> threads;
  for (int number = 0; number < 2; ++number) {
    threads.emplace_back([&, number] {
      AttachedMutator first(heaps[0]);
      AttachedMutator second(heaps[1]);
      auto** kept = static_cast<void**>((number == 0 ? second : first).Allocate(kConservative, 64));
      kept[3] = kept;
      for (int round = 0; round < 200; ++round) {
        (number == 0 ? first : second).Collect();
        (void)first.Allocate(kConservative, 64);
        (void)second.Allocate(kConservative, 64);
      }
      EXPECT_EQ(kept[3], kept);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (CollectedHeap& heap : heaps) EXPECT_GE(heap.collector().stats().cycles, 200u);
}

TEST(World, ThreadsThatCollectTwoHeapsDoNotWaitForEachOther) { CollectTwoHeaps({}); }
TEST(World, ThreadsThatCollectTwoHeapsAtSafepointsDoNotWaitForEachOther) { CollectTwoHeaps(WithoutSignal()); }

// It blocks the signal until it has been named, and then once more.
TEST(World, ThreadThatDoesNotAnswerIsNamedOnce) {
  const ChildResult result = RunInChild([] {
    CollectedHeap heap;
    AttachedMutator mutator(heap);
    std::atomic<int> stage = 0;
    std::thread thread([&] {
      AttachedMutator other(heap);
      sigset_t all;
      sigset_t before;
      sigfillset(&all);
      for (int round = 0; round < 2; ++round) {
        pthread_sigmask(SIG_SETMASK, &all, &before);
        stage = 2 * round + 1;
        if (round == 0) {
          while (!other.mutator().was_named) sched_yield();
        } else {
          // Most likely late once more; that leaves no trace.
          for (int i = 0; i < 2000; ++i) sched_yield();
        }
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
        while (stage != 2 * round + 2) World::Safepoint(other.mutator());
      }
    });
    for (int round = 0; round < 2; ++round) {
      while (stage != 2 * round + 1) std::this_thread::yield();
      mutator.Collect();
      stage = 2 * round + 2;
    }
    thread.join();
    return 0;
  });
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
  ASSERT_EQ(result.error_lines().size(), 1u) << result.Describe();
  EXPECT_NE(result.error_lines()[0].find("has not stopped for a collection within 10 ms"), std::string::npos)
      << result.Describe();
}

bool HasSignalStack() {
  stack_t stack = {};
  return sigaltstack(nullptr, &stack) == 0 && (stack.ss_flags & SS_DISABLE) == 0;
}

void DropSignalStack() {
  stack_t off = {};
  off.ss_flags = SS_DISABLE;
  ASSERT_EQ(sigaltstack(&off, nullptr), 0);
}

TEST(World, SignalStackIsThereWhileAttachedUnlessTheThreadIsAlone) {
  const ChildResult result = RunInChild([] {
    CollectedHeap heap;
    DropSignalStack();  // A sanitizer's.
    AttachedMutator alone(heap);
    if (HasSignalStack()) return 1;
    int failed = 0;
    std::thread([&] {
      DropSignalStack();
      {
        AttachedMutator mutator(heap);
        if (!HasSignalStack()) failed = 2;
        World::Park(mutator.mutator());
        if (HasSignalStack()) failed = 3;
        World::Unpark(mutator.mutator());
        if (!HasSignalStack()) failed = 4;
        alone.mutator();
      }
      if (HasSignalStack()) failed = 5;
    }).join();
    return failed;
  });
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
}

uintptr_t SignalStackBase() {
  stack_t stack = {};
  if (sigaltstack(nullptr, &stack) != 0 || (stack.ss_flags & SS_DISABLE) != 0) return 0;
  return reinterpret_cast<uintptr_t>(stack.ss_sp);
}

// Calls body(mutators) on a thread without a signal stack, beside a first mutator of each of two heaps.
int WithTwoHeaps(int (*body)(std::unique_ptr<AttachedMutator> mutators[2])) {
  CollectedHeap heaps[2];
  AttachedMutator first(heaps[0]);
  AttachedMutator second(heaps[1]);
  int failed = 0;
  std::thread([&] {
    DropSignalStack();
    std::unique_ptr<AttachedMutator> mutators[2] = {std::make_unique<AttachedMutator>(heaps[0]),
                                                    std::make_unique<AttachedMutator>(heaps[1])};
    failed = SignalStackBase() == 0 ? 1 : body(mutators);
    for (std::unique_ptr<AttachedMutator>& mutator : mutators) mutator.reset();
    if (failed == 0 && HasSignalStack()) failed = 2;
  }).join();
  return failed;
}

TEST(World, SignalStackStaysUntilTheLastMutatorOfTheThreadIsDetached) {
  for (const auto body : {+[](std::unique_ptr<AttachedMutator> mutators[2]) {
                            const uintptr_t base = SignalStackBase();
                            mutators[0].reset();
                            return SignalStackBase() == base ? 0 : 3;
                          },
                          +[](std::unique_ptr<AttachedMutator> mutators[2]) {
                            const uintptr_t base = SignalStackBase();
                            mutators[1].reset();
                            return SignalStackBase() == base ? 0 : 4;
                          }}) {
    const ChildResult result = RunInChild([&] { return WithTwoHeaps(body); });
    EXPECT_TRUE(result.exited_with(0)) << result.Describe();
  }
}

// The mutator that is parked leaves its stack to the other; when it is back, on a thread that has none, it gets another.
TEST(World, SignalStackStaysWhileOneMutatorOfTheThreadIsParked) {
  const ChildResult result = RunInChild([] {
    return WithTwoHeaps([](std::unique_ptr<AttachedMutator> mutators[2]) {
      const uintptr_t base = SignalStackBase();
      World::Park(mutators[0]->mutator());
      if (SignalStackBase() != base) return 3;
      int failed = 0;
      std::thread([&] {
        DropSignalStack();
        World::Unpark(mutators[0]->mutator());
        if (!HasSignalStack() || SignalStackBase() == base) failed = 4;
        World::Park(mutators[0]->mutator());
        if (HasSignalStack()) failed = 5;
      }).join();
      World::Unpark(mutators[0]->mutator());
      if (SignalStackBase() != base) return 6;
      mutators[1].reset();  // Its own is installed then.
      return failed != 0 || HasSignalStack() ? failed : 7;
    });
  });
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
}

TEST(World, SignalStackOfTheApplicationStays) {
  CollectedHeap heap;
  AttachedMutator first(heap);
  std::thread([&] {
    const auto memory = std::make_unique<char[]>(size_t{64} * 1024);
    stack_t before = {};
    const stack_t own = {memory.get(), 0, size_t{64} * 1024};
    ASSERT_EQ(sigaltstack(&own, &before), 0);
    const auto is_own = [&] {
      stack_t now = {};
      return sigaltstack(nullptr, &now) == 0 && now.ss_sp == memory.get();
    };
    {
      AttachedMutator mutator(heap);
      EXPECT_TRUE(is_own());
    }
    EXPECT_TRUE(is_own());
    ASSERT_EQ(sigaltstack(&before, nullptr), 0);
  }).join();
}

}  // namespace
}  // namespace acre
