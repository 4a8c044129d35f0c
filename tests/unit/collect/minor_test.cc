// Minor cycles: what has lived through a cycle is old, and stays; what was allocated since lives if a root or an old object
// holds it. Every marking is verified. Cycles are those of a heap without helpers, and of one with a helper, which ends most
// of them in one stop all the same; those that mark beside mutators are in minor_beside_test.cc.

#include <gtest/gtest.h>

#include <atomic>
#include <iterator>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/support/allocator/minor_heap.h"
#include "tests/support/seed.h"

namespace acre {
namespace {

using testing::AttachedMutator;
using testing::Helped;
using testing::Hidden;
using testing::kItemBytes;
using testing::MinorHeap;
using testing::MinorOptions;
using testing::Put;
using testing::Random;
using testing::WordOf;

class Minor : public testing::MinorTest, public ::testing::WithParamInterface<Helped> {
 protected:
  static CollectorOptions Options() { return MinorOptions(GetParam()); }
};

class MinorAlone : public testing::MinorTest {};

INSTANTIATE_TEST_SUITE_P(Helpers, Minor, ::testing::Values(Helped::kNo, Helped::kYes),
                         [](const auto& test) { return test.param == Helped::kYes ? "helped" : "alone"; });

// ---- What old objects hold ------------------------------------------------------------------------------------------

// Looks at an object's first and last word.
bool TraceEnds(void*, void* object, size_t bytes, acre_tracer* tracer) {
  const auto* words = static_cast<const uint64_t*>(object);
  tracer->Visit(words[0]);
  tracer->Visit(words[bytes / sizeof(uint64_t) - 1]);
  return true;
}

constexpr size_t kHugeBytes = 40 * kMiB;

struct Holder {
  const char* name;
  TraceForm form;
  size_t bytes;
};

constexpr Holder kHolders[] = {
    {"small", TraceForm::kConservative, 64},           {"small with bitmap", TraceForm::kBitmap, 64},
    {"small with function", TraceForm::kFunction, 64}, {"of some pages", TraceForm::kConservative, 20'000},
    {"large", TraceForm::kConservative, 104 * kKiB},      {"large with bitmap", TraceForm::kBitmap, 100'000},
    {"large with function", TraceForm::kFunction, 104 * kKiB},
    {"huge", TraceForm::kConservative, kHugeBytes},     {"huge with bitmap", TraceForm::kBitmap, kHugeBytes},
    {"huge with function", TraceForm::kFunction, kHugeBytes},
};

Kind KindOfHolder(MinorHeap& heap, TraceForm form) {
  constexpr uint64_t kOddWords = 2;
  Kind kind = kConservative;
  KindTable& kinds = heap.collector().kinds();
  if (form == TraceForm::kBitmap) {
    EXPECT_EQ(kinds.AddBitmap(&kOddWords, 2, &kind), Status::kOk);
  } else if (form == TraceForm::kFunction) {
    EXPECT_EQ(kinds.AddFunction(&TraceEnds, nullptr, &kind), Status::kOk);
  }
  return kind;
}

// The pointer stands in the object's last word: of a huge one's pages that is written alone.
TEST_P(Minor, WhatAnOldObjectHoldsLivesAndOtherNewObjectsDie) {
  for (const Holder& holder : kHolders) {
    SCOPED_TRACE(holder.name);
    const bool is_huge = holder.bytes == kHugeBytes;
    // Memory that comes so fast would call for a full cycle soon, which takes its time.
    if (is_huge && GetParam() == Helped::kYes) continue;
    CollectorOptions options = Options();
    options.debug.verifies_marks &= !is_huge;
    MinorHeap heap(options);
    const Hidden old = heap.MakeHeld(0, KindOfHolder(heap, holder.form), holder.bytes);
    uint64_t* const field = WordOf(old, holder.bytes / sizeof(uint64_t) - 1);
    heap.CollectAll();
    WeakCell* last = nullptr;
    for (int round = 0; round < 3; ++round) {
      SCOPED_TRACE(round);
      const Hidden lost = heap.Make();
      WeakCell* const lost_cell = heap.Watch(lost);
      const Hidden item = heap.Make();
      const Hidden child = heap.Make();
      Put(item.get(), child);
      Put(field, item);
      heap.CollectYoung();
      EXPECT_TRUE(heap.IsKept(item));
      EXPECT_TRUE(heap.IsKept(child));
      EXPECT_TRUE(MinorHeap::IsDead(lost_cell));
      heap.CollectYoung();
      EXPECT_TRUE(heap.IsKept(item));
      EXPECT_TRUE(heap.IsKept(child));
      if (last != nullptr) {
        EXPECT_FALSE(MinorHeap::IsDead(last)) << "nothing holds it, but it is old";
      }
      last = heap.Watch(child);
      heap.collector().CheckInvariants();
    }
    WeakCell* const old_cell = heap.Watch(old);
    heap.held(0) = nullptr;
    heap.CollectYoung();
    EXPECT_FALSE(MinorHeap::IsDead(old_cell));
    EXPECT_FALSE(MinorHeap::IsDead(last));
    heap.CollectAll();
    EXPECT_TRUE(MinorHeap::IsDead(old_cell));
    EXPECT_TRUE(MinorHeap::IsDead(last));
    heap.collector().CheckInvariants();
  }
}

// Each node is old when the next one is hung on it, by the minor cycle that came between.
TEST_P(Minor, AListThatGrowsAtItsTailLives) {
  constexpr int kNodes = 30;
  MinorHeap heap(Options());
  std::vector<Hidden> nodes = {heap.MakeHeld(0)};
  heap.CollectAll();
  for (int i = 0; i < kNodes; ++i) {
    const size_t bytes = i % 3 == 0 ? kItemBytes : i % 3 == 1 ? 3000 : 100'000;
    const Hidden node = heap.Make(kConservative, bytes);
    Put(nodes.back().get(), node);
    nodes.push_back(node);
    heap.CollectYoung();
    for (const Hidden& each : nodes) ASSERT_TRUE(heap.IsKept(each)) << i;
  }
  heap.CollectAll();
  for (const Hidden& each : nodes) EXPECT_TRUE(heap.IsKept(each));
  WeakCell* const tail = heap.Watch(nodes.back());
  Put(nodes[kNodes / 2].get(), nullptr);
  heap.CollectAll();
  EXPECT_TRUE(MinorHeap::IsDead(tail));
  heap.collector().CheckInvariants();
}

// A thread keeps a run over cycles; what it hands out of it afterwards counts as old from the first.
TEST_P(Minor, NewObjectsOfARunThatIsOlderThanTheCycleLiveAndWhatTheyHold) {
  constexpr int kRounds = 8;
  MinorHeap heap(Options());
  const Hidden old = heap.MakeHeld(0, kConservative, 1000);
  CollectedMutator standing;
  const auto with = [&](auto body) {
    testing::OnFreshThread([&] {
      World::Unpark(standing);
      body();
      World::Park(standing);
    });
  };
  testing::OnFreshThread([&] {
    ASSERT_TRUE(heap.collector().Attach(standing));
    World::Park(standing);
  });
  std::vector<Hidden> items;
  for (int round = 0; round < kRounds; ++round) {
    const Hidden young = heap.Make(kConservative, 200);
    with([&] {
      Hidden item(heap.collector().Allocate(standing, kConservative, kItemBytes));
      *WordOf(item, 1) = testing::kItemSign;
      Put(item.get(), young);
      Put(WordOf(old, 2 + items.size()), item);
      items.push_back(item);
    });
    items.push_back(young);
    if (round == kRounds / 2) {
      heap.CollectAll();
    } else if (round != 0) {
      heap.CollectYoung();
    } else {
      heap.CollectAll();
    }
    for (const Hidden& item : items) ASSERT_TRUE(heap.IsKept(item)) << round;
  }
  testing::OnFreshThread([&] {
    World::Unpark(standing);
    heap.collector().Detach(standing);
  });
  heap.CollectYoung();
  for (const Hidden& item : items) EXPECT_TRUE(heap.IsKept(item));
  heap.collector().CheckInvariants();
}

TEST_P(Minor, WhatRootsAndStacksHoldLives) {
  MinorHeap heap(Options());
  heap.CollectAll();
  const Hidden held = heap.MakeHeld(3);
  const Hidden lost = heap.Make();
  WeakCell* const cell = heap.Watch(lost);
  heap.Do([&](AttachedMutator& mutator) {
    void* volatile on_stack = MinorHeap::MakeBy(mutator).get();
    heap.CollectYoung(mutator);
    EXPECT_TRUE(heap.Lives(mutator, Hidden(on_stack)));
  });
  EXPECT_TRUE(heap.IsKept(held));
  EXPECT_TRUE(MinorHeap::IsDead(cell));
}

// What becomes old and is dropped makes the heap grow, until a full cycle is due by itself: beside mutators where there is a
// helper. It finds what has died in the meantime, of any size, and nothing else.
TEST_P(Minor, AFullCycleBecomesDueWhenWhatIsOldHasGrown) {
  constexpr size_t kSizes[] = {16, 64, 1000, 20'000, 100'000, kHugeBytes};
  constexpr int kMostRounds = 200;
  CollectorOptions options = Options();
  options.gc_percent = 100;
  options.debug.verifies_marks = false;  // Of huge objects.
  MinorHeap heap(options);
  const Hidden holder = heap.MakeHeld(0, kConservative, 1000);
  std::vector<Hidden> kept;
  std::vector<WeakCell*> dead;
  for (const size_t bytes : kSizes) {
    kept.push_back(heap.Make(kConservative, bytes));
    Put(WordOf(holder, 10 + kept.size()), kept.back());
    if (bytes == kHugeBytes) break;  // So that the heap may not grow by another one.
    dead.push_back(heap.Watch(heap.MakeHeld(dead.size() + 1, kConservative, bytes)));
  }
  for (int full = 0; full < 3; ++full) {
    heap.CollectAll();
    for (size_t root = 1; root <= dead.size(); ++root) heap.held(root) = nullptr;
    const CycleStats before = heap.collector().stats();
    const auto count_full = [](const CycleStats& stats) { return stats.cycles - stats.minor_cycles; };
    for (int round = 0; round < kMostRounds && count_full(heap.collector().stats()) == count_full(before); ++round) {
      heap.Do([&](AttachedMutator& mutator) {
        Put(WordOf(holder, 2), MinorHeap::MakeBy(mutator, kConservative, 2 * kMiB));
        heap.AwaitCycle(mutator);
      });
    }
    const CycleStats after = heap.collector().stats();
    EXPECT_EQ(count_full(after), count_full(before) + 1);
    if (GetParam() == Helped::kNo) {
      EXPECT_GT(after.minor_cycles, before.minor_cycles);
    }
    EXPECT_EQ(after.concurrent_cycles > before.concurrent_cycles, GetParam() == Helped::kYes);
    heap.Do([&](AttachedMutator& mutator) { heap.Sweep(mutator); });
    for (const WeakCell* cell : dead) EXPECT_TRUE(MinorHeap::IsDead(cell));
    for (const Hidden& object : kept) EXPECT_TRUE(heap.IsKept(object));
    heap.collector().CheckInvariants();
    dead.clear();
    for (const size_t bytes : kSizes) {
      if (bytes != kHugeBytes) dead.push_back(heap.Watch(heap.MakeHeld(dead.size() + 1, kConservative, bytes)));
    }
    Put(WordOf(holder, 10 + std::size(kSizes)), nullptr);  // The huge one.
    if (full == 0) dead.push_back(heap.Watch(kept.back()));
    if (full == 0) kept.pop_back();
  }
}

// ---- What a cycle costs ---------------------------------------------------------------------------------------------

// Pages of old objects that nobody has written are not looked at: neither those that were old before, nor those that have become
// so by a minor cycle.
TEST_P(Minor, OldObjectsThatNobodyWritesAreNotLookedAt) {
  constexpr size_t kObjects = 64;
  constexpr size_t kObjectBytes = 4000;
  constexpr size_t kFewBytes = 64 * kKiB;
  CollectorOptions options = Options();
  options.min_trigger_bytes = 8 * kObjects * kObjectBytes;  // No cycle comes while objects are added.
  MinorHeap heap(options);
  const Hidden old = heap.MakeHeld(0, kConservative, 2 * kObjects * sizeof(uint64_t));
  const auto add = [&](size_t first) {
    heap.Do([&](AttachedMutator& mutator) {
      for (size_t i = 0; i < kObjects; ++i) {
        Put(WordOf(old, first + i), MinorHeap::MakeBy(mutator, kConservative, kObjectBytes));
      }
    });
  };
  add(0);
  heap.CollectAll();
  heap.CollectYoung();
  EXPECT_LE(heap.collector().stats().written_bytes, kFewBytes);
  const uint64_t cycles = heap.collector().stats().cycles;
  add(kObjects);
  EXPECT_EQ(heap.collector().stats().cycles, cycles);
  heap.CollectYoung();
  EXPECT_GE(heap.collector().stats().live_objects, 2 * kObjects);
  heap.CollectYoung();
  EXPECT_LE(heap.collector().stats().written_bytes, kFewBytes);
}

// A full cycle comes earlier than the growth of the heap would have it, and minor ones are tried again.
// (Where helpers mark it also depends on how fast threads are when it comes.)
TEST_F(MinorAlone, WhereMuchOfWhatIsOldIsWrittenAFullCycleComesSooner) {
  constexpr size_t kOldBytes = 1 * kMiB;
  constexpr size_t kPageWords = 4096 / sizeof(uint64_t);
  constexpr int kMost = 24;  // In which less than the growth is allocated, but more than a quarter of it.
  for (const bool is_written : {false, true}) {
    CollectorOptions options = testing::MinorOptions(Helped::kNo);
    options.gc_percent = 200;
    MinorHeap heap(options);
    const Hidden old = heap.MakeHeld(0, kConservative, kOldBytes);
    heap.CollectAll();
    const auto is_next_minor = [&] {
      for (size_t word = 2; is_written && word < kOldBytes / sizeof(uint64_t); word += kPageWords) *WordOf(old, word) = 0;
      const uint64_t minor_cycles = heap.collector().stats().minor_cycles;
      heap.Do([&](AttachedMutator& mutator) {
        heap.AwaitCycle(mutator);
        heap.Sweep(mutator);
      });
      return heap.collector().stats().minor_cycles != minor_cycles;
    };
    int count = 0;
    while (count < kMost && is_next_minor()) ++count;
    EXPECT_GT(count, 1);
    EXPECT_EQ(count < kMost, is_written);
    EXPECT_TRUE(heap.IsKept(old));
    if (is_written) {
      EXPECT_TRUE(is_next_minor());
    }
  }
}

// ---- Statistics -----------------------------------------------------------------------------------------------------

TEST_P(Minor, CyclesAndWhatTheyKeepAreCounted) {
  constexpr size_t kItems = 100;
  constexpr size_t kFew = 8;  // Garbage that a stack holds.
  MinorHeap heap(Options());
  const Hidden old = heap.MakeHeld(0, kConservative, 2000);
  heap.CollectAll();
  const CycleStats before = heap.collector().stats();
  EXPECT_EQ(before.minor_cycles, 0u);
  heap.Do([&](AttachedMutator& mutator) {
    for (size_t i = 0; i < kItems; ++i) {
      Put(WordOf(old, 2 + i), MinorHeap::MakeBy(mutator));
      (void)MinorHeap::MakeBy(mutator);
    }
  });
  for (uint64_t cycle = 1; cycle <= 3; ++cycle) {
    heap.CollectYoung();
    const CycleStats after = heap.collector().stats();
    EXPECT_EQ(after.minor_cycles, cycle);
    EXPECT_EQ(after.cycles, before.cycles + cycle);
    EXPECT_GE(after.live_objects, before.live_objects + kItems);
    EXPECT_LE(after.live_objects, before.live_objects + kItems + cycle * kFew);
    EXPECT_GE(after.live_bytes, before.live_bytes + kItems * kItemBytes);
    EXPECT_LE(after.live_bytes, before.live_bytes + kItems * kItemBytes + cycle * kFew * 2048);
  }
  heap.CollectAll();
  EXPECT_EQ(heap.collector().stats().minor_cycles, 3u);
  EXPECT_EQ(heap.collector().stats().live_objects, before.live_objects + kItems);
  EXPECT_EQ(heap.collector().stats().live_bytes, before.live_bytes + kItems * kItemBytes);
}

// A thread has one object of each of some sizes, and more slots for later.
TEST_P(Minor, SlotsThatNobodyHasUsedAreNotCounted) {
  constexpr size_t kFew = 16;
  constexpr size_t kSizes = 16;
  MinorHeap heap(Options());
  CollectedMutator standing;
  testing::OnFreshThread([&] {
    ASSERT_TRUE(heap.collector().Attach(standing));
    for (size_t i = 0; i < kSizes; ++i) heap.held(i) = heap.collector().Allocate(standing, kConservative, 16 * (i + 1));
    World::Park(standing);
  });
  heap.CollectAll();
  const size_t live_objects = heap.collector().stats().live_objects;
  for (int cycle = 0; cycle < 3; ++cycle) {
    heap.CollectYoung();
    EXPECT_LE(heap.collector().stats().live_objects, live_objects + kFew) << cycle;
  }
  testing::OnFreshThread([&] {
    World::Unpark(standing);
    heap.collector().Detach(standing);
  });
}

// ---- Where new objects go -------------------------------------------------------------------------------------------

std::set<uintptr_t> PagesOf(const std::vector<Hidden>& items) {
  std::set<uintptr_t> pages;
  for (const Hidden& item : items) pages.insert(reinterpret_cast<uintptr_t>(item.get()) / kPageBytes);
  return pages;
}

// How many of so many new items lie on the pages.
size_t CountOn(MinorHeap& heap, const std::set<uintptr_t>& pages, size_t count) {
  size_t found = 0;
  heap.Do([&](AttachedMutator& mutator) {
    for (size_t i = 0; i < count; ++i) {
      const Hidden item = MinorHeap::MakeBy(mutator);
      found += pages.count(reinterpret_cast<uintptr_t>(item.get()) / kPageBytes);
    }
  });
  return found;
}

// Items, of which every `nth` is held by an object. Returns those.
std::vector<Hidden> MakeEveryNth(MinorHeap& heap, const Hidden& holder, size_t count, size_t nth) {
  std::vector<Hidden> kept;
  heap.Do([&](AttachedMutator& mutator) {
    for (size_t i = 0; i < count; ++i) {
      const Hidden item = MinorHeap::MakeBy(mutator);
      if (i % nth != 0) continue;
      Put(WordOf(holder, 2 + kept.size()), item);
      kept.push_back(item);
    }
  });
  return kept;
}

TEST_P(Minor, NothingIsAllocatedBetweenOldObjectsUntilAFullCycleFindsMuchRoomThere) {
  constexpr size_t kSlots = kPageBytes / kItemBytes;
  constexpr size_t kItems = 20 * kSlots;
  MinorHeap heap(Options());
  const Hidden holder = heap.MakeHeld(0, kConservative, (2 + kItems) * sizeof(uint64_t));
  heap.CollectAll();
  const std::vector<Hidden> quarter = MakeEveryNth(heap, holder, kItems, 4);
  heap.CollectYoung();
  EXPECT_EQ(CountOn(heap, PagesOf(quarter), kItems), 0u);
  heap.CollectYoung();
  EXPECT_EQ(CountOn(heap, PagesOf(quarter), kItems), 0u);
  for (const Hidden& item : quarter) ASSERT_TRUE(heap.IsKept(item));
  heap.CollectAll();
  EXPECT_GE(CountOn(heap, PagesOf(quarter), kItems), kItems / 2);
  for (const Hidden& item : quarter) ASSERT_TRUE(heap.IsKept(item));
  heap.collector().CheckInvariants();
}

TEST_P(Minor, NothingIsAllocatedBetweenOldObjectsWhereAFullCycleFindsLittleRoom) {
  constexpr size_t kSlots = kPageBytes / kItemBytes;
  constexpr size_t kItems = 20 * kSlots;
  MinorHeap heap(Options());
  const Hidden holder = heap.MakeHeld(0, kConservative, (2 + kItems) * sizeof(uint64_t));
  const std::vector<Hidden> items = MakeEveryNth(heap, holder, kItems, 1);
  for (size_t i = 0; i < items.size(); i += 8) Put(WordOf(holder, 2 + i), nullptr);
  heap.CollectAll();
  std::vector<Hidden> inner(items.begin() + kSlots, items.end() - kSlots);  // Of pages that are quite full.
  EXPECT_EQ(CountOn(heap, PagesOf(inner), kItems), 0u);
  EXPECT_LE(heap.collector().stats().live_objects, kItems * 7 / 8 + 100);
}

// ---- Explicit frees -------------------------------------------------------------------------------------------------

void Free(MinorHeap& heap, const Hidden& object) {
  heap.Do([&](AttachedMutator& mutator) { heap.collector().Free(mutator.mutator(), object.get()); });
}

TEST_P(Minor, SlotsOfOldObjectsThatAreFreedComeBackWithAFullCycle) {
  constexpr size_t kSlots = kPageBytes / kItemBytes;
  constexpr size_t kItems = 20 * kSlots;
  MinorHeap heap(Options());
  const Hidden holder = heap.MakeHeld(0, kConservative, (2 + kItems) * sizeof(uint64_t));
  const std::vector<Hidden> items = MakeEveryNth(heap, holder, kItems, 1);
  heap.CollectAll();
  heap.CollectYoung();
  std::vector<Hidden> freed;
  for (size_t i = 0; i < kItems; ++i) {
    if (i % 8 == 0) continue;
    Put(WordOf(holder, 2 + i), nullptr);
    freed.push_back(items[i]);
  }
  heap.Do([&](AttachedMutator& mutator) {
    for (const Hidden& item : freed) heap.collector().Free(mutator.mutator(), item.get());
  });
  EXPECT_FALSE(heap.Lives(freed[0]));
  heap.CollectYoung();
  EXPECT_FALSE(heap.Lives(freed[0]));
  EXPECT_EQ(heap.collector().stats().live_objects / 100, (kItems / 8 + 2) / 100);
  for (size_t i = 0; i < kItems; i += 8) ASSERT_TRUE(heap.IsKept(items[i]));
  heap.collector().CheckInvariants();
  heap.CollectAll();
  EXPECT_GE(CountOn(heap, PagesOf(freed), kItems), kItems / 2);
  for (size_t i = 0; i < kItems; i += 8) ASSERT_TRUE(heap.IsKept(items[i]));
}

TEST_P(Minor, PagesOfOldObjectsGoBackWhenAllAreFreed) {
  constexpr size_t kItems = 100 * kPageBytes / kItemBytes;
  MinorHeap heap(Options());
  const Hidden holder = heap.MakeHeld(0, kConservative, (2 + kItems) * sizeof(uint64_t));
  const std::vector<Hidden> items = MakeEveryNth(heap, holder, kItems, 1);
  heap.CollectAll();
  heap.CollectYoung();
  const size_t used_bytes = heap.heap().heap().page_heap().used_bytes();
  heap.Do([&](AttachedMutator& mutator) {
    for (size_t i = 0; i < kItems; ++i) {
      Put(WordOf(holder, 2 + i), nullptr);
      heap.collector().Free(mutator.mutator(), items[i].get());
    }
  });
  EXPECT_LE(heap.heap().heap().page_heap().used_bytes(), used_bytes - kItems * kItemBytes * 9 / 10);
  heap.collector().CheckInvariants();
}

// Before they are swept, and afterwards.
TEST_F(MinorAlone, OldLargeAndHugeObjectsThatAreFreedAreNotCountedAnyMore) {
  constexpr size_t kLittleBytes = 40'000;  // Garbage that a stack holds.
  for (const size_t bytes : {size_t{100'000}, kHugeBytes}) {
    SCOPED_TRACE(bytes);
    MinorHeap heap(MinorOptions(Helped::kNo));  // Nobody sweeps meanwhile.
    const Hidden holder = heap.MakeHeld(0);
    const Hidden before = heap.MakeHeld(1, kConservative, bytes);
    const Hidden after = heap.MakeHeld(2, kConservative, bytes);
    heap.CollectAll();
    const size_t live_bytes = heap.collector().stats().live_bytes;
    const size_t taken_bytes = AlignUp(bytes, kPageBytes);
    heap.Do([&](AttachedMutator& mutator) {
      heap.AwaitCycle(mutator);
      heap.held(1) = nullptr;
      heap.collector().Free(mutator.mutator(), before.get());
      heap.Sweep(mutator);
    });
    EXPECT_FALSE(heap.Lives(before));
    heap.CollectYoung();
    EXPECT_LE(heap.collector().stats().live_bytes, live_bytes - taken_bytes + kLittleBytes);
    EXPECT_GE(heap.collector().stats().live_bytes, live_bytes - taken_bytes);
    heap.held(2) = nullptr;
    Free(heap, after);
    EXPECT_FALSE(heap.Lives(after));
    heap.CollectYoung();
    EXPECT_LE(heap.collector().stats().live_bytes, live_bytes - 2 * taken_bytes + kLittleBytes);
    EXPECT_TRUE(heap.IsKept(holder));
    heap.collector().CheckInvariants();
  }
}

// ---- Objects whose trace functions read other memory ----------------------------------------------------------------

// An object of this kind refers to what stands outside of the heap and of all roots.
struct Outside {
  Collector* collector = nullptr;
  std::atomic<uintptr_t> hidden{~uintptr_t{0}};

  static bool Trace(void* context, void* object, size_t, acre_tracer* tracer) {
    auto& outside = *static_cast<Outside*>(context);
    auto* const noted = static_cast<uint64_t*>(object) + 2;
    if (outside.collector->PutOff(reinterpret_cast<uintptr_t>(object), noted)) return true;
    tracer->Visit(~outside.hidden);
    return true;
  }
  Kind AddTo(MinorHeap& heap) {
    collector = &heap.collector();
    Kind kind = 0;
    EXPECT_EQ(heap.collector().kinds().AddFunction(&Outside::Trace, this, &kind), Status::kOk);
    return kind;
  }
};

// Nobody writes to the object, nor to any other that is old.
TEST_P(Minor, WhatAnOldObjectRefersToOutsideOfTheHeapLives) {
  for (const size_t bytes : {kItemBytes, size_t{100'000}}) {
    SCOPED_TRACE(bytes);
    const auto outside = std::make_unique<Outside>();
    MinorHeap heap(Options());
    const Hidden object = heap.MakeHeld(0, outside->AddTo(heap), bytes);
    heap.CollectAll();
    WeakCell* last = nullptr;
    for (int round = 0; round < 5; ++round) {
      const Hidden item = heap.Make();
      const Hidden child = heap.Make();
      Put(item.get(), child);
      outside->hidden = item.bits();
      WeakCell* const lost = heap.Watch(heap.Make());
      heap.CollectYoung();
      EXPECT_TRUE(heap.IsKept(item)) << round;
      EXPECT_TRUE(heap.IsKept(child)) << round;
      EXPECT_TRUE(MinorHeap::IsDead(lost)) << round;
      last = heap.Watch(child);
      if (round == 2) heap.CollectAll();
    }
    outside->hidden = ~uintptr_t{0};
    heap.CollectAll();
    EXPECT_TRUE(MinorHeap::IsDead(last));
    EXPECT_TRUE(heap.Lives(object));
  }
}

// It comes to be old by a minor cycle.
TEST_P(Minor, WhatAYoungObjectRefersToOutsideOfTheHeapLives) {
  const auto outside = std::make_unique<Outside>();
  MinorHeap heap(Options());
  const Kind kind = outside->AddTo(heap);
  heap.CollectAll();
  (void)heap.MakeHeld(0, kind);
  for (int round = 0; round < 5; ++round) {
    const Hidden item = heap.Make();
    outside->hidden = item.bits();
    heap.CollectYoung();
    EXPECT_TRUE(heap.IsKept(item)) << round;
  }
}

// Another object, of a kind without a function, may lie there then.
TEST_P(Minor, AnObjectThatIsFreedIsNotTracedAnyMore) {
  for (const size_t bytes : {kItemBytes, size_t{100'000}}) {
    SCOPED_TRACE(bytes);
    const auto outside = std::make_unique<Outside>();
    MinorHeap heap(Options());
    const Kind kind = outside->AddTo(heap);
    const Hidden object = heap.MakeHeld(0, kind, bytes);
    heap.CollectAll();
    heap.CollectYoung();
    const Hidden item = heap.MakeHeld(1);
    outside->hidden = item.bits();
    heap.held(0) = nullptr;
    Free(heap, object);
    heap.Do([&](AttachedMutator& mutator) {
      for (int i = 0; i < 100'000 && heap.held(2) != object.get(); ++i) {
        heap.held(2) = MinorHeap::MakeBy(mutator, kConservative, bytes).get();
      }
    });
    ASSERT_EQ(heap.held(2), object.get());
    heap.CollectYoung();
    WeakCell* const cell = heap.Watch(item);
    heap.held(1) = nullptr;
    heap.CollectYoung();
    EXPECT_TRUE(heap.IsKept(object));
    heap.CollectAll();
    EXPECT_TRUE(MinorHeap::IsDead(cell));
    EXPECT_TRUE(heap.IsKept(object));
  }
}

// ---- Ends -----------------------------------------------------------------------------------------------------------

TEST_P(Minor, WeakCellsOfNewObjectsAreClearedAndOfOldOnesNotUntilAFullCycle) {
  MinorHeap heap(Options());
  const Hidden holder = heap.MakeHeld(0);
  WeakCell* const old = heap.Watch(heap.MakeHeld(1));
  heap.CollectAll();
  WeakCell* const lost = heap.Watch(heap.Make());
  const Hidden item = heap.Make();
  WeakCell* const kept = heap.Watch(item);
  Put(holder.get(), item);
  heap.held(1) = nullptr;
  heap.CollectYoung();
  EXPECT_TRUE(MinorHeap::IsDead(lost));
  EXPECT_TRUE(WeakCells::Get(*kept) == item.get());
  EXPECT_FALSE(MinorHeap::IsDead(old));
  heap.CollectAll();
  EXPECT_TRUE(MinorHeap::IsDead(old));
  EXPECT_TRUE(WeakCells::Get(*kept) == item.get());
}

TEST_P(Minor, ANewValueLivesByItsKeyOldOrNew) {
  MinorHeap heap(Options());
  Ephemerons& ephemerons = heap.collector().ends().ephemerons();
  const Hidden old_key = heap.MakeHeld(0);
  const Hidden old_value = heap.MakeHeld(5);
  heap.CollectAll();
  const Hidden new_key = heap.MakeHeld(1);
  const Hidden values[] = {heap.Make(), heap.Make()};
  Ephemeron* const by_old = ephemerons.Create(old_key.get(), values[0].get());
  Ephemeron* const by_new = ephemerons.Create(new_key.get(), values[1].get());
  const Hidden lost_key = heap.Make();
  WeakCell* const lost_value = heap.Watch(heap.Make());
  Ephemeron* const by_lost = ephemerons.Create(lost_key.get(), WeakCells::Get(*lost_value));
  Ephemeron* const of_old_value = ephemerons.Create(heap.Make().get(), old_value.get());
  for (int cycle = 0; cycle < 2; ++cycle) {
    heap.CollectYoung();
    for (const Hidden& value : values) EXPECT_TRUE(heap.IsKept(value)) << cycle;
    EXPECT_TRUE(Ephemerons::Value(*by_old) == values[0].get());
    EXPECT_TRUE(Ephemerons::Value(*by_new) == values[1].get());
    EXPECT_TRUE(Ephemerons::Key(*by_lost) == nullptr);
    EXPECT_TRUE(MinorHeap::IsDead(lost_value));
    EXPECT_TRUE(Ephemerons::Key(*of_old_value) == nullptr) << "an old value says nothing of the key";
  }
  const Hidden later = heap.Make();
  Ephemerons::SetValue(*by_old, later.get());
  heap.CollectYoung();
  EXPECT_TRUE(heap.IsKept(later));
  heap.held(0) = nullptr;
  heap.CollectYoung();
  EXPECT_TRUE(Ephemerons::Value(*by_old) == later.get());
  heap.CollectAll();
  EXPECT_TRUE(Ephemerons::Key(*by_old) == nullptr);
  EXPECT_TRUE(Ephemerons::Value(*by_new) == values[1].get());
}

TEST_P(Minor, FinalizersAndCleanupsOfNewObjectsComeWithAMinorCycleAndOfOldOnesWithAFullOne) {
  struct Call {
    static void Finalize(void* object, void* sum) {
      const auto* child = *static_cast<const uint64_t* const*>(object);
      *static_cast<uint64_t*>(sum) += child[1];
    }
    static void CleanUp(void* count) { ++*static_cast<int*>(count); }
  };
  MinorHeap heap(Options());
  Ends& ends = heap.collector().ends();
  uint64_t sum = 0;
  int cleaned = 0;
  const auto run_all = [&] {
    heap.Do([&](AttachedMutator&) {
      (void)ends.finalizers().Run(SIZE_MAX);
      (void)ends.cleanups().Run(SIZE_MAX);
    });
  };
  const auto make = [&](size_t root) {
    heap.Do([&](AttachedMutator& mutator) {
      const Hidden object = MinorHeap::MakeBy(mutator);
      Put(object.get(), MinorHeap::MakeBy(mutator));
      ASSERT_TRUE(ends.finalizers().Set(object.get(), &Call::Finalize, &sum));
      heap.held(root) = object.get();
      heap.held(root + 1) = mutator.Allocate(kPlain, 100);
      ASSERT_NE(ends.cleanups().Add(heap.held(root + 1), &Call::CleanUp, &cleaned).record, nullptr);
    });
  };
  const auto drop = [&](size_t root) { heap.held(root) = heap.held(root + 1) = nullptr; };
  make(0);
  heap.CollectAll();
  make(2);
  drop(2);
  drop(0);
  heap.CollectYoung();
  heap.CollectYoung();  // What waits to be finalized is kept, with what it holds.
  run_all();
  EXPECT_EQ(sum, testing::kItemSign);
  EXPECT_EQ(cleaned, 1);
  heap.CollectYoung();
  run_all();
  EXPECT_EQ(cleaned, 1);
  heap.CollectAll();
  heap.CollectYoung();
  run_all();
  EXPECT_EQ(sum, 2 * testing::kItemSign);
  EXPECT_EQ(cleaned, 2);
}

}  // namespace
}  // namespace acre
