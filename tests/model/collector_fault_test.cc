// Memory calls are failed in turn while a collected heap is made, allocates, collects and sweeps. Each allocation gives null
// or works, a cycle marks everything whatever it could not have, and the heap works on when memory can be had again.

#include <gtest/gtest.h>

#include <cerrno>
#include <limits>
#include <memory>

#include "allocator/collect/collector.h"
#include "os/fake/fake_memory.h"

namespace acre {
namespace {

using os::FakeMemory;

// The mark stack must grow, though a wave takes up to 64 objects off it at once: each node of a list has 63 twigs, and
// each twig two leaves.
struct Leaf {
  uint64_t number;
  uint64_t unused;
};

struct Twig {
  Leaf* leaf[2];
};

constexpr uint64_t kTwigs = 63;

struct Node {
  Node* next;
  Twig* twig[kTwigs];
};

constexpr uint64_t kObjectsOfNode = 1 + kTwigs * 3;

class FaultyHeap {
 public:
  explicit FaultyHeap(uint32_t mark_workers = 1) {
    options_.mark_workers = mark_workers;
    options_.min_trigger_bytes = 1 * kMiB;
  }
  ~FaultyHeap() {
    if (is_attached_) collector_->Detach(mutator_);
    collector_.reset();
    heap_.reset();
    fake_.UnmapAll();  // What the kernel refused to unmap.
  }
  FaultyHeap(const FaultyHeap&) = delete;
  FaultyHeap& operator=(const FaultyHeap&) = delete;

  // False: it could not be made.
  [[nodiscard]] bool Begin() {
    heap_ = std::make_unique<SpanHeap>(fake_.calls(), std::numeric_limits<size_t>::max(), *table_);
    collector_ = std::make_unique<Collector>(*heap_, options_);
    if (!collector_->Prepare()) return false;
    is_attached_ = collector_->Attach(mutator_);
    return is_attached_;
  }

  FakeMemory& fake() { return fake_; }
  Collector& collector() { return *collector_; }
  void* Allocate(size_t bytes, Kind kind = kConservative) { return collector_->Allocate(mutator_, kind, bytes); }
  void Collect() { collector_->Collect(mutator_); }

  // A list of at most `count` nodes; shorter where there is no memory.
  [[gnu::noinline]] Node* MakeList(uint64_t count, uint64_t* made) {
    Node* first = nullptr;
    for (*made = 0; *made < count; ++*made) {
      Node* node = MakeNode(*made);
      if (node == nullptr) break;
      node->next = first;
      first = node;
    }
    return first;
  }

  static void ExpectList(const Node* node, uint64_t count) {
    for (; node != nullptr; node = node->next) {
      ASSERT_GT(count, 0u);
      --count;
      for (const Twig* twig : node->twig) {
        for (const Leaf* leaf : twig->leaf) ASSERT_EQ(leaf->number, count);
      }
    }
    EXPECT_EQ(count, 0u);
  }

 private:
  Node* MakeNode(uint64_t number) {
    auto* node = static_cast<Node*>(Allocate(sizeof(Node)));
    if (node == nullptr) return nullptr;
    for (Twig*& twig : node->twig) {
      twig = static_cast<Twig*>(Allocate(sizeof(Twig)));
      if (twig == nullptr) return nullptr;
      for (Leaf*& leaf : twig->leaf) {
        leaf = static_cast<Leaf*>(Allocate(sizeof(Leaf)));
        if (leaf == nullptr) return nullptr;
        *leaf = {.number = number, .unused = 0};
      }
    }
    return node;
  }

  FakeMemory fake_;
  std::unique_ptr<ChunkTable> table_ = std::make_unique<ChunkTable>();
  CollectorOptions options_;
  std::unique_ptr<SpanHeap> heap_;
  std::unique_ptr<Collector> collector_;
  CollectedMutator mutator_;
  bool is_attached_ = false;
};

class CollectorFaults : public ::testing::TestWithParam<FakeMemory::Repeat> {};

// Mark stacks that cannot grow, and memory that cannot be given back: everything is marked all the same.
TEST_P(CollectorFaults, EachMemoryCallOfACycleMayFail) {
  constexpr uint64_t kNodes = 1000;
  size_t failures = 0;
  for (size_t nth = 1;; ++nth) {
    FaultyHeap heap;
    ASSERT_TRUE(heap.Begin());
    uint64_t made;
    Node* kept = heap.MakeList(kNodes, &made);
    ASSERT_EQ(made, kNodes);
    heap.fake().FailNth(nth, ENOMEM, GetParam());
    heap.Collect();
    const bool has_failed = heap.fake().HasFailed();
    heap.fake().StopFailing();
    EXPECT_GE(heap.collector().stats().live_objects, kObjectsOfNode * kNodes);
    // What was freed by mistake would be handed out again, zeroed.
    uint64_t others;
    heap.MakeList(kNodes, &others);
    EXPECT_EQ(others, kNodes);
    FaultyHeap::ExpectList(kept, kNodes);
    heap.collector().CheckInvariants();
    if (!has_failed) break;
    ++failures;
  }
  EXPECT_GE(failures, 5u) << "the mark stack has to grow in this test";
}

TEST_P(CollectorFaults, EachMemoryCallOfAHeapsLifeMayFail) {
  constexpr uint64_t kNodes = 300;
  for (size_t nth = 1;; ++nth) {
    FaultyHeap heap;
    heap.fake().FailNth(nth, ENOMEM, GetParam());
    const bool has_begun = heap.Begin();
    if (has_begun) {
      uint64_t made;
      Node* kept = heap.MakeList(kNodes, &made);
      for (int round = 0; round < 2; ++round) {
        for (size_t bytes : {size_t{100}, size_t{5000}, 100 * kKiB, 1 * kMiB}) {
          for (int i = 0; i < 5; ++i) (void)heap.Allocate(bytes);
        }
        (void)heap.Allocate(40 * kMiB, kPlain);
        heap.Collect();
      }
      FaultyHeap::ExpectList(kept, made);
      heap.collector().CheckInvariants();
    }
    const bool has_failed = heap.fake().HasFailed();
    heap.fake().StopFailing();
    if (has_begun) {
      for (size_t bytes : {size_t{16}, size_t{5000}, 100 * kKiB, 40 * kMiB}) EXPECT_NE(heap.Allocate(bytes, kPlain), nullptr);
      heap.Collect();
    }
    if (!has_failed) {
      EXPECT_GE(nth, 20u) << "so many calls there are at least";
      break;
    }
  }
}

// Several markers, none of which gets another segment.
TEST_P(CollectorFaults, MarkersWithoutMemoryShareWhatTheyHave) {
  constexpr uint64_t kNodes = 12'000;  // 40 MiB, so that there are helpers.
  for (size_t nth : {1, 2, 7}) {
    FaultyHeap heap(3);
    ASSERT_TRUE(heap.Begin());
    uint64_t made;
    Node* kept = heap.MakeList(kNodes, &made);
    ASSERT_EQ(made, kNodes);
    heap.Collect();  // Workers and threads are there from here on.
    heap.fake().FailNth(nth, ENOMEM, GetParam());
    heap.Collect();
    EXPECT_TRUE(heap.fake().HasFailed());
    heap.fake().StopFailing();
    EXPECT_GE(heap.collector().stats().live_objects, kObjectsOfNode * kNodes);
    FaultyHeap::ExpectList(kept, kNodes);
  }
}

INSTANTIATE_TEST_SUITE_P(Repeat, CollectorFaults,
                         ::testing::Values(FakeMemory::Repeat::kOnce, FakeMemory::Repeat::kForever));

}  // namespace
}  // namespace acre
