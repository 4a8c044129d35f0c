#pragma once

// What stands behind the types of acre/acre.h.

#include "acre/acre.h"
#include "allocator/base/units.h"
#include "allocator/collect/collector.h"
#include "allocator/heap/span_heap.h"

struct acre_heap {
  acre_heap(acre::ChunkTable& table, const acre_options& chosen);

  const acre_options options;
  acre::SpanHeap spans;
  acre::Collector collector;
  acre_kind stack_kind = ACRE_CONSERVATIVE;
};

struct acre_mutator : acre::CollectedMutator {
  explicit acre_mutator(acre_heap& its_heap) : heap(&its_heap) {}

  acre_heap* const heap;
};

namespace acre {

// What the option memory_limit_bytes comes to: options.cc.
inline constexpr size_t kLeastMemoryLimit = 1 * kMiB;
size_t MemoryLimitFor(size_t option_bytes);

// The trace function of acre_stack; its context is the heap.
acre_trace_function TraceStack;

// What a function does first that takes a mutator. In builds with asserts: it is the calling thread's own, and neither
// blocking nor collecting.
inline void CheckUse(const acre_mutator* mutator, const char* function) {
#if ACRE_ASSERTS
  if (mutator->owner.load(std::memory_order_relaxed) != os::ThreadSerial()) {
    os::Fatal(function, ": the mutator is not this thread's");
  }
  if (mutator->state.load(std::memory_order_relaxed) != Standing::kRunning) {
    os::Fatal(function, ": the thread is in a blocking call");
  }
  if (mutator->is_collecting) os::Fatal(function, ": called from within a collection (a trace function or a callback)");
#else
  (void)mutator;
  (void)function;
#endif
}

}  // namespace acre
