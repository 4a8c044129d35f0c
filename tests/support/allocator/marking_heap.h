#pragma once

// A collected heap with a marking gate (marking_gate.h), behind which the graphs of tests are, and nothing else.
// Mutators run on threads whose stacks nobody has used before, so that no stale word holds what a test hides.

#include <gtest/gtest.h>

#include <memory>
#include <optional>

#include "tests/support/allocator/collected_heap.h"
#include "tests/support/allocator/marking_gate.h"

namespace acre::testing {

// However small the heap is, its cycles mark beside mutators.
inline CollectorOptions ConcurrentOptions(Tracker tracker = Tracker::kBarrier) {
  CollectorOptions options = OptionsOfEnvironment();
  options.tracker = tracker;
  options.helped_bytes = 0;
  options.mark_workers = 2;
  options.min_trigger_bytes = 256 * kKiB;
  return options;
}

class MarkingHeap {
 public:
  static constexpr size_t kWords = 64;  // Of the gate's object unless told, and roots.

  explicit MarkingHeap(const CollectorOptions& options = ConcurrentOptions(), size_t gate_words = kWords)
      : heap_(options) {
    parts_->gate.emplace(heap_.collector());
    parts_->range.base = parts_->held;
    parts_->range.limit = parts_->held + kWords;
    heap_.roots().Add(parts_->root);
    heap_.roots().Add(parts_->range);
    Do([&](AttachedMutator& mutator) {
      parts_->fields = mutator.Allocate(gate().kind(), gate_words * sizeof(uint64_t));
      parts_->root.object = parts_->fields;
    });
  }
  ~MarkingHeap() {
    heap_.roots().Remove(parts_->root);
    heap_.roots().Remove(parts_->range);
  }
  MarkingHeap(const MarkingHeap&) = delete;
  MarkingHeap& operator=(const MarkingHeap&) = delete;

  CollectedHeap& heap() { return heap_; }
  Collector& collector() { return heap_.collector(); }
  MarkingGate& gate() { return *parts_->gate; }

  // Fields of the object behind which everything hangs.
  uint64_t* field(size_t index) { return static_cast<uint64_t*>(parts_->fields) + index; }
  // What keeps that object: a root that holds it, or what a test puts before it.
  void*& root() { return parts_->root.object; }
  // A root.
  void*& held(size_t index) { return parts_->held[index]; }

  template <class Body>
  void Do(Body body) {
    OnFreshThread(heap_, body);
  }

  // Ends the marking that goes on, if there is one, and allocates until another one stands before the gate.
  [[gnu::noinline]] void BeginMarking(AttachedMutator& mutator) {
    if (collector().is_marking_beside()) EndMarkingElsewhere(mutator);
    gate().Close();
    for (int i = 0; i < kMostAllocations && !collector().is_marking_beside(); ++i) {
      ASSERT_NE(mutator.Allocate(kPlain, kGarbageBytes), nullptr);
    }
    ASSERT_TRUE(collector().is_marking_beside());
    gate().AwaitMarker();
  }

  // Opens the gate, allocates until the cycle has ended, and sweeps.
  [[gnu::noinline]] void EndMarking(AttachedMutator& mutator) {
    const CycleStats before = collector().stats();
    gate().Open();
    for (int i = 0; i < kMostAllocations && collector().stats().cycles == before.cycles; ++i) {
      ASSERT_NE(mutator.Allocate(kPlain, kGarbageBytes), nullptr);
    }
    ASSERT_EQ(collector().stats().concurrent_cycles, before.concurrent_cycles + 1);
    Sweep(mutator);
  }

  [[gnu::noinline]] void Sweep(AttachedMutator& mutator) {
    collector().ForEachObject(mutator.mutator(), [](void*, const FoundObject&) {}, nullptr);
  }

  void Store(AttachedMutator& mutator, uint64_t* field, const void* object) {
    collector().Store(mutator.mutator(), field, reinterpret_cast<uint64_t>(object));
  }

  // Whether an object begins there. While marking, asking keeps it.
  bool Lives(AttachedMutator& mutator, const Hidden& object) {
    FoundObject found;
    const auto address = reinterpret_cast<uintptr_t>(object.get());
    return collector().FindObject(mutator.mutator(), address, &found) && found.base == address;
  }

 private:
  // A walk leaves addresses of objects on its stack.
  void EndMarkingElsewhere(AttachedMutator& mutator) {
    gate().Open();
    World::Block(
        mutator.mutator(),
        [](void* argument) {
          auto& self = *static_cast<MarkingHeap*>(argument);
          self.Do([&](AttachedMutator& other) { self.Sweep(other); });
        },
        this);
  }

  static constexpr int kMostAllocations = 1'000'000;
  static constexpr size_t kGarbageBytes = 2000;

  struct Parts {
    std::optional<MarkingGate> gate;
    void* fields = nullptr;
    RootWord root{};
    RootRange range{};
    void* held[kWords] = {};
  };

  std::unique_ptr<Parts> parts_ = std::make_unique<Parts>();  // The marker may stand at the gate as the heap ends.
  CollectedHeap heap_;
};

}  // namespace acre::testing
