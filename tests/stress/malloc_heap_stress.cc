// The stress program on acre::ManualHeap, without any preload: this form runs under the sanitizers too.

#include <gtest/gtest.h>

#include "acre/manual_heap.h"
#include "tests/stress/malloc_stress_body.h"

namespace acre::stress {
namespace {

class HeapHandle {
 public:
  using Shared = ManualHeap;
  explicit HeapHandle(ManualHeap& heap) : mutator_(heap) {
    if (!mutator_.is_valid()) Wrong("no mutator", this);
  }

  void* Allocate(size_t bytes) { return mutator_.Allocate(bytes); }
  void* AllocateZeroed(size_t bytes) { return mutator_.AllocateZeroed(bytes); }
  void* AllocateAligned(size_t bytes, size_t alignment) { return mutator_.AllocateAligned(bytes, alignment); }
  void* Reallocate(void* block, size_t bytes) { return mutator_.Reallocate(block, bytes); }
  void Free(void* block) { mutator_.Free(block); }

 private:
  ManualMutator mutator_;
};

TEST(HeapStress, ThreadsThatComeAndGoFreeEachOthersBlocks) {
  ManualHeap heap;
  ASSERT_TRUE(heap.is_valid());
  EXPECT_GT(Stress<HeapHandle>(heap, SettingsFromEnvironment()).Run(), 0u);
  // Every thread is gone and every block freed: nothing may be counted as live.
  EXPECT_EQ(heap.statistics().live_bytes, 0u);
}

TEST(HeapStress, TwoHeapsSideBySide) {
  ManualHeap first;
  ManualHeap second;
  Settings settings = SettingsFromEnvironment();
  settings.seconds /= 2;
  settings.threads = 2;
  std::thread beside([&] { Stress<HeapHandle>(second, settings).Run(); });
  EXPECT_GT(Stress<HeapHandle>(first, settings).Run(), 0u);
  beside.join();
  EXPECT_EQ(first.statistics().live_bytes, 0u);
  EXPECT_EQ(second.statistics().live_bytes, 0u);
}

TEST(HeapStress, ReleaseWhileThreadsWork) {
  ManualHeap heap;
  Settings settings = SettingsFromEnvironment();
  settings.seconds /= 2;
  Stress<HeapHandle> stress(heap, settings);
  std::thread releaser([&] {
    while (!stress.IsOver()) {
      heap.Release();
      std::this_thread::yield();
    }
  });
  EXPECT_GT(stress.Run(), 0u);
  releaser.join();
}

}  // namespace
}  // namespace acre::stress
