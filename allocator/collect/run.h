#pragma once

// The mutator of a collected heap, and the runs of free slots that it consumes.
//
// Compiled code allocates by the same few instructions as Bump.

#include <cstddef>
#include <cstdint>

#include "allocator/collect/kind.h"
#include "allocator/collect/world.h"
#include "allocator/size/size_class.h"

namespace acre {

struct CollectedMutator : Standing {
  bool is_in_shortage = false;  // Its thread is in a callback for want of memory.
  bool is_collecting = false;  // Its thread is in a stop that it has called for.

  bool HasRow(uint32_t number) const { return rows[number] != kNoRuns; }

  void* Bump(Kind kind, SizeClass size_class) {
    Run& run = rows[NumberOf(kind)][size_class];
    const uintptr_t object = run.cursor;
    const size_t slot_bytes = kSizeClasses[size_class].slot_bytes;
    if (slot_bytes > run.limit - object) [[unlikely]] return nullptr;
    run.cursor = object + slot_bytes;
    return reinterpret_cast<void*>(object);
  }

  template <class Visit>
  void ForEachRun(Visit visit) {
    for (uint32_t number = 0; number < kMaxKinds; ++number) {
      if (!HasRow(number)) continue;
      for (uint32_t size_class = 1; size_class < kSizeClassCount; ++size_class) {
        visit(number, static_cast<SizeClass>(size_class), rows[number][size_class]);
      }
    }
  }
};

}  // namespace acre
