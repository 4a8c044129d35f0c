// The serial mode: one object after the other, while almost nothing is grey or objects lead to their neighbours. See
// mark_worker.h.

#include "allocator/collect/mark_worker.h"
#include "arch/fields.h"
#include "os/check.h"

namespace acre {

namespace {

// What a look-up finds out, for all objects of a span of small ones. Valid while a marked object keeps the span.
struct NearSpan {
  uintptr_t base = 0;
  uintptr_t bytes = 0;  // Of its slots.
  uint32_t reciprocal = 0;
  size_t last_word = 0;     // Of an object.
  uint64_t field_mask = 0;  // Bit i: the word i before the last may be a pointer.
  Grey code = 0;            // Class and kind, in place.
  uint64_t* white_words = nullptr;

  NearSpan() = default;
  // The span of the object. REQUIRES: IsForKernels(grey).
  NearSpan(Grey grey, const arch::ScanTables& tables) {
    Chunk* const chunk = ChunkOf(ObjectOf(grey));
    const uint32_t page = PageOf(ObjectOf(grey));
    const uint32_t first = page - LoadDescriptor(chunk, page).number_in_span();
    const SizeClassInfo& info = kSizeClasses[ClassOf(grey)];
    base = reinterpret_cast<uintptr_t>(chunk) + (uintptr_t{first} << kPageShift);
    bytes = uintptr_t{info.slots} * info.slot_bytes;
    reciprocal = info.reciprocal;
    const size_t words = tables.words[ClassOf(grey)];
    last_word = words - 1;
    const uint64_t mask = tables.field_masks[KindOf(grey)];
    for (size_t i = 0; i < words; ++i) field_mask |= (mask >> i & 1) << (words - 1 - i);
    code = grey & ~arch::kScanAddressMask;
    white_words = chunk->white_lines[first].words;
  }
};

// A span that is looked up takes as much of the credit as so many objects: a marker that took far objects for near ones has
// scanned some 90 when it is used up.
constexpr int64_t kSpanCredit = 16;
// Objects scanned for each span that is looked up, or else the waves are better. Trees in depth-first order have 60 and
// more, lists 100 to 500; where objects lie anyhow it is 1 to 3.
constexpr int64_t kNearObjects = 8;
// How far beyond the object at hand memory is asked for, in bytes. 256 to 2048 are alike within the noise, for lists and
// trees; none is slower by a tenth to a third (mark_bench's loop without a heap).
constexpr size_t kAheadBytes = 256;

}  // namespace

// Not for words that mean two addresses each.
bool MarkWorker::HasSerialMode() const {
  return context_.options.end_pointers == EndPointers::kIgnored && context_.options.value_format.tag_mask == 0;
}

// Returns when there is nothing left, when what waits is better left to the waves, or when the credit is used up (an object
// takes one of it): how many objects were scanned.
//
// What makes a list slow is that each object's address comes out of the one before. So nothing but the load of that word
// is between them here: how many words there are, which of them are pointers, and that a pointer is the base of an object
// decides over branches only, which are foreseen, since the objects of a list are much alike. (The base takes a look-up
// and two multiplications; the next object is read meanwhile.)
//
// What makes objects slow that lie in the order in which they are visited is looking them up: their memory comes by itself.
// So what is to be known of the span of the object at hand stays at hand, and most pointers lead into it.
//
// Which words may be pointers is found out four at a time, but not waited for: it is taken to be as with the object before.
template <Markers kMarkers>
size_t MarkWorker::DrainSerially(size_t credit) {
  ASSERT(current_->count() + other_->count() == 0);
  ASSERT(next_candidate == candidates_);
  const uint64_t low = context_.filter.low;
  const uint64_t bytes = context_.filter.bytes;
  const arch::Fields filter(low, bytes);
  const bool is_near = IsNear();
  auto left = static_cast<int64_t>(credit);
  int64_t unused = 0;
  int64_t spans = 0;
  NearSpan span;
  uint64_t expected = 0;  // Which words of an object are pointers: those that were in the last one.
  Grey* top = stack_.top();
  Grey* limit = is_near ? stack_.limit() : stack_.base() + kSerialLeave;
  Grey next = 0;          // To be scanned, or 0.
  uintptr_t address = 0;  // Its address.
  for (;;) {
    if (next == 0) {
      if (top == stack_.base()) {
        stack_.set_top(top);
        if (!stack_.PreviousSegment()) break;
        top = stack_.top();
        limit = stack_.limit();
      }
      next = *--top;
      address = ObjectOf(next);
    }
    if (left <= 0) [[unlikely]] break;
    if (address - span.base >= span.bytes) [[unlikely]] {
      if (!IsForKernels(next)) break;  // Left to the waves.
      span = NearSpan(next, tables_);
      ++spans;
      left -= kSpanCredit;
    }
    --left;
    __builtin_prefetch(reinterpret_cast<const void*>(address + kAheadBytes));
    const auto* fields = reinterpret_cast<const uint64_t*>(address);
    next = 0;
    const uint64_t found = filter.Find(fields, span.last_word + 1) & span.field_mask;
    if (found != expected) expected = arch::ForgetOrigin(found);
    // From the last, so that the first of them is visited next.
    for (uint64_t rest = expected; rest != 0;) {
      const size_t i = span.last_word - static_cast<size_t>(std::countr_zero(rest));
      rest &= rest - 1;
      const uint64_t word = __atomic_load_n(&fields[i], __ATOMIC_RELAXED);  // Once, whoever writes it.
      Grey grey;
      uintptr_t object;
      const uint64_t offset = word - span.base;
      if (offset < span.bytes) [[likely]] {
        const uint64_t product = offset * uint64_t{span.reciprocal};
        const uint64_t slot = product >> 32;
        if (!SetMarkAt<kMarkers>(&span.white_words[slot / kWordBits], slot)) continue;
        object = arch::ForgetOrigin(word);
        // Its base, if dividing has left nothing over: Lemire, Kaser and Kurz, "Faster remainder by direct computation",
        // Software: Practice and Experience 49 (2019).
        if (static_cast<uint32_t>(product) >= span.reciprocal) [[unlikely]] {
          object = arch::ForgetOrigin(span.base + slot * kSizeClasses[ClassOf(span.code)].slot_bytes);
        }
        grey = object | span.code;
      } else {
        if (word - low >= bytes) [[unlikely]] continue;
        const ChunkUse use = context_.table.UseWithin(word);
        if (use != ChunkUse::kPages) [[unlikely]] {
          if (IsHuge(use)) MarkHuge(word);
          continue;
        }
        Resolved resolved;
        if (!ResolveInChunk(word, &resolved) || !SetMark<kMarkers>(resolved) || !IsTraced(resolved.grey)) continue;
        grey = resolved.grey;
        object = ObjectOf(grey);
      }
      if (next != 0) {
        if (top != limit) [[likely]] {
          *top++ = next;
        } else if (is_near) {
          stack_.set_top(top);
          PushOrNote(next);
          top = stack_.top();
          limit = stack_.limit();
        } else {
          // Enough for waves. (Room there is: these are far less than a segment's.)
          unused = left;
          left = 0;
          limit = stack_.limit();
          *top++ = next;
        }
      }
      next = grey;
      address = object;
    }
  }
  stack_.set_top(top);
  if (next != 0) PushOrNote(next);
  const int64_t scanned = static_cast<int64_t>(credit) - left - unused - spans * kSpanCredit;
  scanned_objects_ += static_cast<size_t>(scanned);
  if (is_near && spans * kNearObjects > scanned) LeaveNear();
  return static_cast<size_t>(scanned);
}

template size_t MarkWorker::DrainSerially<Markers::kOne>(size_t);
template size_t MarkWorker::DrainSerially<Markers::kSeveral>(size_t);

}  // namespace acre
