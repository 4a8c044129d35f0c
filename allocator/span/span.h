#pragma once

// The record of a span: a run of pages with slots of one size class, or one large object.
//
// Records lie in the chunk, one place for each page, used at the span's first page: so a span is found without a pointer,
// and its record shares a line only with its neighbour's. The allocation bits (a one: the slot is handed out, to the
// program or to a cache) are the line of the first page; see span/chunk.h.
//
// Invariants (CheckSpan in span/chunk.h):
//   S1. free_slots is the number of zero allocation bits in [0, slots).
//   S2. Every page of the span has a descriptor that leads back to the first page.
//   S3. A span of slots that are freed by hand has a state row for each page; any other has none.
//
// Guard: the central list's lock of the class for `next`, `previous`, `free_slots`, `bucket` and the allocation bits; the
// page heap's lock for everything else, which does not change while the span is in use.

#include <cstdint>

#include "allocator/size/size_class.h"

namespace acre {

// How the objects of a span are traced: see collect/kind.h. This one is never traced, and its spans are freed by hand:
// they are the only ones with slot states.
using Kind = uint8_t;
inline constexpr Kind kNoPointers = 0xc0;

struct Span {
  Span* next;
  Span* previous;
  uint32_t pages;
  uint16_t free_slots;
  SizeClass size_class;  // kLargeClass: one object; kNoClass: this record is not in use.
  Kind kind;
  uint8_t bucket;        // The central list's list it is on.
  bool is_zeroed;        // Large: the memory was fresh when the span was made.
};
static_assert(sizeof(Span) == 32);

}  // namespace acre
