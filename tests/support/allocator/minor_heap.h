#pragma once

// For tests of minor collections: a marking heap (marking_heap.h) in which no full cycle becomes due by itself, and the steps
// that lead from one minor cycle to the next. Stores are plain ones: nothing but the pages tells of them.

#include <gtest/gtest.h>

#include <cstring>

#include "allocator/collect/pacer.h"
#include "os/page_watch.h"
#include "tests/support/allocator/marking_heap.h"

namespace acre::testing {

inline constexpr uint64_t kItemSign = 0x1234'5678'9abc;
inline constexpr size_t kItemBytes = 64;

// Without helpers, as small heaps are collected, or with one that may mark beside mutators.
enum class Helped : bool { kNo, kYes };

inline CollectorOptions MinorOptions(Helped helped) {
  CollectorOptions options = ConcurrentOptions(Tracker::kPages);
  options.minor_collections = true;
  options.gc_percent = kMaxGcPercent;
  options.debug.verifies_marks = true;
  if (helped == Helped::kNo) options.helped_bytes = SIZE_MAX;
  return options;
}

// A store that no barrier sees.
inline void Put(void* field, const void* object) {
  __atomic_store_n(static_cast<uint64_t*>(field), reinterpret_cast<uint64_t>(object), __ATOMIC_RELAXED);
}
inline void Put(void* field, const Hidden& object) { Put(field, object.get()); }

inline uint64_t* WordOf(const Hidden& object, size_t word) { return static_cast<uint64_t*>(object.get()) + word; }

class MinorHeap : public MarkingHeap {
 public:
  explicit MinorHeap(const CollectorOptions& options) : MarkingHeap(options) {
    // What lives allows so much growth that no full cycle becomes due.
    Do([&](AttachedMutator& mutator) { held(kBallast) = mutator.Allocate(kPlain, kBallastBytes); });
  }

  using MarkingHeap::Lives;
  bool Lives(const Hidden& object) {
    bool lives = false;
    Do([&](AttachedMutator& mutator) { lives = Lives(mutator, object); });
    return lives;
  }
  bool IsKept(const Hidden& item) {
    return Lives(item) && *WordOf(item, 1) == kItemSign;
  }

  // Nothing holds it.
  Hidden Make(Kind kind = kConservative, size_t bytes = kItemBytes) {
    Hidden item;
    Do([&](AttachedMutator& mutator) { item = MakeBy(mutator, kind, bytes); });
    return item;
  }
  static Hidden MakeBy(AttachedMutator& mutator, Kind kind = kConservative, size_t bytes = kItemBytes) {
    const Hidden item(mutator.Allocate(kind, bytes));
    __atomic_store_n(WordOf(item, 1), kItemSign, __ATOMIC_RELAXED);  // The marker may look at it already.
    return item;
  }
  // In a root.
  Hidden MakeHeld(size_t root, Kind kind = kConservative, size_t bytes = kItemBytes) {
    Hidden item;
    Do([&](AttachedMutator& mutator) {
      item = MakeBy(mutator, kind, bytes);
      held(root) = item.get();
    });
    return item;
  }

  WeakCell* Watch(const Hidden& object) { return collector().ends().weak_cells().Create(object.get()); }
  static bool IsDead(const WeakCell* cell) { return WeakCells::Get(*cell) == nullptr; }

  // A full one: what lives is old.
  void CollectAll() { CollectOnFreshThread(heap()); }

  // Allocates until a cycle has ended, which must be a minor one, and sweeps.
  void CollectYoung() {
    Do([&](AttachedMutator& mutator) { CollectYoung(mutator); });
  }
  [[gnu::noinline]] void CollectYoung(AttachedMutator& mutator) {
    const CycleStats before = collector().stats();
    AwaitCycle(mutator);
    const CycleStats after = collector().stats();
    ASSERT_EQ(after.cycles, before.cycles + 1);
    ASSERT_EQ(after.minor_cycles, before.minor_cycles + 1);
    Sweep(mutator);
  }

  // Allocates until a cycle has ended, whichever that is.
  [[gnu::noinline]] void AwaitCycle(AttachedMutator& mutator) {
    const uint64_t cycles = collector().stats().cycles;
    for (int i = 0; i < kMostAllocations && collector().stats().cycles == cycles; ++i) {
      ASSERT_NE(mutator.Allocate(kPlain, kGarbageBytes), nullptr);
    }
  }

 private:
  static constexpr size_t kBallast = kWords - 1;  // Its root.
  static constexpr size_t kBallastBytes = 1 * kMiB;
  static constexpr int kMostAllocations = 1'000'000;
  static constexpr size_t kGarbageBytes = 2000;
};

class MinorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    os::PageWatch watch;
    const int error = watch.Open();
    if (error != 0) GTEST_SKIP() << "pages cannot be watched here: " << std::strerror(error);
  }
};

}  // namespace acre::testing
