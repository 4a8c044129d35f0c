// The serial mode: one object after the other, while almost nothing is grey. See mark_worker.h.

#include "allocator/collect/mark_worker.h"
#include "os/check.h"

namespace acre {

namespace {

// The same value, of which the compiler does not know where it comes from.
[[gnu::always_inline]] inline uintptr_t ForgetOrigin(uintptr_t value) {
  asm volatile("" : "+r"(value));
  return value;
}

}  // namespace

// Not for words that mean two addresses each.
bool MarkWorker::HasSerialMode() const {
  return context_.options.end_pointers == EndPointers::kIgnored && context_.options.value_format.tag_mask == 0;
}

// Returns when there is nothing left, or enough for waves.
//
// What makes a list slow is that each object's address comes out of the one before. So nothing but the load of that word
// is between them here: how many words there are, which of them are pointers, and that a pointer is the base of an object
// decides over branches only, which are foreseen, since the objects of a list are much alike. (The base takes a look-up
// and two multiplications; the next object is read meanwhile.)
template <Markers kMarkers>
void MarkWorker::DrainSerially() {
  ASSERT(current_->count() + other_->count() == 0);
  ASSERT(next_candidate == candidates_);
  const uint64_t low = context_.filter.low;
  const uint64_t bytes = context_.filter.bytes;
  const size_t most = context_.max_serial_objects;
  size_t scanned = 0;
  Grey* top = stack_.top();
  Grey next = 0;          // To be scanned, or 0.
  uintptr_t address = 0;  // Its address.
  for (;;) {
    if (next == 0) {
      if (top == stack_.base() || static_cast<size_t>(top - stack_.base()) >= kSerialLeave) break;
      next = *--top;
      address = ObjectOf(next);
    }
    if (!IsForKernels(next) || scanned == most) [[unlikely]] break;  // Left to the waves.
    ++scanned;
    const auto* fields = reinterpret_cast<const uint64_t*>(address);
    const uint64_t mask = tables_.field_masks[KindOf(next)];
    const size_t words = tables_.words[ClassOf(next)];
    next = 0;
    Grey* const pushed = top;
    for (size_t i = 0; i != words; ++i) {
      const uint64_t word = __atomic_load_n(&fields[i], __ATOMIC_RELAXED);  // Once, whoever writes it.
      if (word - low >= bytes) continue;
      if ((mask >> i & 1) == 0) continue;
      const ChunkUse use = context_.table.UseWithin(word);
      if (use != ChunkUse::kPages) [[unlikely]] {
        if (IsHuge(use)) MarkHuge(word);
        continue;
      }
      Resolved resolved;
      if (!ResolveInChunk(word, &resolved) || !SetMark<kMarkers>(resolved) || !IsTraced(resolved.grey)) continue;
      if (next != 0) {
        // Room there is: the stack holds fewer than kSerialLeave entries.
        *top++ = resolved.grey;
        continue;
      }
      next = resolved.grey;
      address = ForgetOrigin(word);
      if (ObjectOf(next) != word) [[unlikely]] address = ForgetOrigin(ObjectOf(next));
    }
    // The first of them on top.
    for (Grey *low_end = pushed, *high_end = top; high_end - low_end > 1;) {
      const Grey lowest = *low_end;
      *low_end++ = *--high_end;
      *high_end = lowest;
    }
    if (static_cast<size_t>(top - stack_.base()) >= kSerialLeave) break;
  }
  if (next != 0) *top++ = next;
  stack_.set_top(top);
  scanned_objects_ += scanned;
}

template void MarkWorker::DrainSerially<Markers::kOne>();
template void MarkWorker::DrainSerially<Markers::kSeveral>();

}  // namespace acre
