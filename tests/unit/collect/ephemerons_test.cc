#include "allocator/collect/ephemerons.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "tests/support/allocator/ends_support.h"
#include "tests/support/seed.h"

namespace acre {
namespace {

using testing::AttachedMutator;
using testing::CollectedHeap;
using testing::CollectOnFreshThread;
using testing::Hidden;
using testing::Keeper;
using testing::OnFreshThread;
using testing::Random;

class EphemeronsTest : public ::testing::Test {
 protected:
  Ephemerons& ephemerons() { return heap_.collector().ends().ephemerons(); }
  uint64_t live_objects() { return heap_.collector().stats().live_objects; }

  // A chain: the key of each ephemeron hangs off the value before it, the first one off the returned object.
  Hidden MakeChain(AttachedMutator& mutator, size_t length, std::vector<Ephemeron*>* chain) {
    auto** first = static_cast<void**>(mutator.Allocate(kConservative, 32));
    kept_[1] = first;
    void** place = first;
    for (size_t i = 0; i < length; ++i) {
      void* key = mutator.Allocate(kPlain, 16);
      *place = key;
      kept_[2] = key;
      auto** value = static_cast<void**>(mutator.Allocate(kConservative, 32));
      chain->push_back(ephemerons().Create(key, value));
      place = value;
      kept_[3] = value;
    }
    kept_[2] = nullptr;
    kept_[3] = nullptr;
    return Hidden(first);
  }

