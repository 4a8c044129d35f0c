// What heaps keep open, no program inherits that their process starts or becomes.

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "os/page_watch.h"
#include "tests/support/allocator/collected_heap.h"
#include "tests/support/background.h"
#include "tests/support/child.h"
#include "tests/support/descriptors.h"
#include "tests/support/sanitizers.h"

namespace acre {
namespace {

using testing::AttachedMutator;
using testing::ChildResult;
using testing::CloseInherited;
using testing::CollectedHeap;
using testing::ComesTrue;
using testing::CountInherited;
using testing::CountInheritedByFork;
using testing::OnFreshThread;
using testing::OpenDescriptors;
using testing::RunInChild;

constexpr size_t kGarbageBytes = 40 * kMiB;  // So much that a scavenger is started for it.
constexpr int kPrograms = 30;

CollectorOptions Options() {
  CollectorOptions options = testing::OptionsOfEnvironment();
  options.tracker = Tracker::kPages;
  options.minor_collections = true;
  options.helped_bytes = 0;
  options.mark_workers = 2;
  options.min_trigger_bytes = 4 * kGarbageBytes;
  return options;
}

// Marks beside a mutator that watches pages, minor cycles too, sweeps, and scavenges with an ear for pressure.
void Use(CollectedHeap& heap) {
  OnFreshThread(heap, [](AttachedMutator& mutator) {
    for (size_t done = 0; done < kGarbageBytes; done += 4096) (void)mutator.Allocate(kConservative, 4096);
    mutator.Collect();
    for (size_t done = 0; done < kGarbageBytes; done += 100 * kKiB) (void)mutator.Allocate(kPlain, 100 * kKiB);
    mutator.Collect();
  });
}

// Whether what a poller needs comes to be open, and what watching pages needs, where they can be watched.
bool HasAllOpen() {
  constexpr size_t kStandard = 3;
  constexpr size_t kOfPoller = 3;
  constexpr size_t kOfWatch = 2;
  const size_t least = kStandard + kOfPoller + (os::PageWatch().Open() == 0 ? kOfWatch : 0);
  return ComesTrue([least] { return OpenDescriptors().size() >= least; });
}

class HeapsDescriptors : public ::testing::Test {
 protected:
  void SetUp() override {
    if (testing::kHasThreadSanitizer) GTEST_SKIP() << "the child must not make threads";
  }
};

TEST_F(HeapsDescriptors, ASpawnedProgramFindsNone) {
  const ChildResult result = RunInChild([] {
    CloseInherited();
    CollectedHeap heap(Options());
    Use(heap);
    if (!HasAllOpen()) return 1;
    if (CountInherited(DESCRIPTOR_WALK) != 0) return 2;
    return CountInheritedByFork(DESCRIPTOR_WALK) == 0 ? 0 : 3;
  });
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
}

TEST_F(HeapsDescriptors, TheProgramThatTakesTheProcessOverFindsNone) {
  const ChildResult result = RunInChild([] {
    CloseInherited();
    CollectedHeap heap(Options());
    Use(heap);
    if (!HasAllOpen()) return 101;
    execl(DESCRIPTOR_WALK, DESCRIPTOR_WALK, nullptr);
    return 102;
  });
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
}

TEST_F(HeapsDescriptors, ProgramsThatAreStartedWhileHeapsComeAndGoFindNone) {
  const ChildResult result = RunInChild([] {
    CloseInherited();
    std::atomic<bool> is_over = false;
    std::atomic<int> heaps = 0;
    std::thread maker([&] {
      for (; !is_over; ++heaps) {
        CollectedHeap heap(Options());
        Use(heap);
      }
    });
    while (heaps == 0) std::this_thread::yield();
    int found = 0;
    for (int i = 0; i < kPrograms && found == 0; ++i) found = CountInherited(DESCRIPTOR_WALK);
    for (int i = 0; i < kPrograms && found == 0; ++i) found = CountInheritedByFork(DESCRIPTOR_WALK);
    is_over = true;
    maker.join();
    if (found != 0) return 1;
    // Nor does one stay behind.
    return OpenDescriptors().size() <= 3 ? 0 : 2;
  }, 60);
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
}

}  // namespace
}  // namespace acre
