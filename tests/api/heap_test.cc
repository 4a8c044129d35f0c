// The C++ interface of the collected heap, by what acre/heap.h and acre/roots.h promise.

#include <acre/heap.h>
#include <acre/roots.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/fresh_thread.h"

namespace acre {
namespace {

struct Pair {
  Pair() = default;
  Pair(Pair* a, Pair* b) : first(a), second(b) {}
  Ref<Pair> first;
  Ref<Pair> second;
  template <class Visitor>
  void Trace(Visitor& visit) const {
    visit(first);
    visit(second);
  }
};

struct Mapped {
  static constexpr uint64_t kPointerBitmap = 2;
  uint64_t number;
  Pair* pair;
};

struct Bytes {
  using PointerFree = void;
  char text[48];
};

// On a thread of its own, so that nothing of it stays on the caller's stack.
template <class Body>
void Elsewhere(Heap& heap, Body body) {
  testing::OnFreshThread([&] {
    Mutator mutator(heap);
    ASSERT_TRUE(mutator.is_valid());
    body(mutator);
  });
}

size_t LiveObjects(Heap& heap) {
  Elsewhere(heap, [](Mutator& mutator) { mutator.Collect(); });
  return heap.statistics().live_objects;
}

Pair* MakeList(Mutator& mutator, size_t length) {
  Pair* list = nullptr;
  for (size_t i = 0; i < length; ++i) list = mutator.New<Pair>(list, nullptr);
  return list;
}

TEST(Heap, TypedObjectsOfEveryFormKeepWhatTheyPointTo) {
  Heap heap;
  ASSERT_TRUE(heap.is_valid()) << acre_status_text(heap.status());
  Root<Pair> traced(heap);
  Root<Mapped> mapped(heap);
  Root<Pair*> conservative(heap);
  Root<Bytes> bytes(heap);
  Elsewhere(heap, [&](Mutator& mutator) {
    traced.Set(mutator, MakeList(mutator, 1000));
    mapped.Set(mutator, mutator.NewArray<Mapped>(10));
    acre_write(mutator.raw(), &mapped.get()[7].pair, MakeList(mutator, 500));
    conservative.Set(mutator, mutator.NewArray<Pair*>(100));
    acre_write(mutator.raw(), &conservative.get()[99], MakeList(mutator, 200));
    bytes.Set(mutator, mutator.New<Bytes>());
    Pair* hidden = MakeList(mutator, 400);
    std::memcpy(bytes.get()->text, &hidden, sizeof hidden);
  });
  const size_t live = LiveObjects(heap);
  EXPECT_GE(live, 1000 + 1 + 500 + 1 + 200 + 1u);
  EXPECT_LT(live, 1000 + 1 + 500 + 1 + 200 + 1 + 100u) << "a pointer-free object keeps nothing";
  size_t length = 0;
  for (Pair* pair = traced.get(); pair != nullptr; pair = pair->first.get()) ++length;
  EXPECT_EQ(length, 1000u);
}

TEST(Heap, ObjectsAreZeroedAndAlignedWhateverTheirSize) {
  HeapOptions options;
  options.min_trigger_bytes = 1 << 20;
  Heap heap(options);
  Mutator mutator(heap);
  ASSERT_TRUE(mutator.is_valid());
  for (int round = 0; round < 3; ++round) {
    for (size_t bytes : {0, 1, 16, 17, 100, 1000, 32768, 32769, 1 << 20}) {
      for (int i = 0; i < 20; ++i) {
        auto* object = static_cast<unsigned char*>(mutator.Allocate(ACRE_POINTER_FREE, bytes));
        ASSERT_NE(object, nullptr);
        EXPECT_EQ(reinterpret_cast<uintptr_t>(object) % 16, 0u);
        for (size_t at = 0; at < bytes; ++at) ASSERT_EQ(object[at], 0) << bytes;
        std::memset(object, 0xee, bytes);
      }
    }
    mutator.Collect();
  }
}

TEST(Heap, RootsOfEverySortKeepAndLetGo) {
  Heap heap;
  const auto ranged = std::make_unique<Pair*[]>(8);
  const auto called = std::make_unique<uintptr_t>(0);
  {
    RootRange range(heap, ranged.get(), ranged.get() + 8);
    RootCallback callback(heap, [word = called.get()](Visitor& visit) { visit(reinterpret_cast<void*>(~*word)); });
    Elsewhere(heap, [&](Mutator& mutator) {
      ranged[7] = MakeList(mutator, 1000);
      *called = ~reinterpret_cast<uintptr_t>(MakeList(mutator, 1000));
    });
    EXPECT_GE(LiveObjects(heap), 2000u);
    EXPECT_LT(LiveObjects(heap), 2100u);
  }
  EXPECT_LT(LiveObjects(heap), 100u);
}

TEST(Heap, LocalHandlesOfAParkedMutatorKeep) {
  Heap heap;
  std::thread::id first;
  auto mutator = std::unique_ptr<Mutator>();
  auto local = std::unique_ptr<Local<Pair>>();
  std::thread([&] {
    mutator = std::make_unique<Mutator>(heap);
    local = std::make_unique<Local<Pair>>(*mutator, MakeList(*mutator, 1000));
    mutator->Park();
  }).join();
  EXPECT_GE(LiveObjects(heap), 1000u);
  ASSERT_EQ(mutator->Unpark(), ACRE_OK);
  EXPECT_NE(mutator->New<Pair>(), nullptr);
  EXPECT_EQ(acre_mutator_of_thread(heap.raw()), mutator->raw());
  local.reset();
  mutator.reset();
  EXPECT_LT(LiveObjects(heap), 100u);
}

TEST(Heap, ThreadThatBlocksKeepsWhatItsStackHolds) {
  Heap heap;
  Mutator mutator(heap);
  Pair* list = MakeList(mutator, 1000);
  {
    Blocking blocking(mutator);
    EXPECT_GE(LiveObjects(heap), 1000u);
  }
  size_t length = 0;
  for (Pair* pair = list; pair != nullptr; pair = pair->first.get()) ++length;
  EXPECT_EQ(length, 1000u);
}

TEST(Heap, SecondMutatorOfAThreadIsRefused) {
  Heap heap;
  Heap other;
  Mutator mutator(heap);
  Mutator second(heap);
  EXPECT_EQ(second.status(), ACRE_ALREADY_ATTACHED);
  EXPECT_FALSE(second.is_valid());
  Mutator elsewhere(other);
  EXPECT_TRUE(elsewhere.is_valid()) << acre_status_text(elsewhere.status());
}

TEST(Heap, FreeByHandLookUpAndWalk) {
  Heap heap;
  Mutator mutator(heap);
  auto* pair = mutator.New<Pair>();
  auto* large = mutator.NewArray<char>(100'000);
  acre_object found;
  ASSERT_TRUE(acre_object_at(mutator.raw(), reinterpret_cast<char*>(pair) + 9, &found));
  EXPECT_EQ(found.base, pair);
  EXPECT_EQ(found.bytes, 16u);
  EXPECT_EQ(found.kind, mutator.KindOf<Pair>());
  ASSERT_TRUE(acre_object_at(mutator.raw(), large + 99'999, &found));
  EXPECT_EQ(found.base, large);
  EXPECT_EQ(found.kind, ACRE_POINTER_FREE);
  EXPECT_FALSE(acre_object_at(mutator.raw(), &found, &found));
  struct Seen {
    const void* pair;
    const void* large;
    size_t pairs;
    size_t larges;
    size_t objects;
  } seen{pair, large, 0, 0, 0};
  acre_walk(
      mutator.raw(),
      [](void* context, const acre_object* object) {
        auto* self = static_cast<Seen*>(context);
        self->pairs += object->base == self->pair;
        self->larges += object->base == self->large;
        ++self->objects;
      },
      &seen);
  EXPECT_EQ(seen.pairs, 1u);
  EXPECT_EQ(seen.larges, 1u);
  EXPECT_EQ(seen.objects, heap.statistics().live_objects);
  mutator.Free(pair);
  mutator.Free(large);
  mutator.Free(nullptr);
  EXPECT_FALSE(acre_object_at(mutator.raw(), pair, &found));
  EXPECT_DEATH(mutator.Free(pair), "^acre: ");
}

TEST(Heap, HardLimitAsksTheEmbedderWhoMayUseTheReserve) {
  struct State {
    Root<char>* root;
    int calls;
    bool had_reserve;
  } state{};
  HeapOptions options;
  options.hard_limit_bytes = 64 << 20;
  options.reserve_bytes = 8 << 20;
  options.callback_context = &state;
  options.on_hard_limit = [](void* context, acre_mutator* mutator, size_t wanted) {
    auto* self = static_cast<State*>(context);
    EXPECT_EQ(wanted, size_t{10 << 20});
    self->had_reserve = acre_allocate(mutator, ACRE_POINTER_FREE, 4 << 20) != nullptr;
    return ++self->calls == 1;
  };
  Heap heap(options);
  Mutator mutator(heap);
  std::vector<std::unique_ptr<Root<char>>> roots;
  for (;;) {
    char* block = mutator.NewArray<char>(10 << 20);
    if (block == nullptr) break;
    roots.push_back(std::make_unique<Root<char>>(heap, block));
    ASSERT_LT(roots.size(), 7u);
  }
  EXPECT_GE(roots.size(), 4u);
  EXPECT_EQ(state.calls, 2) << "once it asked for another try";
  EXPECT_TRUE(state.had_reserve);
  EXPECT_LE(heap.statistics().committed_bytes, options.hard_limit_bytes + options.reserve_bytes);
  roots.clear();
  mutator.Collect();
  EXPECT_NE(mutator.NewArray<char>(10 << 20), nullptr);
}

TEST(Heap, TheSoftLimitTellsTheEmbedderWhoMayRaiseIt) {
  struct State {
    Heap* heap = nullptr;
    int calls = 0;
    size_t live_bytes = 0;
  } state;
  HeapOptions options;
  options.memory_limit_bytes = 16 << 20;
  options.callback_context = &state;
  options.on_memory_limit = [](void* context, acre_mutator* mutator, size_t live_bytes) {
    auto* self = static_cast<State*>(context);
    ++self->calls;
    self->live_bytes = live_bytes;
    EXPECT_NE(acre_allocate(mutator, ACRE_POINTER_FREE, 1 << 20), nullptr);
    EXPECT_EQ(self->heap->SetMemoryLimit(32 << 20), ACRE_OK);
  };
  Heap heap(options);
  state.heap = &heap;
  EXPECT_EQ(heap.SetMemoryLimit(1000), ACRE_BAD_ARGUMENT);
  EXPECT_EQ(heap.statistics().memory_limit_bytes, size_t{16} << 20);
  Mutator mutator(heap);
  Root<Pair> kept(heap);
  size_t pairs_at_second = 0;
  for (size_t i = 0; i < 4'000'000 && state.calls < 2; ++i) {
    kept.Set(mutator, mutator.New<Pair>(kept.get(), nullptr));
    if (state.calls == 1 && pairs_at_second == 0) {
      EXPECT_GT(state.live_bytes, size_t{16} << 20);
      EXPECT_EQ(heap.statistics().memory_limit_bytes, size_t{32} << 20);
      pairs_at_second = i;
    }
  }
  EXPECT_EQ(state.calls, 2);
  EXPECT_GT(state.live_bytes, size_t{32} << 20);
  EXPECT_GE(heap.statistics().held_bytes, state.live_bytes);
}

TEST(Heap, TheEnvironmentSetsTheSoftLimitThatTheProgramLeavesOpen) {
  const auto limit_with = [](const char* text, const HeapOptions& options) {
    setenv("ACRE_MEMORY_LIMIT", text, 1);
    const size_t limit = Heap(options).statistics().memory_limit_bytes;
    unsetenv("ACRE_MEMORY_LIMIT");
    return limit;
  };
  const HeapOptions open;
  HeapOptions fixed;
  fixed.memory_limit_bytes = 64 << 20;
  const size_t without = Heap(open).statistics().memory_limit_bytes;
  EXPECT_EQ(limit_with("512M", open), size_t{512} << 20);
  EXPECT_EQ(limit_with("2G", open), size_t{2} << 30);
  EXPECT_EQ(limit_with("none", open), SIZE_MAX);
  EXPECT_EQ(limit_with("auto", open), without);
  EXPECT_EQ(limit_with("512M", fixed), size_t{64} << 20);
  for (const char* text : {"0", "512", "much", ""}) {
    ::testing::internal::CaptureStderr();
    EXPECT_EQ(limit_with(text, open), without);
    EXPECT_EQ(::testing::internal::GetCapturedStderr(),
              std::string("acre: ignoring ACRE_MEMORY_LIMIT=") + text + ": it expects a size of 1M or more, none, or auto\n");
  }
}

TEST(Heap, APinKeepsItsObjectAndWhatIsWrittenIntoIt) {
  for (const acre_tracker_kind tracker : {ACRE_TRACKER_STOPPED, ACRE_TRACKER_BARRIER, ACRE_TRACKER_PAGES}) {
    HeapOptions options;
    options.tracker = tracker;
    Heap heap(options);
    std::unique_ptr<Pin> pin;
    Elsewhere(heap, [&](Mutator& mutator) {
      auto* buffer = static_cast<Pair**>(mutator.Allocate(ACRE_CONSERVATIVE, 4096));
      buffer[100] = MakeList(mutator, 1000);
      pin = std::make_unique<Pin>(mutator, buffer, 4096);
    });
    EXPECT_GE(LiveObjects(heap), 1001u);
    pin.reset();
    EXPECT_LT(LiveObjects(heap), 100u);
  }
}

TEST(Heap, ExternalMemoryMakesCyclesThatRunItsCleanups) {
  Heap heap;
  Mutator mutator(heap);
  constexpr ptrdiff_t kBytes = 1 << 20;
  size_t most = 0;
  for (int i = 0; i < 300; ++i) {
    void* buffer = mutator.Allocate(ACRE_POINTER_FREE, 16);
    ASSERT_NE(buffer, nullptr);
    acre_cleanup_add(
        mutator.raw(), buffer,
        [](void* context) { acre_adjust_external(static_cast<acre_heap*>(context), -kBytes); }, heap.raw());
    heap.AdjustExternal(kBytes);
    (void)mutator.NewArray<char>(100'000);  // Takes new room, and so looks.
    mutator.RunCleanups();
    most = std::max(most, heap.statistics().external_bytes);
  }
  EXPECT_GE(heap.statistics().cycles, 3u);
  EXPECT_LE(most, size_t{100} << 20);
}

TEST(HeapDeathTest, ExternalMemoryIsNeverLessThanNothing) {
  Heap heap;
  heap.AdjustExternal(100);
#if ACRE_ASSERTS
  EXPECT_DEATH(heap.AdjustExternal(-101), "^acre: acre_adjust_external: -101 bytes: more is taken back than there was\n");
  EXPECT_DEATH(heap.AdjustExternal(PTRDIFF_MAX), "^acre: acre_adjust_external: [0-9]+ bytes: more than there are addresses\n");
#else
  heap.AdjustExternal(-101);
  EXPECT_EQ(heap.statistics().external_bytes, 0u);
  heap.AdjustExternal(PTRDIFF_MAX);
  EXPECT_EQ(heap.statistics().external_bytes, size_t{1} << 47);
#endif
}

TEST(Heap, StatisticsFollowTheCycles) {
  Heap heap;
  {
    Mutator mutator(heap);
    Root<Pair> kept(heap, MakeList(mutator, 10'000));
    mutator.Collect();
    mutator.Collect();
  }
  const acre_statistics statistics = heap.statistics();
  EXPECT_EQ(statistics.cycles, 2u);
  EXPECT_GE(statistics.allocated_bytes, 160'000u);
  EXPECT_GT(statistics.committed_bytes, 0u);
  EXPECT_GT(statistics.root_bytes, 0u);
  EXPECT_LE(statistics.longest_stop_ns, statistics.total_stop_ns);
  uint64_t stops = 0;
  for (const uint64_t count : statistics.stops) stops += count;
  EXPECT_EQ(stops, 2u);
}

TEST(HeapDeathTest, MisuseEndsWithOneLine) {
  Heap heap;
  EXPECT_DEATH(
      {
        Mutator mutator(heap);
        acre_heap_destroy(heap.raw());
      },
      "^acre: acre_heap_destroy: a thread is still attached to the heap\n");
  acre_root root = {};
  EXPECT_DEATH(acre_root_remove(heap.raw(), &root), "^acre: a root is removed that is not registered: 0x");
  EXPECT_DEATH(
      {
        Mutator mutator(heap);
        acre_blocking_end(mutator.raw());
      },
      "^acre: acre_blocking_end: no acre_blocking_begin came before\n");
}

// The heap's locks are held meanwhile: were a thread stopped with one of them, those that wait for it in regions would never stop.
TEST(Statistics, AreReadWhileOthersCollectAndAllocate) {
  Heap heap;
  std::atomic<bool> is_over{false};
  const auto attached = [&](auto body) {
    return std::thread([&heap, &is_over, body] {
      Mutator mutator(heap);
      ASSERT_TRUE(mutator.is_valid());
      while (!is_over.load()) body(mutator);
    });
  };
  std::vector<std::thread> threads;
  threads.push_back(attached([&heap](Mutator&) { EXPECT_EQ(heap.statistics().struct_bytes, sizeof(acre_statistics)); }));
  for (int i = 0; i < 2; ++i) {
    threads.push_back(attached([](Mutator& mutator) { EXPECT_NE(mutator.NewArray<Bytes>(1000), nullptr); }));
  }
  Mutator mutator(heap);
  ASSERT_TRUE(mutator.is_valid());
  for (int i = 0; i < 1000; ++i) mutator.Collect();
  is_over = true;
  for (std::thread& thread : threads) thread.join();
}

TEST(Options, HaveNamesDefaultsAndErrors) {
  acre_options options;
  acre_options_init(&options);
  size_t count = 0;
  for (const acre_option* option; (option = acre_option_at(count)) != nullptr; ++count) {
    EXPECT_EQ(acre_options_set(&options, option->name, option->default_value), ACRE_OK) << option->name;
    EXPECT_EQ(acre_options_set(&options, option->name, "many"), ACRE_BAD_ARGUMENT) << option->name;
    EXPECT_EQ(acre_options_set(&options, option->name, ""), ACRE_BAD_ARGUMENT) << option->name;
  }
  EXPECT_EQ(count, 12u);
  acre_options defaults;
  acre_options_init(&defaults);
  EXPECT_EQ(std::memcmp(&options, &defaults, sizeof options), 0) << "the defaults in words are those in numbers";
  EXPECT_EQ(acre_options_set(&options, "gc_percent", "250"), ACRE_OK);
  EXPECT_EQ(options.gc_percent, 250u);
  EXPECT_EQ(acre_options_set(&options, "hard_limit_bytes", "3G"), ACRE_OK);
  EXPECT_EQ(options.hard_limit_bytes, size_t{3} << 30);
  EXPECT_EQ(acre_options_set(&options, "hard_limit_bytes", "99999999999999999999"), ACRE_BAD_ARGUMENT);
  EXPECT_EQ(acre_options_set(&options, "hard_limit_bytes", "20000000000G"), ACRE_BAD_ARGUMENT);
  for (const char* text : {"0", "512", "1023K", "1T", "NONE"}) {
    EXPECT_EQ(acre_options_set(&options, "memory_limit_bytes", text), ACRE_BAD_ARGUMENT) << text;
  }
  EXPECT_EQ(acre_options_set(&options, "memory_limit_bytes", "512M"), ACRE_OK);
  EXPECT_EQ(options.memory_limit_bytes, size_t{512} << 20);
  EXPECT_EQ(acre_options_set(&options, "memory_limit_bytes", "none"), ACRE_OK);
  EXPECT_EQ(options.memory_limit_bytes, SIZE_MAX);
  EXPECT_EQ(acre_options_set(&options, "memory_limit_bytes", "auto"), ACRE_OK);
  EXPECT_EQ(options.memory_limit_bytes, 0u);
  EXPECT_EQ(acre_options_set(&options, "minor_collections", "1"), ACRE_OK);
  EXPECT_TRUE(options.minor_collections);
  for (const char* text : {"9", "1000001", "1ms", "1K"}) {
    EXPECT_EQ(acre_options_set(&options, "pause_target_us", text), ACRE_BAD_ARGUMENT) << text;
  }
  EXPECT_EQ(acre_options_set(&options, "pause_target_us", "250"), ACRE_OK);
  EXPECT_EQ(options.pause_target_us, 250u);
  EXPECT_EQ(acre_options_set(&options, "mark_workers", "65"), ACRE_BAD_ARGUMENT);
  EXPECT_EQ(acre_options_set(&options, "gc_procent", "1"), ACRE_UNKNOWN_OPTION);
  acre_heap* heap = nullptr;
  options.gc_percent = 10'001;
  EXPECT_EQ(acre_heap_create(&options, &heap), ACRE_BAD_ARGUMENT);
  options.gc_percent = 100;
  options.memory_limit_bytes = 512;
  EXPECT_EQ(acre_heap_create(&options, &heap), ACRE_BAD_ARGUMENT);
  options.memory_limit_bytes = 0;
  options.pause_target_us = 0;
  EXPECT_EQ(acre_heap_create(&options, &heap), ACRE_BAD_ARGUMENT);
  options.pause_target_us = 1000;
  options.struct_bytes = 1;
  EXPECT_EQ(acre_heap_create(&options, &heap), ACRE_BAD_ARGUMENT);
}

}  // namespace
}  // namespace acre
