// Memory calls are failed in turn while a collected heap is made, allocates, collects and sweeps. Each allocation gives null
// or works, a cycle marks everything whatever it could not have, and the heap works on when memory can be had again.

#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <limits>
#include <memory>
#include <thread>

#include "allocator/collect/collector.h"
#include "os/fake/fake_memory.h"
#include "tests/support/allocator/marking_heap.h"

namespace acre {
namespace {

using os::FakeMemory;
using testing::Hidden;
using testing::MarkingGate;

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
  explicit FaultyHeap(const CollectorOptions& options) : options_(options) {}
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
  CollectedMutator& mutator() { return mutator_; }
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

// ---- Cycles that mark beside the mutator -----------------------------------------------------------------------------

CollectorOptions FaultyOptions() {
  CollectorOptions options = testing::ConcurrentOptions();
  options.min_trigger_bytes = 32 * kMiB;  // Nothing is marked before the test wants it.
  options.debug.clobbers_freed = true;
  return options;
}

// With a gate, and behind it an object of `words` words.
class GatedFaultyHeap : public FaultyHeap {
 public:
  explicit GatedFaultyHeap(size_t words) : FaultyHeap(FaultyOptions()) {
    EXPECT_TRUE(Begin());
    roots_ = std::make_unique<Roots>(collector());
    for (RootWord* root : {&roots_->first, &roots_->second}) collector().roots().Add(*root);
    roots_->first.object = Allocate(words * sizeof(uint64_t), roots_->gate.kind());
  }
  ~GatedFaultyHeap() {
    roots_->gate.Open();
    for (RootWord* root : {&roots_->first, &roots_->second}) collector().roots().Remove(*root);
  }
  GatedFaultyHeap(const GatedFaultyHeap&) = delete;
  GatedFaultyHeap& operator=(const GatedFaultyHeap&) = delete;

  uint64_t* field(size_t index) { return static_cast<uint64_t*>(roots_->first.object) + index; }
  MarkingGate& gate() { return roots_->gate; }
  void*& held() { return roots_->second.object; }
  void Store(uint64_t* field, uint64_t word) { collector().Store(mutator(), field, word); }

  void BeginMarking() {
    roots_->gate.Close();
    for (int i = 0; i < 1000 && !collector().is_marking_beside(); ++i) (void)Allocate(1 * kMiB, kPlain);
    ASSERT_TRUE(collector().is_marking_beside());
    roots_->gate.AwaitMarker();
  }
  // By a collection, after which everything is swept.
  void EndMarking() {
    roots_->gate.Open();
    Collect();
    ASSERT_EQ(collector().stats().concurrent_cycles, 1u);
    ASSERT_EQ(collector().stats().cycles, 2u);
  }

 private:
  struct Roots {
    explicit Roots(Collector& collector) : gate(collector) {}

    MarkingGate gate;
    RootWord first{};
    RootWord second{};
  };

  std::unique_ptr<Roots> roots_;
};

// So many words as no spare block of the heap's own memory holds.
constexpr size_t kMany = 100'000;

// Pointers go from the graph into a new object, which is not looked at, and the words that say so find no memory.
TEST(ConcurrentFaults, WhatWasOverwrittenWithoutMemoryToNoteItLives) {
  GatedFaultyHeap heap(kMany);
  for (size_t i = 0; i < kMany; ++i) {
    auto* item = static_cast<uint64_t*>(heap.Allocate(2 * sizeof(uint64_t)));
    item[1] = i;
    heap.Store(heap.field(i), reinterpret_cast<uint64_t>(item));
  }
  heap.BeginMarking();
  auto* holder = static_cast<uint64_t*>(heap.Allocate(kMany * sizeof(uint64_t)));
  ASSERT_NE(holder, nullptr);
  heap.held() = holder;
  heap.fake().FailNth(1, ENOMEM, FakeMemory::Repeat::kForever);
  for (size_t i = 0; i < kMany; ++i) {
    heap.Store(&holder[i], *heap.field(i));
    heap.Store(heap.field(i), 0);
  }
  ASSERT_TRUE(heap.fake().HasFailed());
  heap.fake().StopFailing();
  heap.EndMarking();
  for (size_t i = 0; i < kMany; ++i) ASSERT_EQ(reinterpret_cast<const uint64_t*>(holder[i])[1], i);
  heap.collector().CheckInvariants();
}

// Objects of a list that hide another one each, and say where it is in stops only. (A list: the marker's stack, which
// cannot grow, does not have to.)
struct Hiding {
  Hiding* next;
  Hidden item;
  uint64_t noted;
};

struct HidingKind {
  Collector& collector;
  std::atomic<size_t> put_off{0};

