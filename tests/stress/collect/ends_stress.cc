// The ends of objects under threads: objects that are held must keep their weak references, ephemerons and finalizers; of
// those that were dropped all must have ended after the last cycle, each finalizer and cleanup having run once.
//
// ACRE_STRESS_SECONDS is the length of the whole, TEST_SEED repeats the choices, with ACRE_STRESS_TRACKER=barrier cycles
// mark beside the threads.

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <thread>
#include <vector>

#include "tests/support/allocator/collected_heap.h"
#include "tests/support/seed.h"

namespace acre {
namespace {

using testing::AttachedMutator;
using testing::CollectedHeap;
using testing::Random;

struct Object {
  uint64_t number;
  uint64_t check;  // The complement.
};

// What is known of an object, outside of the heap. It stays until the end.
struct Fate {
  uint64_t number = 0;
  std::atomic<bool> is_held{true};
  std::atomic<int> finalized{0};
  std::atomic<int> cleaned{0};
  bool has_finalizer = false;
  bool has_cleanup = false;
  WeakCell* weak = nullptr;
  Ephemeron* ephemeron = nullptr;  // Keyed by the object; its value is held by nothing else.
  WeakCell* weak_to_value = nullptr;
};

bool IsWhole(const void* memory, uint64_t number) {
  const auto* object = static_cast<const Object*>(memory);
  return object->number == number && object->check == ~number;
}

class Thread {
 public:
  static constexpr size_t kSlots = 64;

  Thread(CollectedHeap& heap, uint64_t seed) : heap_(heap), random_(seed) {
    for (RootWord& root : roots_) heap_.roots().Add(root);
  }
  ~Thread() {
    for (RootWord& root : roots_) heap_.roots().Remove(root);
  }
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;

  void Run(std::chrono::steady_clock::time_point end) {
    while (std::chrono::steady_clock::now() < end) {
      AttachedMutator mutator(heap_);
      for (int step = 0; step < 500; ++step) Step(mutator);
    }
    AttachedMutator mutator(heap_);  // Roots are written by who can be stopped.
    for (size_t slot = 0; slot < kSlots; ++slot) Drop(slot);
  }

  std::deque<Fate>& fates() { return fates_; }

 private:
  Ends& ends() { return heap_.collector().ends(); }

  [[gnu::noinline]] Object* Make(AttachedMutator& mutator, uint64_t number) {
    auto* object = static_cast<Object*>(mutator.Allocate(kConservative, sizeof(Object) + 16 * random_.Below(8)));
    if (object == nullptr) std::abort();
    *object = {number, ~number};
    return object;
  }

