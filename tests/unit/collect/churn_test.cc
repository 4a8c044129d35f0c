#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#include "tests/support/allocator/collected_heap.h"

// What goes on in a process while one thread collects without pause: each test does one thing again and again, and must
// come to its end.

namespace acre {
namespace {

using testing::AttachedMutator;
using testing::CollectedHeap;

constexpr int kRounds = 200;
constexpr int kForks = 25;  // Of a process with sanitizers some take long.

// Collects until `body` has come to its end in the calling thread.
void WhileCollecting(CollectedHeap& heap, const std::function<void()>& body) {
  std::atomic<bool> is_over = false;
  std::atomic<bool> has_begun = false;
  std::thread collecting([&] {
    AttachedMutator mutator(heap);
    while (!is_over) {
      mutator.Collect();
      has_begun = true;
    }
  });
  while (!has_begun) std::this_thread::yield();
  const uint64_t before = heap.collector().stats().cycles;
  body();
  while (heap.collector().stats().cycles == before) std::this_thread::yield();
  is_over = true;
  collecting.join();
  heap.collector().CheckInvariants();
}

void Use(AttachedMutator& mutator) {
  void** first = nullptr;
  for (int i = 0; i < 50; ++i) {
    auto** object = static_cast<void**>(mutator.Allocate(kConservative, 48));
    *object = first;
    first = object;
  }
  int length = 0;
  for (void** object = first; object != nullptr; object = static_cast<void**>(*object)) ++length;
  EXPECT_EQ(length, 50);
}

TEST(Churn, AttachAndDetach) {
  CollectedHeap heap;
  WhileCollecting(heap, [&] {
    for (int round = 0; round < kRounds; ++round) {
      AttachedMutator mutator(heap);
      Use(mutator);
    }
  });
}

TEST(Churn, ThreadsBeginAndEnd) {
  CollectedHeap heap;
  WhileCollecting(heap, [&] {
    AttachedMutator mutator(heap);
    for (int round = 0; round < kRounds; ++round) {
      std::thread thread([&] {
        AttachedMutator other(heap);
        Use(other);
      });
      Use(mutator);
      thread.join();
    }
  });
}

TEST(Churn, Fork) {
  CollectedHeap heap;
  WhileCollecting(heap, [&] {
    AttachedMutator mutator(heap);
    for (int round = 0; round < kForks; ++round) {
      const pid_t child = fork();
      ASSERT_GE(child, 0);
      if (child == 0) {
        alarm(60);
        Use(mutator);
        mutator.Collect();
        _exit(::testing::Test::HasFailure() ? 1 : 0);
      }
      Use(mutator);
      int status = 0;
      ASSERT_EQ(waitpid(child, &status, 0), child);
      EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
    }
  });
}

TEST(Churn, LoadAndUnload) {
  CollectedHeap heap;
  WhileCollecting(heap, [&] {
    AttachedMutator mutator(heap);
    for (int round = 0; round < kRounds; ++round) {
      void* plugin = dlopen(COLLECT_PLUGIN, RTLD_NOW | RTLD_LOCAL);
      ASSERT_NE(plugin, nullptr) << dlerror();
      using Count = int();
      auto* count = reinterpret_cast<Count*>(dlsym(plugin, "CollectPluginCount"));
      ASSERT_NE(count, nullptr);
      EXPECT_GE(count(), 2);
      Use(mutator);
      ASSERT_EQ(dlclose(plugin), 0);
    }
  });
}

}  // namespace
}  // namespace acre
