// Single objects: what a word points into, freeing one by hand, and walking over all of them.

#include "allocator/base/bits.h"
#include "allocator/collect/collector.h"
#include "allocator/collect/mark_bits.h"
#include "allocator/collect/resolve.h"
#include "arch/context.h"
#include "os/check.h"

namespace acre {

bool Collector::FindObject(CollectedMutator& mutator, uintptr_t word, FoundObject* found) {
  Region region(mutator);
  if (!Look(mutator, word, found)) return false;
  Shade(mutator, found->base);
  return true;
}

bool Collector::Look(CollectedMutator& mutator, uintptr_t word, FoundObject* found) {
  Resolved resolved;
  if (Resolve(heap_.table(), word, &resolved)) {
    const Grey grey = resolved.grey;
    const SizeClass size_class = ClassOf(grey);
    const uint32_t number = NumberOf(KindOf(grey));
    *found = {.base = ObjectOf(grey), .bytes = 0, .kind = KindOf(grey), .size_class = size_class};
    if (size_class == kLargeClass) return large_pool_.Look(found->base, &found->bytes) == FreeResult::kDone;
    SpanPool* row = pools_[number].load(std::memory_order_acquire);
    if (row == nullptr || !row[size_class].Holds(found->base)) return false;
    found->bytes = kSizeClasses[size_class].slot_bytes;
    return !mutator.HasUnused(number, size_class, found->base);
  }
  if (!IsHuge(heap_.table().Use(word))) return false;
  const LargePool::HugeView huge = large_pool_.FindHuge(word);
  *found = {.base = huge.base, .bytes = huge.bytes, .kind = huge.kind};
  return huge.base != 0 && !huge.is_dead;
}

void Collector::ReportBadFree(uintptr_t address) const {
  Resolved resolved;
  const bool is_start = Resolve(heap_.table(), address, &resolved) && ObjectOf(resolved.grey) == address;
  os::Fatal("free of ", os::Hex{address}, is_start ? ": freed twice or while unreachable" : ": not the start of an object");
}

// Its ends come first: they must not be found with an object that the same slot holds next.
void Collector::Free(CollectedMutator& mutator, void* object) {
  if (object == nullptr) return;
  const auto address = reinterpret_cast<uintptr_t>(object);
  FoundObject found;
  if (!FindObject(mutator, address, &found) || found.base != address) ReportBadFree(address);
  const bool has_queued_ends = ends_.EndObject(address);
  {
    Region region(mutator);
    if (is_marking_.load(std::memory_order_relaxed)) {
      put_off_frees_.Add(address);  // A word that is lost is found dead one day.
    } else {
      if (FreeFound(found) != FreeResult::kDone) ReportBadFree(address);
    }
  }
  if (has_queued_ends) ends_.Notify();
}

void Collector::FreeNow(uintptr_t object) {
  FoundObject found{.base = object};
  Resolved resolved;
  if (Resolve(heap_.table(), object, &resolved)) {
    found.kind = KindOf(resolved.grey);
    found.size_class = ClassOf(resolved.grey);
    if (found.size_class != kLargeClass) found.bytes = kSizeClasses[found.size_class].slot_bytes;
  }
  if (FreeFound(found) != FreeResult::kDone) ReportBadFree(object);
}

// An object of a size class comes with its size.
FreeResult Collector::FreeFound(const FoundObject& found) {
  size_t swept_bytes = 0;
  size_t bytes = found.bytes;
  const FreeResult result = found.size_class == kLargeClass
                                ? large_pool_.Free(found.base, &bytes)
                                : pools_[NumberOf(found.kind)].load(std::memory_order_acquire)[found.size_class].Free(
                                      heap_.page_heap(), found.base, &swept_bytes);
  if (result != FreeResult::kDone) return result;
  sweeper_.AddFreed(swept_bytes + bytes);
  freed_by_hand_objects_.fetch_add(1, std::memory_order_relaxed);
  freed_by_hand_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  // What is allocated in its place will be counted again.
  size_t allocated = allocated_bytes_.load(std::memory_order_relaxed);
  while (!allocated_bytes_.compare_exchange_weak(allocated, allocated < bytes ? 0 : allocated - bytes,
                                                 std::memory_order_relaxed)) {
  }
  return FreeResult::kDone;
}

void Collector::ForEachObject(CollectedMutator& mutator, ObjectVisitor* visit, void* context) {
  LockIdleCycle();
  SweepAll(mutator);
  struct Call {
    Collector& collector;
    CollectedMutator& mutator;
    ObjectVisitor* visit;
    void* context;
  } call{*this, mutator, visit, context};
  arch::WithSpilledRegisters(
      [](void* argument, uintptr_t stack_pointer) {
        auto& [collector, self, visitor, visited] = *static_cast<Call*>(argument);
        collector.StopForCycle(&self, stack_pointer);
        collector.VisitObjects(visitor, visited);
        collector.ResumeAfterCycle(&self);
      },
      &call);
  cycle_mutex_.Unlock();
}

// In a stop, with everything swept.
void Collector::VisitObjects(ObjectVisitor* visit, void* context) {
  world_.ForEach([](const Standing& standing) { HideRuns(static_cast<const CollectedMutator&>(standing)); });
  ForEachSpan(heap_.table(), [&](const Span* span) {
    if (span->kind == kNoPointers) return;
    const bool is_large = span->size_class == kLargeClass;
    const size_t bytes = is_large ? BytesOf(span) : kSizeClasses[span->size_class].slot_bytes;
    for (uint32_t word = 0; word < sizeof(BitLine) / sizeof(uint64_t); ++word) {
      for (uint64_t bits = AllocBitsOf(span)[word]; bits != 0; bits &= bits - 1) {
        const uint32_t slot = word * kWordBits + static_cast<uint32_t>(std::countr_zero(bits));
        visit(context, {.base = BaseOf(span) + slot * bytes, .bytes = bytes, .kind = span->kind});
      }
    }
  });
  large_pool_.ForEachHuge([&](const LargePool::Huge& huge) {
    visit(context, {.base = huge.base, .bytes = huge.bytes, .kind = huge.kind});
  });
  world_.ForEach([](const Standing& standing) { KeepRuns(static_cast<const CollectedMutator&>(standing)); });
}

}  // namespace acre
