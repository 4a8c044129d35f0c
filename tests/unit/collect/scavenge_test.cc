// How a collected heap gives memory back in the background. The thread is the real one: a test waits for what it must bring
// about, and fails when that does not come.

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/allocator/collected_heap.h"
#include "tests/support/background.h"
#include "tests/support/sanitizers.h"

namespace acre {
namespace {

using testing::ComesTrue;
using testing::CountThreadsNamed;
using testing::AttachedMutator;
using testing::CollectedHeap;
using testing::Hidden;
using testing::OnFreshThread;

constexpr size_t kLiveBytes = 8 * kMiB;
constexpr size_t kBurstBytes = 150 * kMiB;

struct Node {
  Node* next;
  uint64_t number;
  uint64_t rest[14];
};

Node* MakeList(AttachedMutator& mutator, size_t bytes) {
  Node* first = nullptr;
  for (size_t done = 0; done < bytes; done += sizeof(Node)) {
    auto* node = static_cast<Node*>(mutator.Allocate(kConservative, sizeof(Node)));
    if (node == nullptr) return nullptr;
    node->next = first;
    node->number = done;
    for (uint64_t& word : node->rest) word = done;
    first = node;
  }
  return first;
}

bool IsWhole(const Node* node, size_t bytes) {
  size_t count = 0;
  for (; node != nullptr; node = node->next, ++count) {
    for (const uint64_t word : node->rest) {
      if (word != node->number) return false;
    }
  }
  return count == (bytes + sizeof(Node) - 1) / sizeof(Node);
}

struct Held {
  Held(CollectedHeap& its_heap, AttachedMutator& mutator) : heap(its_heap) {
    heap.roots().Add(*root);
    root->object = MakeList(mutator, kLiveBytes);
  }
  ~Held() { heap.roots().Remove(*root); }
  const Node* list() const { return static_cast<const Node*>(root->object); }

