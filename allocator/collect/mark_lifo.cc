#include "allocator/collect/mark_lifo.h"

#include "allocator/base/bits.h"
#include "allocator/collect/mark_bits.h"
#include "allocator/collect/tracer.h"

namespace acre {

namespace {

// Hands each visited word to the marker at once: the candidate buffer has one place.
class LifoTracer : public Tracer {
 public:
  using Receiver = void(void* context, uintptr_t word);
  LifoTracer(void* context, Receiver* receiver) : context_(context), receiver_(receiver) {
    next_candidate = buffer_;
    candidate_limit = buffer_ + 1;
    heap_bytes = ~uint64_t{0};
    flush_candidates = [](Tracer* tracer) {
      auto& self = *static_cast<LifoTracer*>(tracer);
      self.next_candidate = self.buffer_;
      self.receiver_(self.context_, self.buffer_[0]);
    };
  }

 private:
  void* context_;
  Receiver* receiver_;
  uint64_t buffer_[2] = {};
};

size_t BytesOfSlot(const Slot& slot) {
  return slot.span->size_class == kLargeClass ? BytesOf(slot.span) : kSizeClasses[slot.span->size_class].slot_bytes;
}

}  // namespace

void MarkLifo::MarkAt(uintptr_t word) {
  const HugeObjects& huge = options_.huge_objects;
  if (huge.mark != nullptr && IsHuge(table_.Use(word))) (void)huge.mark(huge.context, word);
  const Slot slot = FindSlot(table_, word);
  if (slot.span == nullptr) return;
  if (slot.span->size_class != kLargeClass && slot.index >= kSizeClasses[slot.span->size_class].slots) return;
  if (!TestBit(AllocBitsOf(slot.span), slot.index)) return;
  if (!TestBit(WhiteBitsOf(slot.span), slot.index)) return;
  ClearBits(WhiteBitsOf(slot.span), slot.index, 1);
  if (FormOf(slot.span->kind) == TraceForm::kNone) return;
  if (depth_ == stack_.size()) {
    has_overflowed_ = true;
    return;
  }
  stack_[depth_++] = slot.base;
}

void MarkLifo::AddRoot(uint64_t word) {
  MarkAt(word);
  if (options_.end_pointers == EndPointers::kCount && word != 0) MarkAt(word - 1);
  const ValueFormat& format = options_.value_format;
  if (format.tag_mask == 0 || (word & format.tag_mask) != format.tag) return;
  const uint64_t inside = (word ^ format.tag_xor) & format.tag_and;
  MarkAt(inside);
  if (options_.end_pointers == EndPointers::kCount && inside != 0) MarkAt(inside - 1);
}

void MarkLifo::ScanWords(uintptr_t object, size_t bytes, Kind kind) {
  // From the last word to the first, so that the first is on top.
  const uint32_t period = kinds_.PeriodWords(kind);
  for (size_t i = bytes / sizeof(uint64_t); i-- > 0;) {
    if ((kinds_.FieldMask(kind, static_cast<uint32_t>(i % period)) & 1) == 0) continue;
    AddRoot(reinterpret_cast<const uint64_t*>(object)[i]);
  }
}

void MarkLifo::ScanByFunction(uintptr_t object, size_t bytes, Kind kind) {
  LifoTracer tracer(this, [](void* context, uintptr_t word) {
    auto* self = static_cast<MarkLifo*>(context);
    self->MarkAt(word);
    if (self->options_.end_pointers == EndPointers::kCount && word != 0) self->MarkAt(word - 1);
  });
  if (!kinds_.Trace(kind, object, bytes, tracer)) ScanWords(object, bytes, kConservative);
}

bool MarkLifo::Drain() {
  while (depth_ > 0) {
    const uintptr_t object = stack_[--depth_];
    const Slot slot = FindSlot(table_, object);
    if (FormOf(slot.span->kind) == TraceForm::kFunction) {
      ScanByFunction(object, BytesOfSlot(slot), slot.span->kind);
    } else {
      ScanWords(object, BytesOfSlot(slot), slot.span->kind);
    }
  }
  return !has_overflowed_;
}

}  // namespace acre
