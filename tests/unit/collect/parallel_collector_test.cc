// Collections of heaps that are large enough for helpers: several markers, and sweeping behind the program's back.

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

#include "tests/support/allocator/collected_heap.h"

namespace acre {
namespace {

using testing::AttachedMutator;
using testing::CollectedHeap;

struct Node {
  Node* left;
  Node* right;
  uint64_t number;
  uint64_t filling[5];
};

constexpr int kDepth = 19;                           // 64 MiB of nodes.
constexpr uint64_t kNodes = (uint64_t{2} << kDepth) - 1;

[[gnu::noinline]] Node* MakeTree(AttachedMutator& mutator, int depth, uint64_t number) {
  auto* node = static_cast<Node*>(mutator.Allocate(kConservative, sizeof(Node)));
  node->number = number;
  if (depth > 0) {
    node->left = MakeTree(mutator, depth - 1, 2 * number);
    node->right = MakeTree(mutator, depth - 1, 2 * number + 1);
  }
  return node;
}

uint64_t CountRight(const Node* node, uint64_t number) {
  if (node == nullptr) return 0;
  return (node->number == number ? 1 : 0) + CountRight(node->left, 2 * number) + CountRight(node->right, 2 * number + 1);
}

CollectorOptions Workers(uint32_t workers) {
  CollectorOptions options;
  options.mark_workers = workers;
  return options;
}

class ParallelCollector : public ::testing::TestWithParam<uint32_t> {};

TEST_P(ParallelCollector, WhatIsReachedSurvivesAndTheRestIsUsedAgain) {
  CollectedHeap heap(Workers(GetParam()));
  AttachedMutator mutator(heap);
  // A root on the heap's side, and none of it on a stack.
  const auto root = std::make_unique<RootWord>();
  heap.roots().Add(*root);
  std::thread([&] {
    AttachedMutator other(heap);
    root->object = MakeTree(other, kDepth, 1);
    for (int round = 0; round < 3; ++round) MakeTree(other, kDepth - 1, 1);
  }).join();
  // A helper that still sweeps, for want of a CPU, does not mark.
  constexpr int kAttempts = 50;
  CycleStats stats{};
  for (int i = 0; i < kAttempts && stats.last_markers != GetParam(); ++i) {
    mutator.Collect();
    stats = heap.collector().stats();
  }
  EXPECT_EQ(stats.last_markers, GetParam());
  EXPECT_GE(stats.live_objects, kNodes);
  EXPECT_LT(stats.live_objects, kNodes + kNodes / 2 + 200) << "of three trees a stale word may hold one, at most";
  EXPECT_EQ(CountRight(static_cast<Node*>(root->object), 1), kNodes);
  heap.collector().CheckInvariants();
  heap.roots().Remove(*root);
  const size_t used = heap.heap().page_heap().used_bytes();
  root->object = nullptr;
  for (int round = 0; round < 8; ++round) std::thread([&] {
    AttachedMutator other(heap);
    MakeTree(other, kDepth - 1, 1);
  }).join();
  // 256 MiB were allocated; a cycle begins when the heap has doubled.
  EXPECT_LE(heap.heap().page_heap().used_bytes(), 2 * used + used / 4) << "memory was used again";
  mutator.Collect();
  EXPECT_LT(heap.heap().page_heap().used_bytes(), used / 4 * 3) << "at most the last tree is kept, by a stale word";
}

INSTANTIATE_TEST_SUITE_P(Workers, ParallelCollector, ::testing::Values(1, 2, 4));

TEST(CollectorThreads, SmallHeapHasNone) {
  CollectedHeap heap(Workers(4));
  AttachedMutator mutator(heap);
  for (int round = 0; round < 20; ++round) MakeTree(mutator, 12, 1);
  mutator.Collect();
  EXPECT_GT(heap.collector().stats().cycles, 1u);
  EXPECT_EQ(heap.collector().helpers().count(), 0u);
}

TEST(CollectorThreads, NoneIsMadeWhereThatIsForbidden) {
  CollectorOptions options = Workers(4);
  options.background = false;
  CollectedHeap heap(options);
  AttachedMutator mutator(heap);
  Node* tree = MakeTree(mutator, kDepth, 1);
  mutator.Collect();
  EXPECT_EQ(heap.collector().helpers().count(), 0u);
  EXPECT_EQ(heap.collector().stats().last_markers, 1u);
  EXPECT_EQ(CountRight(tree, 1), kNodes);
}

TEST(CollectorThreads, EnvironmentForbidsThem) {
  ASSERT_EQ(setenv("ACRE_BACKGROUND", "0", 1), 0);
  CollectedHeap heap(Workers(4));
  AttachedMutator mutator(heap);
  Node* tree = MakeTree(mutator, kDepth, 1);
  mutator.Collect();
  ASSERT_EQ(unsetenv("ACRE_BACKGROUND"), 0);
  EXPECT_EQ(heap.collector().helpers().count(), 0u);
  EXPECT_EQ(CountRight(tree, 1), kNodes);
}

// Cycles end unswept: who allocates sweeps what it needs, large objects included, and the heap does not grow meanwhile.
TEST(CollectorSweep, LazySweepingKeepsTheHeapSmall) {
  for (const bool background : {false, true}) {
    CollectorOptions options = Workers(2);
    options.background = background;
    CollectedHeap heap(options);
    AttachedMutator mutator(heap);
    const auto root = std::make_unique<RootWord>();
    heap.roots().Add(*root);
    std::thread([&] {
      AttachedMutator other(heap);
      root->object = MakeTree(other, kDepth, 1);
    }).join();
    const size_t live = heap.heap().page_heap().used_bytes();
    size_t most = 0;
    for (size_t round = 0; round < 6; ++round) {
      // Each round's garbage is of other classes than the last one's.
      for (size_t bytes = 0; bytes < live; bytes += 500 + 300 * round) {
        ASSERT_NE(mutator.Allocate(kConservative, 500 + 300 * round), nullptr);
      }
      for (size_t bytes = 0; bytes < live; bytes += 400'000) ASSERT_NE(mutator.Allocate(kPlain, 400'000), nullptr);
      most = std::max(most, heap.heap().page_heap().used_bytes());
    }
    EXPECT_GE(heap.collector().stats().cycles, 5u);
    EXPECT_LE(most, 3 * live) << "background " << background;
    EXPECT_EQ(CountRight(static_cast<Node*>(root->object), 1), kNodes);
    heap.roots().Remove(*root);
    heap.collector().CheckInvariants();
  }
}

}  // namespace
}  // namespace acre
