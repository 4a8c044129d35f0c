#include "allocator/collect/weak_cells.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/allocator/ends_support.h"

namespace acre {
namespace {

using testing::AttachedMutator;
using testing::CollectedHeap;
using testing::CollectOnFreshThread;
using testing::Keeper;
using testing::OnFreshThread;

class WeakCellsTest : public ::testing::Test {
 protected:
  WeakCells& cells() { return heap_.collector().ends().weak_cells(); }

  CollectedHeap heap_;
  Keeper kept_{heap_};
};

TEST_F(WeakCellsTest, CellIsClearedInTheCycleInWhichItsObjectDies) {
  for (const size_t bytes : {size_t{16}, size_t{3000}, size_t{100'000}, size_t{70'000'000}}) {
    for (const Kind kind : {kConservative, kPlain}) {
      WeakCell* cell = nullptr;
      OnFreshThread(heap_, [&](AttachedMutator& mutator) {
        kept_[0] = mutator.Allocate(kind, bytes);
        cell = cells().Create(kept_[0]);
      });
      ASSERT_NE(cell, nullptr);
      for (int i = 0; i < 3; ++i) {
        CollectOnFreshThread(heap_);
        EXPECT_TRUE(WeakCells::Get(*cell) == kept_[0]) << bytes << " bytes";
      }
      kept_[0] = nullptr;
      CollectOnFreshThread(heap_);
      EXPECT_TRUE(WeakCells::Get(*cell) == nullptr) << bytes << " bytes";
      cells().Destroy(cell);
    }
  }
  EXPECT_EQ(cells().count(), 0u);
}

TEST_F(WeakCellsTest, InteriorPointerToTheObjectKeepsTheCell) {
  WeakCell* cell = nullptr;
  OnFreshThread(heap_, [&](AttachedMutator& mutator) {
    auto* object = static_cast<char*>(mutator.Allocate(kPlain, 100));
    cell = cells().Create(object);
    kept_[0] = object + 77;
  });
  CollectOnFreshThread(heap_);
  EXPECT_TRUE(WeakCells::Get(*cell) == static_cast<char*>(kept_[0]) - 77);
}

TEST_F(WeakCellsTest, WhatGetReturnedKeepsTheObjectLikeAnyPointer) {
  OnFreshThread(heap_, [&](AttachedMutator& mutator) {
    auto* first = static_cast<uint64_t*>(mutator.Allocate(kPlain, 64));
    *first = 42;
    WeakCell* cell = cells().Create(first);
    auto* object = static_cast<uint64_t*>(WeakCells::Get(*cell));
    for (int i = 0; i < 5; ++i) mutator.Collect();
    EXPECT_EQ(*object, 42u);
    EXPECT_EQ(WeakCells::Get(*cell), object);
  });
}

// Many cells of many objects: exactly those of dead ones are cleared, also when their index has grown and records were
// used again.
TEST_F(WeakCellsTest, ExactlyTheCellsOfDeadObjectsAreCleared) {
  constexpr size_t kObjects = 20'000;
  constexpr size_t kCellsEach = 3;
  std::vector<WeakCell*> of(kObjects * kCellsEach);
  OnFreshThread(heap_, [&](AttachedMutator& mutator) {
    std::vector<WeakCell*> passing;
    auto** table = static_cast<void**>(mutator.Allocate(kConservative, kObjects * sizeof(void*)));
    kept_[0] = table;
    for (size_t i = 0; i < kObjects; ++i) {
      void* object = mutator.Allocate(kPlain, 16 + i % 100);
      for (size_t k = 0; k < kCellsEach; ++k) {
        of[i * kCellsEach + k] = cells().Create(object);
        passing.push_back(cells().Create(object));
      }
      table[i] = i % 3 == 0 ? object : nullptr;
      if (i % 7 == 0) {
        for (WeakCell* cell : passing) cells().Destroy(cell);
        passing.clear();
      }
    }
    for (WeakCell* cell : passing) cells().Destroy(cell);
  });
  EXPECT_EQ(cells().count(), of.size());
  CollectOnFreshThread(heap_);
  size_t wrong = 0;
  auto* const* table = static_cast<void**>(kept_[0]);
  for (size_t i = 0; i < of.size(); ++i) wrong += WeakCells::Get(*of[i]) != table[i / kCellsEach];
  // A dead object may be held by a stale word that the collecting thread's start left on its stack.
  EXPECT_LE(wrong, 3u * kCellsEach);
  for (size_t i = 0; i < of.size(); ++i) {
    EXPECT_TRUE(i / kCellsEach % 3 != 0 || WeakCells::Get(*of[i]) != nullptr);
    cells().Destroy(of[i]);
  }
  EXPECT_EQ(cells().count(), 0u);
}

using WeakCellsDeathTest = WeakCellsTest;

TEST_F(WeakCellsDeathTest, OnlyTheStartOfAnObjectIsTaken) {
  AttachedMutator mutator(heap_);
  auto* object = static_cast<char*>(mutator.Allocate(kPlain, 100));
  EXPECT_DEATH((void)cells().Create(object + 16), "weak reference to 0x[0-9a-f]+: not the start of an object");
  int local = 0;
  EXPECT_DEATH((void)cells().Create(&local), "not the start of an object");
}

}  // namespace
}  // namespace acre
