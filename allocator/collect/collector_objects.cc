// Single objects: what a word points into, freeing one by hand, and walking over all of them.

#include "allocator/base/bits.h"
#include "allocator/collect/collector.h"
#include "allocator/collect/mark_bits.h"
#include "allocator/collect/resolve.h"
#include "os/check.h"

namespace acre {

bool Collector::FindObject(CollectedMutator& mutator, uintptr_t word, FoundObject* found) {
  Region region(mutator);
  Resolved resolved;
  if (Resolve(heap_.table(), word, &resolved)) {
    const Grey grey = resolved.grey;
    const SizeClass size_class = ClassOf(grey);
    const uint32_t number = NumberOf(KindOf(grey));
    *found = {.base = ObjectOf(grey), .bytes = 0, .kind = KindOf(grey), .size_class = size_class};
    if (size_class == kLargeClass) return large_pool_.Look(found->base, &found->bytes) == FreeResult::kDone;
    SpanPool* row = pools_[number].load(std::memory_order_acquire);
    if (row == nullptr || !row[size_class].Holds(found->base)) return false;
    const Run& run = mutator.rows[number][size_class];
    if (found->base - run.cursor < run.end - run.cursor) return false;
    found->bytes = kSizeClasses[size_class].slot_bytes;
    return true;
  }
  const ChunkUse use = heap_.table().Use(word);
  if (use != ChunkUse::kHuge && use != ChunkUse::kHugeTail) return false;
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
    size_t swept_bytes = 0;
    size_t bytes = found.bytes;
    const FreeResult result =
        found.size_class == kLargeClass
            ? large_pool_.Free(address, &bytes)
            : pools_[NumberOf(found.kind)].load(std::memory_order_acquire)[found.size_class].Free(heap_.page_heap(), address,
                                                                                                 &swept_bytes);
    if (result != FreeResult::kDone) ReportBadFree(address);
    sweeper_.AddFreed(swept_bytes + bytes);
    freed_by_hand_objects_.fetch_add(1, std::memory_order_relaxed);
    freed_by_hand_bytes_.fetch_add(bytes, std::memory_order_relaxed);
    // What is allocated in its place will be counted again.
    size_t allocated = allocated_bytes_.load(std::memory_order_relaxed);
    while (!allocated_bytes_.compare_exchange_weak(allocated, allocated < bytes ? 0 : allocated - bytes,
                                                   std::memory_order_relaxed)) {
    }
  }
  if (has_queued_ends) ends_.Notify();
}

void Collector::ForEachObject(CollectedMutator& mutator, ObjectVisitor* visit, void* context) {
  BlockingLock cycle_lock(cycle_mutex_);
  SweepAll(mutator);
  os::MutexLock roots_lock(roots_.mutex());
  os::MutexLock ends_lock(ends_.mutex());
  world_.StopOthers(&mutator);
  mutator.is_collecting = true;
  world_.ForEach([this](Standing& standing) { HideRuns(static_cast<CollectedMutator&>(standing)); });
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
  world_.ForEach([this](Standing& standing) { KeepRuns(static_cast<CollectedMutator&>(standing)); });
  mutator.is_collecting = false;
  world_.ResumeOthers(&mutator);
}

}  // namespace acre
