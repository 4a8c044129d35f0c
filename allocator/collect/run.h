#pragma once

// The mutator of a collected heap, and the runs of free slots that it consumes.
//
// A mutator takes free slots of a span together, which need not be neighbours (SpanPool::Take): the first neighbours are its
// run, the others are holes, which become the run one after the other, without a lock. Compiled code allocates by the same
// few instructions as Bump.
//
//   R1. The slots of [cursor, end) and of the holes are of one span, their allocation bits are set, and no other mutator
//       has them.
//   R2. No slot is in both.
//   R3. Words of the holes before `word` are zero, and that one is not.

#include <bit>
#include <cstddef>
#include <cstdint>

#include "allocator/base/bits.h"
#include "allocator/collect/kind.h"
#include "allocator/collect/slot_set.h"
#include "allocator/collect/world.h"
#include "allocator/size/size_class.h"
#include "allocator/span/chunk.h"

namespace acre {

// The first hole becomes the run. REQUIRES: there is one; the run is used up; its thread is in a region.
inline void MoveToNextHole(Run& run, Holes& holes, SizeClass size_class) {
  uint64_t* words = holes.slots.bits;
  uint32_t word = holes.word;
  const uint64_t bits = words[word];
  const uint64_t others = bits & (bits + (bits & -bits));  // Without the lowest ones that are neighbours.
  const uint32_t first = word * kWordBits + static_cast<uint32_t>(std::countr_zero(bits));
  uint32_t limit = (word + 1) * kWordBits - static_cast<uint32_t>(std::countl_zero(bits ^ others));
  words[word] = others;
  // At the end of a word it may go on in the next.
  while (words[word] == 0 && ++word < kLineWords) {
    if (limit != word * kWordBits) continue;
    const auto more = words[word] == ~uint64_t{0} ? kWordBits : static_cast<uint32_t>(std::countr_one(words[word]));
    limit += more;
    words[word] &= more == kWordBits ? 0 : ~uint64_t{0} << more;
  }
  holes.word = word;
  const uintptr_t base = BaseOf(holes.slots.span);
  const size_t slot_bytes = kSizeClasses[size_class].slot_bytes;
  run.cursor = run.limit = base + first * slot_bytes;
  run.end = base + limit * slot_bytes;
}

// All that was taken and not handed out.
inline SlotSet UnusedOf(const Run& run, const Holes& holes, SizeClass size_class) {
  SlotSet unused = holes.slots;
  if (run.cursor == run.end) return unused;
  const SizeClassInfo& info = kSizeClasses[size_class];
  const uint32_t first = SlotAt(info, static_cast<uint32_t>(run.cursor - BaseOf(unused.span)));
  SetBits(unused.bits, first, static_cast<uint32_t>((run.end - run.cursor) / info.slot_bytes));
  return unused;
}

struct CollectedMutator : Standing {
  bool is_in_shortage = false;  // Its thread is in a callback for want of memory.
  bool is_collecting = false;  // Its thread is in a stop that it has called for.
  uint64_t ran_since_ns = 0;   // Since it waited for the marker last. The owner's.

  // Words that its stores have overwritten while a cycle marks, and that the marker does not know of yet. The owner writes
  // here, in regions; the collector reads and empties it in stops.
  static constexpr uint32_t kMaxShades = 256;
  uint32_t shade_count = 0;
  uint64_t shades[kMaxShades];

  bool HasRow(uint32_t number) const { return rows[number] != &kNoRuns; }

  void* Bump(Kind kind, SizeClass size_class) {
    Run& run = rows[NumberOf(kind)]->runs[size_class];
    const uintptr_t object = run.cursor;
    const size_t slot_bytes = kSizeClasses[size_class].slot_bytes;
    if (slot_bytes > run.limit - object) [[unlikely]] return nullptr;
    run.cursor = object + slot_bytes;
    return reinterpret_cast<void*>(object);
  }

  // Whether the slot that begins at `slot` was taken and not handed out.
  bool HasUnused(uint32_t number, SizeClass size_class, uintptr_t slot) const {
    const Run& run = rows[number]->runs[size_class];
    if (slot - run.cursor < run.end - run.cursor) return true;
    const SlotSet& holes = rows[number]->holes[size_class].slots;
    if (holes.span == nullptr || SpanOfPage(ChunkOf(slot), PageOf(slot)) != holes.span) return false;
    return TestBit(holes.bits, SlotAt(kSizeClasses[size_class], static_cast<uint32_t>(slot - BaseOf(holes.span))));
  }

  // Calls visit(number, size_class, slots) for all slots that were taken and not handed out.
  template <class Visit>
  void ForEachUnused(Visit visit) const {
    for (uint32_t number = 0; number < kMaxKinds; ++number) {
      if (!HasRow(number)) continue;
      for (SizeClass size_class = 1; size_class < kSizeClassCount; ++size_class) {
        const Run& run = rows[number]->runs[size_class];
        const Holes& holes = rows[number]->holes[size_class];
        if (run.cursor == run.end && holes.is_empty()) continue;
        visit(number, size_class, UnusedOf(run, holes, size_class));
      }
    }
  }
};

}  // namespace acre
