// Ends of objects, by what acre/ends.h promises.

#include <acre/ends.h>
#include <acre/heap.h>
#include <acre/roots.h>
#include <gtest/gtest.h>

#include <optional>
#include <thread>
#include <vector>

#include "tests/support/fresh_thread.h"

namespace acre {
namespace {

struct Cell {
  Ref<Cell> next;
  uint64_t number = 0;
  template <class Visitor>
  void Trace(Visitor& visit) const {
    visit(next);
  }
};

// On a thread of its own, whose stack goes with it.
template <class Body>
void Elsewhere(Heap& heap, Body body) {
  testing::OnFreshThread([&] {
    Mutator mutator(heap);
    body(mutator);
  });
}

void Collect(Heap& heap) {
  Elsewhere(heap, [](Mutator& mutator) { mutator.Collect(); });
}

Cell* Make(Heap& heap, uint64_t number) {
  Cell* made = nullptr;
  Elsewhere(heap, [&](Mutator& mutator) {
    made = mutator.New<Cell>();
    made->number = number;
  });
  return made;
}

TEST(Ends, WeakReferencesSeeTheirObjectsDie) {
  Heap heap;
  Mutator mutator(heap);
  Root<Cell> kept(heap);
  std::optional<Weak<Cell>> of_kept;
  std::optional<Weak<Cell>> of_dropped;
  std::thread([&] {
    Mutator other(heap);
    kept.Set(other, other.New<Cell>());
  }).join();
  of_kept.emplace(mutator, kept.get());
  of_dropped.emplace(mutator, Make(heap, 1));
  ASSERT_TRUE(of_kept->is_valid() && of_dropped->is_valid());
  mutator.Park();
  Collect(heap);
  ASSERT_EQ(mutator.Unpark(), ACRE_OK);
  EXPECT_EQ(of_kept->get(), kept.get());
  EXPECT_EQ(of_dropped->get(), nullptr);
  kept.Set(mutator, nullptr);
  mutator.Park();
  Collect(heap);
  ASSERT_EQ(mutator.Unpark(), ACRE_OK);
  EXPECT_EQ(of_kept->get(), nullptr);
}

TEST(Ends, EphemeronsAndTablesKeepValuesOfLiveKeysOnly) {
  Heap heap;
  Mutator mutator(heap);
  Root<Cell> key(heap, Make(heap, 1));
  Ephemeron<Cell, Cell> pair(mutator, key.get(), Make(heap, 2));
  Ephemeron<Cell, Cell> lost(mutator, Make(heap, 3), key.get());
  WeakTable<Cell, Cell> table(mutator);
  ASSERT_TRUE(pair.is_valid() && lost.is_valid() && table.is_valid());
  ASSERT_TRUE(table.Put(key.get(), Make(heap, 4)));
  ASSERT_TRUE(table.Put(Make(heap, 5), Make(heap, 6)));
  EXPECT_EQ(table.count(), 2u);
  mutator.Park();
  Collect(heap);
  ASSERT_EQ(mutator.Unpark(), ACRE_OK);
  EXPECT_EQ(pair.key(), key.get());
  ASSERT_NE(pair.value(), nullptr);
  EXPECT_EQ(pair.value()->number, 2u);
  EXPECT_EQ(lost.key(), nullptr);
  EXPECT_EQ(lost.value(), nullptr);
  EXPECT_EQ(table.count(), 1u);
  EXPECT_EQ(table.Get(key.get())->number, 4u);
  EXPECT_TRUE(table.Remove(key.get()));
  EXPECT_FALSE(table.Remove(key.get()));
  EXPECT_EQ(table.Get(key.get()), nullptr);
}

std::vector<uint64_t> finalized;

TEST(Ends, FinalizersRunOnceAndCleanupsAfterDeath) {
  static int notices;
  static std::vector<int> cleaned;
  finalized.clear();
  cleaned.clear();
  notices = 0;
  HeapOptions options;
  options.on_ends_pending = [](void* context) { ++*static_cast<int*>(context); };
  options.callback_context = &notices;
  Heap heap(options);
  Mutator mutator(heap);
  for (uint64_t number = 0; number < 3; ++number) {
    Elsewhere(heap, [&](Mutator& other) {
      Cell* cell = other.New<Cell>();
      cell->number = number;
      ASSERT_TRUE((SetFinalizer<[](Cell* dying, void*) { finalized.push_back(dying->number); }>(other, cell)));
      static int one = 1;
      static int two = 2;
      EXPECT_NE(AddCleanup(other, cell, [](void* context) { cleaned.push_back(*static_cast<int*>(context)); }, &one).record,
                nullptr);
      const acre_cleanup removed =
          AddCleanup(other, cell, [](void* context) { cleaned.push_back(*static_cast<int*>(context)); }, &two);
      EXPECT_TRUE(acre_cleanup_remove(other.raw(), removed));
      EXPECT_FALSE(acre_cleanup_remove(other.raw(), removed));
    });
  }
  mutator.Park();
  Collect(heap);
  ASSERT_EQ(mutator.Unpark(), ACRE_OK);
  EXPECT_EQ(notices, 1);
  EXPECT_EQ(mutator.RunCleanups(), 0u) << "nothing has died yet";
  EXPECT_EQ(mutator.RunFinalizers(2), 2u);
  EXPECT_EQ(mutator.RunFinalizers(), 1u);
  EXPECT_EQ(finalized, (std::vector<uint64_t>{0, 1, 2}));
  mutator.Park();
  Collect(heap);
  ASSERT_EQ(mutator.Unpark(), ACRE_OK);
  EXPECT_EQ(notices, 2);
  EXPECT_EQ(mutator.RunFinalizers(), 0u);
  EXPECT_EQ(mutator.RunCleanups(), 3u);
  EXPECT_EQ(cleaned, (std::vector<int>{1, 1, 1}));
}

}  // namespace
}  // namespace acre
