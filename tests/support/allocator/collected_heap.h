#pragma once

// A heap with a collector on the kernel's memory, and a mutator of the calling thread.

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>

#include "allocator/collect/collector.h"
#include "os/debug_options.h"
#include "os/memory_calls.h"
#include "os/page_watch.h"
#include "tests/support/fresh_thread.h"

namespace acre::testing {

// The defaults, with what ACRE_DEBUG says.
inline CollectorOptions OptionsOfEnvironment() {
  CollectorOptions options;
  options.debug = os::ReadDebugOptions();
  return options;
}

// By ACRE_STRESS_TRACKER, "barrier", "pages" or "sticky", which is pages with minor collections: cycles mark beside mutators,
// however small the heap is.
inline void SetTrackerOfEnvironment(CollectorOptions* options) {
  const char* text = std::getenv("ACRE_STRESS_TRACKER");
  if (text == nullptr || std::strcmp(text, "stopped") == 0) return;
  options->minor_collections = std::strcmp(text, "sticky") == 0;
  const bool has_pages = options->minor_collections || std::strcmp(text, "pages") == 0;
  options->tracker = has_pages ? Tracker::kPages : Tracker::kBarrier;
  options->helped_bytes = 0;
}

// Whether there will be such cycles: pages cannot be watched everywhere.
inline bool MarksBeside(const CollectorOptions& options) {
  if (options.tracker != Tracker::kPages) return options.tracker == Tracker::kBarrier;
  os::PageWatch watch;
  return watch.Open() == 0;
}

class CollectedHeap {
 public:
  explicit CollectedHeap(const CollectorOptions& options = OptionsOfEnvironment())
      : parts_(std::make_unique<Parts>(options)) {
    EXPECT_TRUE(parts_->collector.Prepare());
  }
  CollectedHeap(const CollectedHeap&) = delete;
  CollectedHeap& operator=(const CollectedHeap&) = delete;

  SpanHeap& heap() { return parts_->heap; }
  Collector& collector() { return parts_->collector; }
  Roots& roots() { return collector().roots(); }

 private:
  // Not on the stack, which is scanned: some of its words are addresses of objects, such as the lowest chunk's.
  struct Parts {
    explicit Parts(const CollectorOptions& options)
        : heap(os::KernelMemoryCalls(), std::numeric_limits<size_t>::max(), table), collector(heap, options) {}

    ChunkTable table{};  // Zeroed: it has no constructor, since in static memory it need not be touched.
    SpanHeap heap;
    Collector collector;
  };

  std::unique_ptr<Parts> parts_;
};

// A mutator for as long as it lives, of the thread that made it.
class AttachedMutator {
 public:
  explicit AttachedMutator(CollectedHeap& heap) : heap_(heap) { EXPECT_TRUE(heap.collector().Attach(mutator_)); }
  ~AttachedMutator() { heap_.collector().Detach(mutator_); }
  AttachedMutator(const AttachedMutator&) = delete;
  AttachedMutator& operator=(const AttachedMutator&) = delete;

  void* Allocate(Kind kind, size_t bytes) { return heap_.collector().Allocate(mutator_, kind, bytes); }
  void Collect() { heap_.collector().Collect(mutator_); }
  CollectedMutator& mutator() { return mutator_; }

 private:
  CollectedHeap& heap_;
  CollectedMutator mutator_;
};

// On a thread that is gone afterwards, with its stack: no stale word holds what it leaves.
template <class Body>
void OnFreshThread(CollectedHeap& heap, Body body) {
  OnFreshThread([&] {
    AttachedMutator mutator(heap);
    body(mutator);
  });
}

inline void CollectOnFreshThread(CollectedHeap& heap) {
  OnFreshThread(heap, [](AttachedMutator& mutator) { mutator.Collect(); });
}

// Whether cycles have marked beside mutators, minor ones where these are wanted. Threads that ask for cycles all the time may
// have left no time for one: then garbage is allocated until one comes.
inline bool HasMarkedBeside(CollectedHeap& heap, const CollectorOptions& options) {
  constexpr size_t kMostBytes = 1 * kGiB;
  constexpr size_t kBytes = 4000;
  const auto count = [&] {
    const CycleStats stats = heap.collector().stats();
    return options.minor_collections ? stats.minor_cycles : stats.concurrent_cycles;
  };
  if (options.tracker == Tracker::kStopped) return count() > 0;
  OnFreshThread(heap, [&](AttachedMutator& mutator) {
    for (size_t done = 0; done < kMostBytes && count() == 0; done += kBytes) (void)mutator.Allocate(kPlain, kBytes);
  });
  return count() > 0;
}

// Addresses that the collector cannot take for pointers, for tests that hold objects without keeping them.
class Hidden {
 public:
  Hidden() = default;
  explicit Hidden(const void* object) : bits_(~reinterpret_cast<uintptr_t>(object)) {}
  void* get() const { return reinterpret_cast<void*>(~bits_); }
  uintptr_t bits() const { return bits_; }

 private:
  uintptr_t bits_ = ~uintptr_t{0};
};

}  // namespace acre::testing