  CollectedHeap heap_{CollectorOptions{.min_trigger_bytes = 1024 * kMiB}};
  Keeper kept_{heap_};
};

TEST_F(EphemeronsTest, ValueLivesAsLongAsItsKey) {
  Ephemeron* pair = nullptr;
  WeakCell* value = nullptr;
  OnFreshThread(heap_, [&](AttachedMutator& mutator) {
    kept_[0] = mutator.Allocate(kPlain, 32);
    void* object = mutator.Allocate(kPlain, 48);
    value = heap_.collector().ends().weak_cells().Create(object);
    pair = ephemerons().Create(kept_[0], object);
  });
  CollectOnFreshThread(heap_);
  EXPECT_TRUE(Ephemerons::Key(*pair) == kept_[0]);
  EXPECT_TRUE(Ephemerons::Value(*pair) != nullptr);
  EXPECT_TRUE(WeakCells::Get(*value) == Ephemerons::Value(*pair));
  kept_[0] = nullptr;
  CollectOnFreshThread(heap_);
  EXPECT_TRUE(Ephemerons::Key(*pair) == nullptr);
  EXPECT_TRUE(Ephemerons::Value(*pair) == nullptr);
  EXPECT_TRUE(WeakCells::Get(*value) == nullptr);
  ephemerons().Destroy(pair);
  EXPECT_EQ(ephemerons().count(), 0u);
}

TEST_F(EphemeronsTest, ValueThatLeadsToItsKeyDoesNotKeepIt) {
  Ephemeron* pair = nullptr;
  OnFreshThread(heap_, [&](AttachedMutator& mutator) {
    void* key = mutator.Allocate(kPlain, 32);
    auto** value = static_cast<void**>(mutator.Allocate(kConservative, 32));
    *value = key;
    pair = ephemerons().Create(key, value);
  });
  CollectOnFreshThread(heap_);
  EXPECT_TRUE(Ephemerons::Key(*pair) == nullptr);
}

TEST_F(EphemeronsTest, ValueThatIsNotReachedByItsKeyDoesNotKeepIt) {
  Ephemeron* pair = nullptr;
  OnFreshThread(heap_, [&](AttachedMutator& mutator) {
    kept_[0] = mutator.Allocate(kPlain, 32);
    pair = ephemerons().Create(mutator.Allocate(kPlain, 32), kept_[0]);
  });
  CollectOnFreshThread(heap_);
  EXPECT_TRUE(Ephemerons::Key(*pair) == nullptr) << "a live value says nothing of the key";
}

TEST_F(EphemeronsTest, SetValueChangesWhatIsKept) {
  Ephemeron* pair = nullptr;
  WeakCell* cells[2] = {};
  OnFreshThread(heap_, [&](AttachedMutator& mutator) {
    kept_[0] = mutator.Allocate(kPlain, 32);
    void* values[2] = {mutator.Allocate(kPlain, 32), mutator.Allocate(kPlain, 32)};
    for (int i = 0; i < 2; ++i) cells[i] = heap_.collector().ends().weak_cells().Create(values[i]);
    pair = ephemerons().Create(kept_[0], values[0]);
    Ephemerons::SetValue(*pair, values[1]);
  });
  CollectOnFreshThread(heap_);
  EXPECT_TRUE(WeakCells::Get(*cells[0]) == nullptr);
  EXPECT_TRUE(WeakCells::Get(*cells[1]) != nullptr);
}

TEST_F(EphemeronsTest, LargeAndHugeKeysAndValuesAreKeptToo) {
  Ephemeron* pairs[3] = {};
  OnFreshThread(heap_, [&](AttachedMutator& mutator) {
    kept_[0] = mutator.Allocate(kPlain, 100'000);
    void* huge = mutator.Allocate(kPlain, 40'000'000);
    pairs[0] = ephemerons().Create(kept_[0], huge);
    void* large = mutator.Allocate(kConservative, 50'000);
    pairs[1] = ephemerons().Create(huge, large);
    pairs[2] = ephemerons().Create(large, mutator.Allocate(kPlain, 16));
  });
  CollectOnFreshThread(heap_);
  for (const Ephemeron* pair : pairs) EXPECT_TRUE(Ephemerons::Key(*pair) != nullptr);
  kept_[0] = nullptr;
  CollectOnFreshThread(heap_);
  for (const Ephemeron* pair : pairs) EXPECT_TRUE(Ephemerons::Key(*pair) == nullptr);
}

// Looking at all ephemerons in every round would take five thousand million looks here: minutes.
TEST_F(EphemeronsTest, ChainOfHundredThousandIsKeptAndDropped) {
  constexpr size_t kLength = 100'000;
  std::vector<Ephemeron*> chain;
  OnFreshThread(heap_, [&](AttachedMutator& mutator) { kept_[0] = MakeChain(mutator, kLength, &chain).get(); });
  kept_[1] = nullptr;
  CollectOnFreshThread(heap_);
  for (const Ephemeron* pair : chain) ASSERT_TRUE(Ephemerons::Key(*pair) != nullptr);
  EXPECT_GE(live_objects(), 2 * kLength + 1);
  kept_[0] = nullptr;
  CollectOnFreshThread(heap_);
  EXPECT_LT(live_objects(), 100u);
  size_t left = 0;
  for (const Ephemeron* pair : chain) left += Ephemerons::Key(*pair) != nullptr;
  EXPECT_LE(left, 50u) << "what a stale word holds has ephemerons behind it, but these are few";
}

// Chains through a huge key in their middle, of which watched marking does not tell.
TEST_F(EphemeronsTest, ChainsThroughHugeKeysAreKept) {
  std::vector<Ephemeron*> chain;
  OnFreshThread(heap_, [&](AttachedMutator& mutator) {
    kept_[0] = MakeChain(mutator, 50, &chain).get();
    for (int i = 0; i < 3; ++i) {
      auto** last = static_cast<void**>(Ephemerons::Value(*chain.back()));
      void* huge = mutator.Allocate(i % 2 == 0 ? kPlain : kConservative, 30'000'000);
      *last = huge;
      kept_[4] = huge;
      std::vector<Ephemeron*> more;
      void* next = MakeChain(mutator, 50, &more).get();
      chain.push_back(ephemerons().Create(huge, next));
      chain.insert(chain.end(), more.begin(), more.end());
    }
    kept_[1] = nullptr;
    kept_[4] = nullptr;
  });
  CollectOnFreshThread(heap_);
  for (const Ephemeron* pair : chain) ASSERT_TRUE(Ephemerons::Key(*pair) != nullptr);
}

TEST_F(EphemeronsTest, DestroyedEphemeronsKeepNothing) {
  OnFreshThread(heap_, [&](AttachedMutator& mutator) {
    kept_[0] = mutator.Allocate(kPlain, 32);
    for (int i = 0; i < 1000; ++i) ephemerons().Destroy(ephemerons().Create(kept_[0], mutator.Allocate(kPlain, 1024)));
  });
  CollectOnFreshThread(heap_);
  EXPECT_LT(live_objects(), 50u);
  EXPECT_EQ(ephemerons().count(), 0u);
}

// Random graphs of objects and ephemerons against a plain fixpoint.
TEST_F(EphemeronsTest, RandomGraphsKeepExactlyWhatAPlainFixpointKeeps) {
  Random random(testing::Seed("random ephemerons"));
  for (int round = 0; round < 20; ++round) {
    constexpr size_t kObjects = 1000;
    constexpr size_t kEdges = 3;
    const size_t pairs = 200 + random.Below(2000);
    std::vector<std::array<uint32_t, kEdges>> edges(kObjects);  // kObjects: none.
    std::vector<std::pair<uint32_t, uint32_t>> pair(pairs);
    for (auto& row : edges) {
      for (uint32_t& to : row) to = random.OneIn(4) ? static_cast<uint32_t>(random.Below(kObjects)) : kObjects;
    }
    for (auto& [key, value] : pair) {
      key = static_cast<uint32_t>(random.Below(kObjects));
      value = static_cast<uint32_t>(random.Below(kObjects));
    }
    std::vector<bool> is_live(kObjects, false);
    is_live[0] = true;
    for (bool has_changed = true; has_changed;) {
      has_changed = false;
      const auto reach = [&](uint32_t to) {
        if (to == kObjects || is_live[to]) return;
        is_live[to] = true;
        has_changed = true;
      };
      for (size_t i = 0; i < kObjects; ++i) {
        if (!is_live[i]) continue;
        for (const uint32_t to : edges[i]) reach(to);
      }
      for (const auto& [key, value] : pair) {
        if (is_live[key]) reach(value);
      }
    }
    std::vector<WeakCell*> cells(kObjects);
    std::vector<Ephemeron*> made(pairs);
    OnFreshThread(heap_, [&](AttachedMutator& mutator) {
      auto** table = static_cast<void***>(mutator.Allocate(kConservative, kObjects * sizeof(void*)));
      kept_[1] = table;
      for (size_t i = 0; i < kObjects; ++i) {
        table[i] = static_cast<void**>(mutator.Allocate(kConservative, kEdges * sizeof(void*)));
        cells[i] = heap_.collector().ends().weak_cells().Create(table[i]);
      }
      for (size_t i = 0; i < kObjects; ++i) {
        for (size_t k = 0; k < kEdges; ++k) table[i][k] = edges[i][k] == kObjects ? nullptr : table[edges[i][k]];
      }
      for (size_t i = 0; i < pairs; ++i) made[i] = ephemerons().Create(table[pair[i].first], table[pair[i].second]);
      kept_[0] = table[0];
      std::memset(table, 0, kObjects * sizeof(void*));
    });
    kept_[1] = nullptr;
    CollectOnFreshThread(heap_);
    size_t too_many = 0;
    for (size_t i = 0; i < kObjects; ++i) {
      if (is_live[i]) {
        ASSERT_TRUE(WeakCells::Get(*cells[i]) != nullptr) << "object " << i << " was lost";
      } else {
        too_many += WeakCells::Get(*cells[i]) != nullptr;
      }
    }
    EXPECT_EQ(too_many, 0u);
    for (size_t i = 0; i < pairs; ++i) {
      EXPECT_EQ(Ephemerons::Key(*made[i]) != nullptr, WeakCells::Get(*cells[pair[i].first]) != nullptr);
      ephemerons().Destroy(made[i]);
    }
    for (WeakCell* cell : cells) heap_.collector().ends().weak_cells().Destroy(cell);
  }
}

class WeakKeyTableTest : public EphemeronsTest {};

TEST_F(WeakKeyTableTest, EntriesArePutFoundChangedAndRemoved) {
  AttachedMutator mutator(heap_);
  WeakKeyTable table(ephemerons());
  WeakKeyTable other(ephemerons());
  void* key = mutator.Allocate(kPlain, 16);
  void* value = nullptr;
  EXPECT_FALSE(table.Get(key, &value));
  int values[2];
  EXPECT_TRUE(table.Put(key, &values[0]));
  EXPECT_TRUE(other.Put(key, &values[1])) << "another table's entry is another entry";
  EXPECT_TRUE(table.Get(key, &value));
  EXPECT_EQ(value, &values[0]);
  EXPECT_TRUE(table.Put(key, &values[1]));
  EXPECT_TRUE(table.Get(key, &value));
  EXPECT_EQ(value, &values[1]);
  EXPECT_EQ(table.Count(), 1u);
  EXPECT_TRUE(table.Remove(key));
  EXPECT_FALSE(table.Remove(key));
  EXPECT_FALSE(table.Get(key, &value));
  EXPECT_EQ(table.Count(), 0u);
  EXPECT_EQ(other.Count(), 1u);
}

TEST_F(WeakKeyTableTest, EntriesVanishWithTheirKeysAndTheOthersStay) {
  constexpr size_t kKeys = 30'000;
  WeakKeyTable table(ephemerons());
  std::vector<Hidden> live;
  OnFreshThread(heap_, [&](AttachedMutator& mutator) {
    auto** keys = static_cast<void**>(mutator.Allocate(kConservative, kKeys * sizeof(void*)));
    kept_[0] = keys;
    for (size_t i = 0; i < kKeys; ++i) {
      void* key = mutator.Allocate(kPlain, 16);
      auto* value = static_cast<uint64_t*>(mutator.Allocate(kPlain, 16));
      *value = i;
      ASSERT_TRUE(table.Put(key, value));
      if (i % 4 == 0) keys[i] = key;
    }
  });
  EXPECT_EQ(table.Count(), kKeys);
  CollectOnFreshThread(heap_);
  EXPECT_GE(table.Count(), kKeys / 4);
  EXPECT_LE(table.Count(), kKeys / 4 + 3) << "stale words may keep a few";
  auto* const* keys = static_cast<void**>(kept_[0]);
  for (size_t i = 0; i < kKeys; i += 4) {
    void* value = nullptr;
    ASSERT_TRUE(table.Get(keys[i], &value)) << i;
    ASSERT_EQ(*static_cast<uint64_t*>(value), i);
  }
  size_t seen = 0;
  table.ForEach([&](void* key, void* value) { seen += keys[*static_cast<uint64_t*>(value)] == key ? 1 : 0; });
  EXPECT_EQ(seen, kKeys / 4);
  kept_[0] = nullptr;
  CollectOnFreshThread(heap_);
  EXPECT_LE(table.Count(), 3u);
}

TEST_F(WeakKeyTableTest, DestroyedTableLeavesNothing) {
  OnFreshThread(heap_, [&](AttachedMutator& mutator) {
    WeakKeyTable table(ephemerons());
    kept_[0] = mutator.Allocate(kPlain, 16);
    ASSERT_TRUE(table.Put(kept_[0], mutator.Allocate(kPlain, 5000)));
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(table.Put(mutator.Allocate(kPlain, 16), kept_[0]));
  });
  EXPECT_EQ(ephemerons().count(), 0u);
}

}  // namespace
}  // namespace acre
