#include "allocator/collect/cleanups.h"

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

struct Entry {
  std::vector<int>* log;
  int number;
};

void LogEntry(void* context) {
  const auto* entry = static_cast<Entry*>(context);
  entry->log->push_back(entry->number);
}

class CleanupsTest : public ::testing::Test {
 protected:
  Cleanups& cleanups() { return heap_.collector().ends().cleanups(); }

  CollectedHeap heap_;
  Keeper kept_{heap_};
  std::vector<int> log_;
  Entry entry_[4] = {{&log_, 0}, {&log_, 1}, {&log_, 2}, {&log_, 3}};
};

TEST_F(CleanupsTest, EachRunsOnceAfterTheDeathInTheOrderOfAddition) {
  WeakCell* cell = nullptr;
  OnFreshThread(heap_, [&](AttachedMutator& mutator) {
    kept_[0] = mutator.Allocate(kPlain, 40);
    cell = heap_.collector().ends().weak_cells().Create(kept_[0]);
    void* other = mutator.Allocate(kPlain, 40);
    EXPECT_NE(cleanups().Add(kept_[0], LogEntry, &entry_[0]).record, nullptr);
    EXPECT_NE(cleanups().Add(other, LogEntry, &entry_[1]).record, nullptr);
    EXPECT_NE(cleanups().Add(kept_[0], LogEntry, &entry_[2]).record, nullptr);
    kept_[1] = other;
  });
  CollectOnFreshThread(heap_);
  EXPECT_EQ(cleanups().Run(SIZE_MAX), 0u);
  kept_[0] = nullptr;
  kept_[1] = nullptr;
  CollectOnFreshThread(heap_);
  EXPECT_EQ(cleanups().queued_count(), 3u);
  EXPECT_TRUE(WeakCells::Get(*cell) == nullptr) << "dead before its cleanup runs";
  EXPECT_EQ(cleanups().Run(2), 2u);
  EXPECT_EQ(cleanups().Run(SIZE_MAX), 1u);
  EXPECT_EQ(log_, (std::vector<int>{0, 1, 2}));
  CollectOnFreshThread(heap_);
  EXPECT_EQ(cleanups().Run(SIZE_MAX), 0u);
}

TEST_F(CleanupsTest, RemovedOneIsNotCalledWaitingOrQueued) {
  CleanupHandle handle[4];
  OnFreshThread(heap_, [&](AttachedMutator& mutator) {
    void* object = mutator.Allocate(kPlain, 40);
    for (int i = 0; i < 4; ++i) handle[i] = cleanups().Add(object, LogEntry, &entry_[i]);
    EXPECT_TRUE(cleanups().Remove(handle[1]));
    EXPECT_FALSE(cleanups().Remove(handle[1]));
  });
  CollectOnFreshThread(heap_);
  EXPECT_TRUE(cleanups().Remove(handle[2]));
  EXPECT_EQ(cleanups().Run(SIZE_MAX), 2u);
  EXPECT_EQ(log_, (std::vector<int>{0, 3}));
  EXPECT_FALSE(cleanups().Remove(handle[0])) << "it has run";
}

TEST_F(CleanupsTest, HandleOfAnEarlierCleanupDoesNotMeanTheRecordsNextUse) {
  AttachedMutator mutator(heap_);
  kept_[0] = mutator.Allocate(kPlain, 40);
  const CleanupHandle first = cleanups().Add(kept_[0], LogEntry, &entry_[0]);
  EXPECT_TRUE(cleanups().Remove(first));
  const CleanupHandle second = cleanups().Add(kept_[0], LogEntry, &entry_[1]);
  ASSERT_EQ(first.record, second.record) << "the test is about this";
  EXPECT_FALSE(cleanups().Remove(first));
  EXPECT_TRUE(cleanups().Remove(second));
  EXPECT_FALSE(cleanups().Remove(CleanupHandle{}));
}

TEST(CleanupsDeathTest, OnlyTheStartOfAnObjectIsTaken) {
  CollectedHeap heap;
  AttachedMutator mutator(heap);
  auto* object = static_cast<char*>(mutator.Allocate(kPlain, 64));
  EXPECT_DEATH((void)heap.collector().ends().cleanups().Add(object + 16, LogEntry, nullptr),
               "cleanup for 0x[0-9a-f]+: not the start of an object");
}

}  // namespace
}  // namespace acre