  static bool Trace(void* context, void* object, size_t, acre_tracer* tracer) {
    auto& kind = *static_cast<HidingKind*>(context);
    auto& hiding = *static_cast<Hiding*>(object);
    tracer->Visit(hiding.next);
    if (kind.collector.PutOff(reinterpret_cast<uintptr_t>(object), &hiding.noted)) {
      ++kind.put_off;
    } else {
      tracer->Visit(hiding.item.get());
    }
    return true;
  }
};

TEST(ConcurrentFaults, ObjectsThatWerePutOffWithoutMemoryToNoteItAreTraced) {
  GatedFaultyHeap heap(1);
  HidingKind hiding{heap.collector()};
  Kind kind;
  ASSERT_EQ(heap.collector().kinds().AddFunction(&HidingKind::Trace, &hiding, &kind), Status::kOk);
  Hiding* first = nullptr;
  for (size_t i = 0; i < kMany; ++i) {
    auto* item = static_cast<uint64_t*>(heap.Allocate(2 * sizeof(uint64_t)));
    item[1] = i;
    auto* object = static_cast<Hiding*>(heap.Allocate(sizeof(Hiding), kind));
    *object = {first, Hidden(item)};
    first = object;
  }
  heap.Store(heap.field(0), reinterpret_cast<uint64_t>(first));
  heap.BeginMarking();
  heap.fake().FailNth(1, ENOMEM, FakeMemory::Repeat::kForever);
  heap.gate().Open();
  while (hiding.put_off < kMany) std::this_thread::yield();
  ASSERT_TRUE(heap.fake().HasFailed());
  heap.fake().StopFailing();
  heap.EndMarking();
  const Hiding* object = first;
  for (size_t i = kMany; i-- > 0; object = object->next) {
    ASSERT_EQ(static_cast<const uint64_t*>(object->item.get())[1], i);
  }
  heap.collector().CheckInvariants();
}

// The marker's stack cannot grow, for one: what has no room on it is found again by its page.
TEST_P(CollectorFaults, EachMemoryCallOfAMarkingBesideTheMutatorMayFail) {
  constexpr uint64_t kNodes = 1000;
  size_t failures = 0;
  for (size_t nth = 1;; ++nth) {
    GatedFaultyHeap heap(1);
    uint64_t made;
    Node* kept = heap.MakeList(kNodes, &made);
    ASSERT_EQ(made, kNodes);
    heap.Store(heap.field(0), reinterpret_cast<uint64_t>(kept));
    heap.BeginMarking();
    heap.fake().FailNth(nth, ENOMEM, GetParam());
    heap.EndMarking();
    const bool has_failed = heap.fake().HasFailed();
    heap.fake().StopFailing();
    FaultyHeap::ExpectList(kept, kNodes);
    heap.collector().CheckInvariants();
    if (!has_failed) break;
    ++failures;
  }
  EXPECT_GE(failures, 3u) << "the mark stack has to grow in this test";
}

INSTANTIATE_TEST_SUITE_P(Repeat, CollectorFaults,
                         ::testing::Values(FakeMemory::Repeat::kOnce, FakeMemory::Repeat::kForever));

}  // namespace
}  // namespace acre
