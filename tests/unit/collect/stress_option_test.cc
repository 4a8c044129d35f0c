#include <gtest/gtest.h>

#include "tests/support/allocator/collected_heap.h"

namespace acre {
namespace {

using testing::AttachedMutator;
using testing::CollectedHeap;

uint64_t CyclesOf(uint64_t stress, int allocations, size_t bytes) {
  CollectorOptions options;
  options.debug.stress_allocations = stress;
  CollectedHeap heap(options);
  AttachedMutator mutator(heap);
  for (int i = 0; i < allocations; ++i) {
    auto* object = static_cast<unsigned char*>(mutator.Allocate(kConservative, bytes));
    for (size_t at = 0; at < bytes; ++at) EXPECT_EQ(object[at], 0);
    object[0] = 1;
  }
  return heap.collector().stats().cycles;
}

TEST(StressOption, CycleComesEveryNAllocations) {
  EXPECT_EQ(CyclesOf(1, 100, 16), 100u);
  EXPECT_EQ(CyclesOf(7, 100, 16), 14u);
  EXPECT_EQ(CyclesOf(10, 100, 300), 10u);
  EXPECT_EQ(CyclesOf(10, 100, 5000), 10u);
  EXPECT_EQ(CyclesOf(10, 50, 50'000), 5u) << "large objects count as well";
  EXPECT_EQ(CyclesOf(0, 100, 16), 0u);
}

}  // namespace
}  // namespace acre
