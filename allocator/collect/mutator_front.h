#pragma once

// What a mutator begins with: the part that compiled code and the inline functions of include/acre/ use. Its layout is
// public (acre/internal/inline.h; checked in api/heap.cc).

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "allocator/collect/kind.h"
#include "allocator/collect/slot_set.h"
#include "allocator/size/size_class.h"

namespace acre {

// Slots [cursor, limit) are zeroed and free to be handed out, those up to `end` are this mutator's too. Only the owner
// writes here.
struct Run {
  uintptr_t cursor = 0;
  uintptr_t limit = 0;
  uintptr_t end = 0;
  size_t most_bytes = 0;  // Taken at once the last time.
};

// What a mutator has taken together with a run: further slots of its span. Only the owner writes here.
struct Holes {
  SlotSet slots;
  uint32_t word = kLineWords;  // The first that is not zero; kLineWords: there is none.

  bool is_empty() const { return word == kLineWords; }
};

// By size class.
struct RunRow {
  Run runs[kSizeClassCount];
  Holes holes[kSizeClassCount];
};

// Stands for a row that a mutator does not have yet: there is nothing in it.
inline constexpr RunRow kNoRuns = {};

// A root for as long as the scope that it stands in.
struct LocalRoot {
  LocalRoot* below;
  void* object;
};

struct MutatorFront {
  MutatorFront() {
    for (RunRow*& row : rows) row = const_cast<RunRow*>(&kNoRuns);
  }

  RunRow* rows[kMaxKinds];  // By the number of the kind.
  std::atomic<uint32_t> in_region{0};
  std::atomic<uint32_t> barrier{0};
  std::atomic<uint32_t> requested{0};     // The stop that it is asked for, and
  std::atomic<uint32_t> acknowledged{0};  // the last one that it obeyed.
  LocalRoot* locals = nullptr;            // Only the owner writes here.
};

}  // namespace acre