  [[gnu::noinline]] void Step(AttachedMutator& mutator) {
    const size_t slot = random_.Below(kSlots);
    if (held_[slot] == nullptr) {
      Hold(mutator, slot);
    } else if (random_.OneIn(3)) {
      Drop(slot);
    } else {
      Check(slot);
    }
    for (uint64_t garbage = random_.Below(20); garbage > 0; --garbage) (void)Make(mutator, 0);
    if (random_.OneIn(100)) ends().finalizers().Run(random_.Below(10));
    if (random_.OneIn(100)) ends().cleanups().Run(random_.Below(10));
    if (random_.OneIn(10'000)) mutator.Collect();  // Most cycles begin by themselves.
  }

  [[gnu::noinline]] void Hold(AttachedMutator& mutator, size_t slot) {
    Fate& fate = fates_.emplace_back();
    fate.number = fates_.size();
    Object* object = Make(mutator, fate.number);
    roots_[slot].object = object;
    held_[slot] = &fate;
    fate.weak = ends().weak_cells().Create(object);
    ASSERT_NE(fate.weak, nullptr);
    if (random_.OneIn(2)) {
      Object* value = Make(mutator, fate.number);
      fate.weak_to_value = ends().weak_cells().Create(value);
      fate.ephemeron = ends().ephemerons().Create(object, value);
      ASSERT_NE(fate.weak_to_value, nullptr);
      ASSERT_NE(fate.ephemeron, nullptr);
    }
    if (random_.OneIn(2)) {
      fate.has_finalizer = ends().finalizers().Set(
          object,
          [](void* dying, void* context) {
            auto& its = *static_cast<Fate*>(context);
            if (its.is_held || !IsWhole(dying, its.number)) std::abort();
            ++its.finalized;
          },
          &fate);
      ASSERT_TRUE(fate.has_finalizer);
    }
    if (random_.OneIn(2)) {
      const CleanupHandle handle = ends().cleanups().Add(
          object,
          [](void* context) {
            auto& its = *static_cast<Fate*>(context);
            if (its.is_held || (its.has_finalizer && its.finalized == 0)) std::abort();
            ++its.cleaned;
          },
          &fate);
      ASSERT_NE(handle.record, nullptr);
      fate.has_cleanup = true;
    }
  }

  void Drop(size_t slot) {
    if (held_[slot] == nullptr) return;
    held_[slot]->is_held = false;
    held_[slot] = nullptr;
    roots_[slot].object = nullptr;
  }

  [[gnu::noinline]] void Check(size_t slot) {
    const Fate& fate = *held_[slot];
    ASSERT_EQ(WeakCells::Get(*fate.weak), roots_[slot].object);
    ASSERT_TRUE(IsWhole(roots_[slot].object, fate.number));
    if (fate.ephemeron == nullptr) return;
    ASSERT_EQ(Ephemerons::Key(*fate.ephemeron), roots_[slot].object);
    const void* value = Ephemerons::Value(*fate.ephemeron);
    ASSERT_NE(value, nullptr);
    ASSERT_TRUE(IsWhole(value, fate.number));
    ASSERT_EQ(WeakCells::Get(*fate.weak_to_value), value);
  }

  CollectedHeap& heap_;
  Random random_;
  std::array<RootWord, kSlots> roots_ = {};
  std::array<Fate*, kSlots> held_ = {};
  std::deque<Fate> fates_;
};

class EndsStress : public ::testing::TestWithParam<size_t> {};

TEST_P(EndsStress, WhatIsHeldKeepsItsEndsAndTheRestEndsOnce) {
  const char* text = std::getenv("ACRE_STRESS_SECONDS");
  const auto length = std::chrono::milliseconds(text == nullptr ? 2000 : 1000 * std::atoi(text) / 4);
  CollectorOptions options = testing::OptionsOfEnvironment();
  options.min_trigger_bytes = 256 * kKiB;
  testing::SetTrackerOfEnvironment(&options);
  CollectedHeap heap(options);
  const uint64_t seed = testing::Seed("ends");
  std::vector<std::unique_ptr<Thread>> parts;
  for (size_t i = 0; i < GetParam(); ++i) parts.push_back(std::make_unique<Thread>(heap, seed + i));
  {
    std::vector<std::thread> threads;
    const auto end = std::chrono::steady_clock::now() + length;
    for (auto& part : parts) threads.emplace_back([&part, end] { part->Run(end); });
    for (std::thread& thread : threads) thread.join();
  }
  // Finalizers first, then what they kept; from a thread with nothing on its stack.
  testing::OnFreshThread(heap, [&](AttachedMutator& mutator) {
    for (int round = 0; round < 3; ++round) {
      mutator.Collect();
      while (heap.collector().ends().finalizers().Run(100) > 0) {
      }
      while (heap.collector().ends().cleanups().Run(100) > 0) {
      }
    }
  });
  size_t fates = 0;
  size_t late = 0;
  for (const auto& part : parts) {
    for (Fate& fate : part->fates()) {
      ++fates;
      EXPECT_LE(fate.finalized, 1);
      EXPECT_LE(fate.cleaned, 1);
      const bool has_ended = WeakCells::Get(*fate.weak) == nullptr && fate.finalized == fate.has_finalizer &&
                             fate.cleaned == fate.has_cleanup &&
                             (fate.ephemeron == nullptr || (Ephemerons::Key(*fate.ephemeron) == nullptr &&
                                                            WeakCells::Get(*fate.weak_to_value) == nullptr));
      late += !has_ended;
      heap.collector().ends().weak_cells().Destroy(fate.weak);
      if (fate.ephemeron == nullptr) continue;
      heap.collector().ends().weak_cells().Destroy(fate.weak_to_value);
      heap.collector().ends().ephemerons().Destroy(fate.ephemeron);
    }
  }
  EXPECT_GT(fates, 100u);
  EXPECT_LE(late, 2u) << "of " << fates << ": a stale word on the last stack may keep one or two";
  EXPECT_GT(heap.collector().stats().cycles, 3u);
  EXPECT_EQ(testing::HasMarkedBeside(heap, options), testing::MarksBeside(options));
}

INSTANTIATE_TEST_SUITE_P(Threads, EndsStress, ::testing::Values(1, 2, 4, 8));

}  // namespace
}  // namespace acre
