#pragma once

// What the ends of objects ask about an object: whether a word is the start of one, and whether marking has reached it.
//
// Threads: IsStart with the lock of the ends held, since it takes one that is taken in regions; IsMarked with the world
// stopped.

#include <cstdint>

#include "allocator/collect/large_pool.h"
#include "allocator/collect/mark_bits.h"
#include "allocator/collect/resolve.h"

namespace acre {

class Liveness {
 public:
  constexpr Liveness(const ChunkTable& table, LargePool& large_pool) : table_(table), large_pool_(large_pool) {}

  // Whether an object could start here: of a slot that is free it does not know that.
  bool IsStart(uintptr_t word) const {
    Resolved resolved;
    if (Resolve(table_, word, &resolved)) return ObjectOf(resolved.grey) == word;
    return table_.Use(word) == ChunkUse::kHuge && large_pool_.FindHuge(word).base == word;
  }

  // REQUIRES: the start of an object.
  bool IsMarked(uintptr_t object) const {
    Resolved resolved;
    if (Resolve(table_, object, &resolved)) return acre::IsMarked(resolved);
    return large_pool_.FindHuge(object).is_marked;
  }

 private:
  const ChunkTable& table_;
  LargePool& large_pool_;
};

}  // namespace acre
