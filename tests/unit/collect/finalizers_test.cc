#include "allocator/collect/finalizers.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/allocator/ends_support.h"

namespace acre {
namespace {

using testing::AttachedMutator;
using testing::CollectedHeap;
using testing::CollectOnFreshThread;
using testing::Hidden;
using testing::Keeper;
using testing::OnFreshThread;

struct Log {
  std::vector<uint64_t> numbers;  // The first words of the objects, as they are finalized.
};

void LogNumber(void* object, void* context) {
  static_cast<Log*>(context)->numbers.push_back(*static_cast<uint64_t*>(object));
}

class FinalizersTest : public ::testing::Test {
 protected:
  Ends& ends() { return heap_.collector().ends(); }
  Finalizers& finalizers() { return ends().finalizers(); }
  size_t RunAll() {
    size_t called = 0;
    OnFreshThread(heap_, [&](AttachedMutator&) { called = finalizers().Run(SIZE_MAX); });
    return called;
  }

  CollectedHeap heap_;
  Keeper kept_{heap_};
  Log log_;
};

uint64_t* NewNumber(AttachedMutator& mutator, uint64_t number, size_t bytes = 32) {
  auto* object = static_cast<uint64_t*>(mutator.Allocate(kConservative, bytes));
  *object = number;
  return object;
}

TEST_F(FinalizersTest, RunsOnceWhenTheObjectIsUnreachedAndThenTheObjectDies) {
  WeakCell* cell = nullptr;
  OnFreshThread(heap_, [&](AttachedMutator& mutator) {
    kept_[0] = NewNumber(mutator, 7);
    cell = ends().weak_cells().Create(kept_[0]);
    ASSERT_TRUE(finalizers().Set(kept_[0], LogNumber, &log_));
  });
  CollectOnFreshThread(heap_);
  EXPECT_EQ(finalizers().queued_count(), 0u);
  EXPECT_EQ(RunAll(), 0u);
  kept_[0] = nullptr;
  CollectOnFreshThread(heap_);
  EXPECT_EQ(finalizers().queued_count(), 1u);
  EXPECT_TRUE(WeakCells::Get(*cell) != nullptr) << "revived: its weak references stay";
  CollectOnFreshThread(heap_);
  EXPECT_EQ(RunAll(), 1u);
  EXPECT_EQ(log_.numbers, std::vector<uint64_t>{7});
  EXPECT_EQ(RunAll(), 0u);
  CollectOnFreshThread(heap_);
  EXPECT_TRUE(WeakCells::Get(*cell) == nullptr);
  EXPECT_EQ(RunAll(), 0u);
}

TEST_F(FinalizersTest, WhatTheObjectReachesIsKeptForIt) {
  OnFreshThread(heap_, [&](AttachedMutator& mutator) {
    auto** object = static_cast<void**>(mutator.Allocate(kConservative, 32));
    object[0] = NewNumber(mutator, 11);
    ASSERT_TRUE(finalizers().Set(
        object, [](void* base, void* context) { LogNumber(*static_cast<void**>(base), context); }, &log_));
  });
  CollectOnFreshThread(heap_);
  OnFreshThread(heap_, [&](AttachedMutator& mutator) {
    for (int i = 0; i < 1000; ++i) NewNumber(mutator, 99);  // Over anything that was freed.
    mutator.Collect();
  });
  EXPECT_EQ(RunAll(), 1u);
  EXPECT_EQ(log_.numbers, std::vector<uint64_t>{11});
}

TEST_F(FinalizersTest, MayReviveItsObjectForGood) {
  WeakCell* cell = nullptr;
  OnFreshThread(heap_, [&](AttachedMutator& mutator) {
    uint64_t* object = NewNumber(mutator, 5);
    cell = ends().weak_cells().Create(object);
    ASSERT_TRUE(finalizers().Set(
        object, [](void* base, void* context) { *static_cast<void**>(context) = base; }, &kept_[0]));
  });
  CollectOnFreshThread(heap_);
  EXPECT_EQ(RunAll(), 1u);
  for (int i = 0; i < 3; ++i) CollectOnFreshThread(heap_);
  EXPECT_TRUE(WeakCells::Get(*cell) == kept_[0]);
  EXPECT_EQ(*static_cast<uint64_t*>(kept_[0]), 5u);
  EXPECT_EQ(RunAll(), 0u) << "once";
  kept_[0] = nullptr;
  CollectOnFreshThread(heap_);
  EXPECT_TRUE(WeakCells::Get(*cell) == nullptr);
}

// Also those that others reach, and a cycle of three.
TEST_F(FinalizersTest, AllUnreachedObjectsAreQueuedAtOnceInTheOrderOfTheirSetting) {
  OnFreshThread(heap_, [&](AttachedMutator& mutator) {
    uint64_t* object[6];
    for (uint64_t i = 0; i < 6; ++i) object[i] = NewNumber(mutator, i);
    for (int i = 0; i < 3; ++i) object[i][1] = reinterpret_cast<uintptr_t>(object[(i + 1) % 3]);
    object[3][1] = reinterpret_cast<uintptr_t>(object[4]);
    object[4][1] = reinterpret_cast<uintptr_t>(object[5]);
    for (const int i : {4, 0, 3, 2, 5, 1}) ASSERT_TRUE(finalizers().Set(object[i], LogNumber, &log_));
  });
  CollectOnFreshThread(heap_);
  EXPECT_EQ(finalizers().queued_count(), 6u);
  EXPECT_EQ(finalizers().Run(2), 2u);
  EXPECT_EQ(finalizers().Run(SIZE_MAX), 4u);
  EXPECT_EQ(log_.numbers, (std::vector<uint64_t>{4, 0, 3, 2, 5, 1}));
}

TEST_F(FinalizersTest, RemovedOrReplacedOneIsNotCalled) {
  Log other;
  OnFreshThread(heap_, [&](AttachedMutator& mutator) {
    uint64_t* removed = NewNumber(mutator, 1);
    ASSERT_TRUE(finalizers().Set(removed, LogNumber, &log_));
    EXPECT_TRUE(finalizers().Remove(removed));
    EXPECT_FALSE(finalizers().Remove(removed));
    uint64_t* replaced = NewNumber(mutator, 2);
    ASSERT_TRUE(finalizers().Set(replaced, LogNumber, &log_));
    ASSERT_TRUE(finalizers().Set(replaced, LogNumber, &other));
  });
  CollectOnFreshThread(heap_);
  EXPECT_EQ(RunAll(), 1u);
  EXPECT_TRUE(log_.numbers.empty());
  EXPECT_EQ(other.numbers, std::vector<uint64_t>{2});
}

TEST_F(FinalizersTest, QueuedOneCanBeRemovedThroughAWeakReference) {
  WeakCell* cell = nullptr;
  OnFreshThread(heap_, [&](AttachedMutator& mutator) {
    uint64_t* object = NewNumber(mutator, 1);
    cell = ends().weak_cells().Create(object);
    ASSERT_TRUE(finalizers().Set(object, LogNumber, &log_));
  });
  CollectOnFreshThread(heap_);
  ASSERT_EQ(finalizers().queued_count(), 1u);
  OnFreshThread(heap_, [&](AttachedMutator&) { EXPECT_TRUE(finalizers().Remove(WeakCells::Get(*cell))); });
  EXPECT_EQ(RunAll(), 0u);
  CollectOnFreshThread(heap_);
  EXPECT_TRUE(WeakCells::Get(*cell) == nullptr);
}

TEST_F(FinalizersTest, MayBeSetAgainByItselfAndUseTheHeap) {
  struct Again {
    CollectedHeap& heap;
    Log& log;
    static void Function(void* object, void* context) {
      auto* again = static_cast<Again*>(context);
      LogNumber(object, &again->log);
      if (++*static_cast<uint64_t*>(object) < 3) {
        EXPECT_TRUE(again->heap.collector().ends().finalizers().Set(object, &Function, context));
      }
    }
  } again{heap_, log_};
  OnFreshThread(heap_, [&](AttachedMutator& mutator) {
    ASSERT_TRUE(finalizers().Set(NewNumber(mutator, 0), &Again::Function, &again));
  });
  for (int i = 0; i < 6; ++i) {
    CollectOnFreshThread(heap_);
    RunAll();
  }
  EXPECT_EQ(log_.numbers, (std::vector<uint64_t>{0, 1, 2}));
}

// The table of the order, with everything hanging on one object: see ends.h.
TEST_F(FinalizersTest, EphemeronsAndCleanupsOfARevivedObjectWaitForItsDeath) {
  Ephemeron* pair = nullptr;
  WeakCell* value = nullptr;
  int cleaned = 0;
  OnFreshThread(heap_, [&](AttachedMutator& mutator) {
    uint64_t* object = NewNumber(mutator, 3);
    uint64_t* behind = NewNumber(mutator, 4);
    object[1] = reinterpret_cast<uintptr_t>(behind);
    uint64_t* held = NewNumber(mutator, 5);
    value = ends().weak_cells().Create(held);
    pair = ends().ephemerons().Create(behind, held);
    ASSERT_TRUE(finalizers().Set(object, LogNumber, &log_));
    (void)ends().cleanups().Add(behind, [](void* context) { ++*static_cast<int*>(context); }, &cleaned);
  });
  CollectOnFreshThread(heap_);
  EXPECT_EQ(ends().cleanups().Run(SIZE_MAX), 0u);
  EXPECT_TRUE(Ephemerons::Value(*pair) != nullptr) << "the key was revived with the object";
  EXPECT_TRUE(WeakCells::Get(*value) == Ephemerons::Value(*pair));
  EXPECT_EQ(RunAll(), 1u);
  CollectOnFreshThread(heap_);
  EXPECT_TRUE(Ephemerons::Key(*pair) == nullptr);
  EXPECT_TRUE(WeakCells::Get(*value) == nullptr);
  EXPECT_EQ(ends().cleanups().Run(SIZE_MAX), 1u);
  EXPECT_EQ(cleaned, 1);
}

// Held only by an ephemeron's value: unreached as soon as the key is.
TEST_F(FinalizersTest, ObjectThatALiveEphemeronHoldsIsNotFinalized) {
  OnFreshThread(heap_, [&](AttachedMutator& mutator) {
    kept_[0] = NewNumber(mutator, 1);
    uint64_t* value = NewNumber(mutator, 2);
    (void)ends().ephemerons().Create(kept_[0], value);
    ASSERT_TRUE(finalizers().Set(value, LogNumber, &log_));
  });
  CollectOnFreshThread(heap_);
  EXPECT_EQ(finalizers().queued_count(), 0u);
  kept_[0] = nullptr;
  CollectOnFreshThread(heap_);
  EXPECT_EQ(finalizers().queued_count(), 1u);
}

TEST_F(FinalizersTest, NotifierIsCalledWhenSomethingIsQueuedAndMayRunIt) {
  struct Notified {
    CollectedHeap& heap;
    int calls = 0;
    size_t ran = 0;
  } notified{heap_};
  ends().SetNotifier(
      [](void* context) {
        auto* self = static_cast<Notified*>(context);
        ++self->calls;
        self->ran += self->heap.collector().ends().finalizers().Run(SIZE_MAX);
      },
      &notified);
  OnFreshThread(heap_, [&](AttachedMutator& mutator) {
    ASSERT_TRUE(finalizers().Set(NewNumber(mutator, 1), LogNumber, &log_));
  });
  CollectOnFreshThread(heap_);
  EXPECT_EQ(notified.calls, 1);
  EXPECT_EQ(notified.ran, 1u);
  CollectOnFreshThread(heap_);
  EXPECT_EQ(notified.calls, 1) << "nothing was queued";
}

TEST(FinalizersDeathTest, OnlyTheStartOfAnObjectIsTaken) {
  CollectedHeap heap;
  AttachedMutator mutator(heap);
  uint64_t* object = NewNumber(mutator, 1, 64);
  EXPECT_DEATH((void)heap.collector().ends().finalizers().Set(object + 1, LogNumber, nullptr),
               "finalizer for 0x[0-9a-f]+: not the start of an object");
}

}  // namespace
}  // namespace acre