  CollectedHeap& heap;
  const std::unique_ptr<RootWord> root = std::make_unique<RootWord>();
};

size_t HeldBytes(CollectedHeap& heap) { return heap.heap().page_heap().used_bytes() + heap.heap().page_heap().dirty_bytes(); }

// Garbage of all sorts, and a cycle that finds it.
void MakeBurst(CollectedHeap& heap) {
  OnFreshThread(heap, [](AttachedMutator& mutator) {
    MakeList(mutator, kBurstBytes / 2);
    for (size_t done = 0; done < kBurstBytes / 2; done += 100 * kKiB) (void)mutator.Allocate(kPlain, 100 * kKiB);
  });
  OnFreshThread(heap, [](AttachedMutator& mutator) { mutator.Collect(); });
}

class ScavengedHeapTest : public ::testing::TestWithParam<Tracker> {
 protected:
  CollectorOptions Options() const {
    CollectorOptions options = testing::OptionsOfEnvironment();
    options.tracker = GetParam();
    options.mark_workers = 2;
    return options;
  }
};

std::string NameOf(const ::testing::TestParamInfo<Tracker>& tracker) {
  switch (tracker.param) {
    case Tracker::kStopped: return "Stopped";
    case Tracker::kBarrier: return "Barrier";
    case Tracker::kPages: return "Pages";
  }
  return "Unknown";
}

INSTANTIATE_TEST_SUITE_P(With, ScavengedHeapTest, ::testing::Values(Tracker::kStopped, Tracker::kBarrier, Tracker::kPages), NameOf);

TEST_P(ScavengedHeapTest, AfterABurstAnIdleHeapHoldsLittleMoreThanWhatLives) {
  CollectedHeap heap(Options());
  AttachedMutator mutator(heap);
  const Held held(heap, mutator);
  MakeBurst(heap);
  EXPECT_TRUE(heap.collector().scavenger().is_running());
  EXPECT_TRUE(ComesTrue([&] { return HeldBytes(heap) <= kLiveBytes * 12 / 10; })) << HeldBytes(heap) / kKiB << " KiB";
  EXPECT_TRUE(IsWhole(held.list(), kLiveBytes));
  mutator.Collect();
  EXPECT_TRUE(IsWhole(held.list(), kLiveBytes));
}

TEST_P(ScavengedHeapTest, UnderPressureItGoesBackWhileTheHeapIsUsedAndCollected) {
  CollectedHeap heap(Options());
  AttachedMutator mutator(heap);
  const Held held(heap, mutator);
  MakeBurst(heap);
  std::atomic<bool> is_over = false;
  std::thread presser([&] {
    while (!is_over) {
      heap.collector().scavenger().Press();
      std::this_thread::yield();
    }
  });
  for (int round = 0; round < 4; ++round) {
    const Node* list = MakeList(mutator, 4 * kLiveBytes);
    EXPECT_TRUE(IsWhole(list, 4 * kLiveBytes));
    EXPECT_TRUE(IsWhole(held.list(), kLiveBytes));
    heap.collector().CheckInvariants();  // Of the spans in use; the bits of others beside them change meanwhile.
  }
  mutator.Collect();
  is_over = true;
  presser.join();
  EXPECT_TRUE(IsWhole(held.list(), kLiveBytes));
  heap.collector().CheckInvariants();
  heap.heap().CheckInvariants();
}

// Whose chunks' records have gone back: nothing is found there.
TEST_P(ScavengedHeapTest, WordsThatPointedIntoTheBurstAreLookedUpMeanwhile) {
  CollectorOptions options = Options();
  options.min_trigger_bytes = 2 * kBurstBytes;
  CollectedHeap heap(options);
  AttachedMutator mutator(heap);
  std::vector<Hidden> words;
  OnFreshThread(heap, [&](AttachedMutator& other) {
    for (size_t done = 0; done < kBurstBytes; done += sizeof(Node)) {
      const void* object = other.Allocate(kConservative, sizeof(Node));
      if (done / sizeof(Node) % 512 == 0) words.emplace_back(object);
    }
  });
  OnFreshThread(heap, [](AttachedMutator& other) { other.Collect(); });
  const auto count_found = [&] {
    size_t found = 0;
    for (const Hidden& word : words) {
      FoundObject object;
      found += heap.collector().FindObject(mutator.mutator(), reinterpret_cast<uintptr_t>(word.get()), &object) ? 1 : 0;
    }
    return found;
  };
  EXPECT_TRUE(ComesTrue([&] {
    (void)count_found();
    return HeldBytes(heap) < kMiB;
  })) << HeldBytes(heap);
  EXPECT_LE(count_found(), words.size() / 100);
}

TEST(ScavengedHeap, ASmallOneGetsNoThread) {
  CollectedHeap heap;
  AttachedMutator mutator(heap);
  for (int round = 0; round < 5; ++round) {
    MakeList(mutator, 6 * kMiB);
    mutator.Collect();
  }
  EXPECT_FALSE(heap.collector().scavenger().is_running());
}

TEST(ScavengedHeap, WhereThreadsAreForbiddenThereIsNoneAndCyclesGiveMemoryBack) {
  for (const bool by_option : {true, false}) {
    CollectorOptions options = testing::OptionsOfEnvironment();
    options.background = !by_option;
    if (!by_option) {
      ASSERT_EQ(setenv("ACRE_BACKGROUND", "0", 1), 0);
    }
    CollectedHeap heap(options);
    ASSERT_EQ(unsetenv("ACRE_BACKGROUND"), 0);
    AttachedMutator mutator(heap);
    MakeBurst(heap);
    EXPECT_TRUE(ComesTrue([&] {
      mutator.Collect();
      return HeldBytes(heap) < Scavenger::kSomeBytes;
    }));
    EXPECT_FALSE(heap.collector().scavenger().is_running());
    EXPECT_EQ(CountThreadsNamed("acre-scavenge"), 0u);
  }
}

TEST(ScavengedHeap, ItMayEndWhileItsThreadWorks) {
  for (int round = 0; round < 5; ++round) {
    CollectedHeap heap;
    MakeBurst(heap);
    ASSERT_TRUE(heap.collector().scavenger().is_running());
    heap.collector().scavenger().Press();
  }
}

TEST(ScavengedHeap, AForkedChildGetsItsOwnThreadWhenItNeedsOne) {
  if (testing::kHasThreadSanitizer) GTEST_SKIP() << "ThreadSanitizer forbids threads in the child of threads";
  CollectedHeap heap;
  AttachedMutator mutator(heap);
  const Held held(heap, mutator);
  MakeBurst(heap);
  for (int round = 0; round < 5; ++round) {
    heap.collector().scavenger().Press();
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      alarm(60);
      if (heap.collector().scavenger().is_running() || CountThreadsNamed("acre-scavenge") != 0) _exit(1);
      heap.heap().CheckInvariants();
      MakeList(mutator, kBurstBytes);
      mutator.Collect();
      if (!heap.collector().scavenger().is_running()) _exit(2);
      heap.collector().scavenger().Press();
      if (!ComesTrue([&] { return heap.heap().page_heap().dirty_bytes() == 0; })) _exit(3);
      _exit(IsWhole(held.list(), kLiveBytes) ? 0 : 4);
    }
    int status = 0;
    if (round % 2 == 0) MakeList(mutator, 20 * kMiB);
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status));
    ASSERT_EQ(WEXITSTATUS(status), 0);
  }
  heap.collector().scavenger().Press();
  EXPECT_TRUE(ComesTrue([&] { return heap.heap().page_heap().dirty_bytes() == 0; })) << "the parent's own goes on";
  EXPECT_TRUE(IsWhole(held.list(), kLiveBytes));
}

}  // namespace
}  // namespace acre
