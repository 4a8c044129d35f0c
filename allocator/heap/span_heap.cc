#include "allocator/heap/span_heap.h"

#include <cstring>
#include <new>

#include "allocator/base/racy.h"
#include "arch/memory.h"
#include "os/clock.h"

namespace acre {

SpanHeap::SpanHeap(const os::MemoryCalls& calls, size_t address_space_limit_bytes, ChunkTable& table)
    : space_(calls, address_space_limit_bytes), table_(table) {
  for (uint32_t number = 0; number < kSizeClassCount; ++number) {
    new (&central_storage_[number]) CentralList(static_cast<SizeClass>(number), kNoPointers, page_heap_, metadata_);
  }
}

SpanHeap::~SpanHeap() {
  CHECK(caches_.is_empty());
  huge_list_.ReleaseAll();
  page_heap_.ReleaseChunks();
  metadata_.ReleaseAll();
}

ThreadCache* SpanHeap::OpenCache() {
  void* memory = metadata_.Allocate(sizeof(ThreadCache));
  if (memory == nullptr) return nullptr;
  auto* cache = new (memory) ThreadCache(&central(0));
  os::MutexLock lock(caches_mutex_);
  caches_.Push(cache);
  return cache;
}

void SpanHeap::CloseCache(ThreadCache* cache) {
  cache->Flush();
  {
    os::MutexLock lock(caches_mutex_);
    caches_.Remove(cache);
  }
  metadata_.Free(cache, sizeof(ThreadCache));
}

void* SpanHeap::Allocate(ThreadCache& cache, size_t bytes) {
  if (bytes <= kMaxSmallBytes) [[likely]] return AllocateSmall(cache, ClassForSize(bytes));
  bool is_zeroed;
  return AllocateLarge(cache, bytes, kPageBytes, &is_zeroed);
}

void* SpanHeap::AllocateSmall(ThreadCache& cache, SizeClass size_class) {
  if (void* slot = cache.Allocate(size_class)) [[likely]] return slot;
  if (cache.is_open()) {
    void* slot = cache.AllocateSlow(size_class);
    TrimAfterGrowth(cache);
    if (slot != nullptr) return slot;
  }
  void* slot = AllocateOne(size_class);
  if (slot == nullptr) {
    Reclaim(cache);
    slot = AllocateOne(size_class);
  }
  return slot;
}

// A live slot without the help of a cache.
void* SpanHeap::AllocateOne(SizeClass size_class) {
  void* slot = central(size_class).AllocateOne();
  if (slot == nullptr) return nullptr;
  const auto address = reinterpret_cast<uintptr_t>(slot);
  RacyStore(PageRefOf(address).State(address), LiveState(address));
  return slot;
}

// When the heap has had to grow, what is kept idle goes back to span bits, where every class finds it: the depots, and the
// magazines that this thread does not have loaded. The kernel takes at least 30 µs to supply a growth step; this takes a few.
void SpanHeap::TrimAfterGrowth(ThreadCache& cache) {
  const uint32_t growths = page_heap_.growths();
  uint32_t seen = seen_growths_.load(std::memory_order_relaxed);
  if (growths == seen) [[likely]] return;
  if (!seen_growths_.compare_exchange_strong(seen, growths, std::memory_order_relaxed)) return;
  cache.Trim();
  for (uint32_t number = 1; number < kSizeClassCount; ++number) central(static_cast<SizeClass>(number)).DrainDepot();
}

// The kernel has refused memory: all that is free anywhere but in other threads' caches is given back to it, address space
// included, so that it can be had in another shape.
void SpanHeap::Reclaim(ThreadCache& cache) {
  if (cache.is_open()) cache.Flush();
  ReleaseAll();
  page_heap_.ReleaseAddressSpace();
}

void* SpanHeap::AllocateLarge(ThreadCache& cache, size_t bytes, size_t alignment, bool* is_zeroed) {
  if (bytes > static_cast<size_t>(PTRDIFF_MAX)) return nullptr;
  if (void* object = TryAllocateLarge(bytes, alignment, is_zeroed)) return object;
  Reclaim(cache);
  return TryAllocateLarge(bytes, alignment, is_zeroed);
}

void* SpanHeap::TryAllocateLarge(size_t bytes, size_t alignment, bool* is_zeroed) {
  if (bytes <= kMaxLargeBytes && alignment <= kMaxLargeBytes) {
    const size_t alignment_pages = alignment <= kPageBytes ? 1 : alignment / kPageBytes;
    Span* span = page_heap_.AllocateLarge(bytes == 0 ? 1 : PagesFor(bytes), alignment_pages, kNoPointers);
    if (span == nullptr) return nullptr;
    *is_zeroed = span->is_zeroed;
    return reinterpret_cast<void*>(BaseOf(span));
  }
  *is_zeroed = true;
  return huge_list_.Allocate(bytes == 0 ? 1 : bytes, alignment < kChunkBytes ? kChunkBytes : alignment);
}

void* SpanHeap::AllocateAligned(ThreadCache& cache, size_t bytes, size_t alignment) {
  if (alignment <= kSlotAlignment) return Allocate(cache, bytes);
  if (const SizeClass size_class = ClassForAlignedSize(bytes, alignment)) return AllocateSmall(cache, size_class);
  bool is_zeroed;
  return AllocateLarge(cache, bytes, alignment, &is_zeroed);
}

void* SpanHeap::AllocateZeroed(ThreadCache& cache, size_t bytes) {
  if (bytes <= kMaxSmallBytes) {
    void* slot = AllocateSmall(cache, ClassForSize(bytes));
    if (slot != nullptr) arch::Clear(slot, bytes);
    return slot;
  }
  bool is_zeroed;
  void* object = AllocateLarge(cache, bytes, kPageBytes, &is_zeroed);
  if (object != nullptr && !is_zeroed) arch::Clear(object, bytes);
  return object;
}

void SpanHeap::Free(ThreadCache& cache, void* object) {
  if (object == nullptr || cache.Free(table_, object)) return;
  FreeSlow(cache, object);
}

void SpanHeap::FreeSlow(ThreadCache& cache, void* object) {
  const auto address = reinterpret_cast<uintptr_t>(object);
  switch (table_.Use(address)) {
    case ChunkUse::kPages: {
      const PageRef ref = PageRefOf(address);
      if (ref.is_none()) {
        Span* span = FindLarge(address);
        if (span == nullptr) ReportMisuse("free", address);
        page_heap_.Free(span);
        return;
      }
      SlotState& state = ref.State(address);
      if (RacyLoad(state) != LiveState(address) || address % kSlotAlignment != 0) ReportMisuse("free", address);
      if (cache.MakeRoom(ref.size_class()) && cache.Free(table_, object)) return;
      RacyStore(state, kFreed);
      central(ref.size_class()).FreeOne(object);
      return;
    }
    case ChunkUse::kHuge:
    case ChunkUse::kHugeTail:
      if (huge_list_.Free(address)) return;
      break;
    case ChunkUse::kNone:
    case ChunkUse::kReserved:
      break;
  }
  ReportMisuse("free", address);
}

// The large span that begins at `address`, or null.
Span* SpanHeap::FindLarge(uintptr_t address) const {
  const Slot slot = FindSlot(table_, address);
  if (slot.span == nullptr || slot.span->size_class != kLargeClass || slot.base != address) return nullptr;
  return slot.span;
}

size_t SpanHeap::UsableBytes(const void* object, const char* verb) const {
  const auto address = reinterpret_cast<uintptr_t>(object);
  switch (table_.Use(address)) {
    case ChunkUse::kPages: {
      const PageRef ref = PageRefOf(address);
      if (!ref.is_none()) {
        if (RacyLoad(ref.State(address)) != LiveState(address) || address % kSlotAlignment != 0) break;
        return kSizeClasses[ref.size_class()].slot_bytes;
      }
      const Span* span = FindLarge(address);
      if (span == nullptr) break;
      return BytesOf(span);
    }
    case ChunkUse::kHuge:
    case ChunkUse::kHugeTail: {
      const HugeObject huge = huge_list_.Find(address);
      if (huge.bytes == 0 || huge.base != address) break;
      return huge.bytes;
    }
    case ChunkUse::kNone:
    case ChunkUse::kReserved:
      break;
  }
  ReportMisuse(verb, address);
}

void* SpanHeap::Reallocate(ThreadCache& cache, void* object, size_t bytes) {
  const size_t old_bytes = UsableBytes(object, "realloc");
  // A block shrinks in place unless more than half of it would be unused.
  if (bytes <= old_bytes && bytes > old_bytes / 2) [[likely]] {
    if (old_bytes <= kMaxSmallBytes) return object;
  }
  if (bytes > static_cast<size_t>(PTRDIFF_MAX)) return nullptr;
  if (old_bytes <= kMaxSmallBytes) {
    if (bytes <= old_bytes && ClassForSize(bytes) == ClassForSize(old_bytes)) return object;
    return MoveTo(cache, object, old_bytes, bytes);
  }
  const auto address = reinterpret_cast<uintptr_t>(object);
  if (Span* span = FindLarge(address)) {
    if (bytes > kMaxSmallBytes && bytes > old_bytes / 4 && page_heap_.ResizeLarge(span, PagesFor(bytes))) return object;
  } else if (bytes > kMaxLargeBytes / 2) {
    if (void* resized = huge_list_.Resize(address, bytes)) return resized;
  }
  return MoveTo(cache, object, old_bytes, bytes);
}

// A new block with the old one's contents; the old one is freed. Null: nothing has changed.
void* SpanHeap::MoveTo(ThreadCache& cache, void* object, size_t old_bytes, size_t bytes) {
  // Moving pages costs less than copying them, and much less than having fresh ones supplied for the copy; below a
  // megabyte the system call and the mappings it splits cost more.
  constexpr size_t kMovePagesBytes = 1 * kMiB;
  const size_t kept = old_bytes < bytes ? old_bytes : bytes;
  void* moved;
  if (bytes > kMaxSmallBytes) {
    bool is_zeroed;
    // A block that has to move because it grows will grow again: it gets room to do so where that costs nothing.
    moved = AllocateLarge(cache, bytes, kPageBytes, &is_zeroed);
    if (moved == nullptr) return nullptr;
    const auto from = reinterpret_cast<uintptr_t>(object);
    const auto to = reinterpret_cast<uintptr_t>(moved);
    if (is_zeroed && kept >= kMovePagesBytes && space_.MovePages(from, to, AlignDown(kept, kPageBytes)) == Status::kOk) {
      const size_t done = AlignDown(kept, kPageBytes);
      space_.Use(from, done);  // The old block holds nothing now, but is freed like any other.
      arch::Move(reinterpret_cast<void*>(to + done), reinterpret_cast<void*>(from + done), kept - done);
      Free(cache, object);
      return moved;
    }
  } else {
    moved = Allocate(cache, bytes);
    if (moved == nullptr) return nullptr;
  }
  arch::Move(moved, object, kept);
  Free(cache, object);
  return moved;
}

void SpanHeap::ReportMisuse(const char* verb, uintptr_t address) const {
  using os::Hex;
  switch (table_.Use(address)) {
    case ChunkUse::kPages: {
      const Slot slot = FindSlot(table_, address);
      if (slot.span == nullptr) {
        os::Fatal(verb, " of ", Hex{address}, ": no block is there (its page is free: freed before, or never allocated)");
      }
      if (slot.span->size_class == kLargeClass) {
        os::Fatal(verb, " of ", Hex{address}, ": ", address - slot.base, " bytes inside a live block of ",
                  BytesOf(slot.span), " bytes at ", Hex{slot.base});
      }
      const SizeClassInfo& info = kSizeClasses[slot.span->size_class];
      const uint8_t now = slot.index < info.slots ? RacyLoad(PageRefOf(slot.base).State(slot.base)) : kNeverUsed;
      const char* last = now == LiveState(slot.base) ? "live" : now == kFreed ? "freed before" : "never allocated";
      if (address == slot.base && now == kFreed) {
        const char* second = std::strcmp(verb, "free") == 0 ? "double " : "";
        os::Fatal(second, verb, " of ", Hex{address}, ": a slot of ", info.slot_bytes, " bytes, freed before");
      }
      os::Fatal(verb, " of ", Hex{address}, ": ", address - slot.base, " bytes inside a slot of ", info.slot_bytes,
                " bytes at ", Hex{slot.base}, " (", last, ")");
    }
    case ChunkUse::kHuge:
    case ChunkUse::kHugeTail: {
      const HugeObject huge = huge_list_.Find(address);
      if (huge.bytes != 0) {
        os::Fatal(verb, " of ", Hex{address}, ": ", address - huge.base, " bytes inside a live block of ", huge.bytes,
                  " bytes at ", Hex{huge.base});
      }
      os::Fatal(verb, " of ", Hex{address}, ": no block is there (freed before, or never allocated)");
    }
    case ChunkUse::kNone:
    case ChunkUse::kReserved:
      break;
  }
  os::Fatal(verb, " of ", Hex{address}, ": not an address of this heap (or of a block long given back)");
}

void SpanHeap::ReleaseIdleSlots(uint64_t now_ns) {
  for (uint32_t number = 1; number < kSizeClassCount; ++number) central(static_cast<SizeClass>(number)).ReleaseIdle(now_ns);
}

size_t SpanHeap::ReleaseIdle(uint64_t now_ns) {
  ReleaseIdleSlots(now_ns);
  return page_heap_.ReleaseIdle(now_ns);
}

IdleRelease SpanHeap::ReleaseIdle(uint64_t now_ns, size_t most_bytes) {
  ReleaseIdleSlots(now_ns);
  return page_heap_.ReleaseIdle(now_ns, most_bytes);
}

size_t SpanHeap::ReleaseSome(size_t most_bytes) {
  for (uint32_t number = 1; number < kSizeClassCount; ++number) central(static_cast<SizeClass>(number)).DrainDepot();
  return page_heap_.ReleaseSome(most_bytes);
}

size_t SpanHeap::ReleaseAll() {
  for (uint32_t number = 1; number < kSizeClassCount; ++number) central(static_cast<SizeClass>(number)).DrainDepot();
  return page_heap_.ReleaseAll();
}

ClassStats SpanHeap::class_stats(SizeClass size_class) {
  const CentralStats stats = central(size_class).stats();
  size_t cached = stats.depot_slots;
  {
    os::MutexLock lock(caches_mutex_);
    for (const ThreadCache* cache = caches_.first(); cache != nullptr; cache = cache->next) {
      cached += cache->CachedSlots(size_class);
    }
  }
  const size_t handed_out = stats.slots - stats.free_slots;
  return {.slot_bytes = kSizeClasses[size_class].slot_bytes,
          .spans = stats.spans,
          .live_slots = handed_out > cached ? handed_out - cached : 0,
          .cached_slots = cached < handed_out ? cached : handed_out};
}

HeapStats SpanHeap::stats() {
  HeapStats result{};
  for (uint32_t number = 1; number < kSizeClassCount; ++number) {
    const auto size_class = static_cast<SizeClass>(number);
    const ClassStats of_class = class_stats(size_class);
    const size_t slots = of_class.spans * kSizeClasses[size_class].slots;
    result.small_bytes += of_class.live_slots * of_class.slot_bytes;
    result.cached_bytes += of_class.cached_slots * of_class.slot_bytes;
    const size_t taken = of_class.live_slots + of_class.cached_slots;
    if (slots > taken) result.free_bytes += (slots - taken) * of_class.slot_bytes;
  }
  os::MutexLock lock(caches_mutex_);
  for (const ThreadCache* cache = caches_.first(); cache != nullptr; cache = cache->next) ++result.threads;
  result.space = space_.stats();
  result.pages = page_heap_.stats();
  result.huge = huge_list_.stats();
  return result;
}

void SpanHeap::CheckInvariants() {
  page_heap_.CheckInvariants();
  for (uint32_t number = 1; number < kSizeClassCount; ++number) central(static_cast<SizeClass>(number)).CheckInvariants();
}

void SpanHeap::LockAll() {
  caches_mutex_.LockForFork();
  for (uint32_t number = 1; number < kSizeClassCount; ++number) central(static_cast<SizeClass>(number)).mutex().LockForFork();
  huge_list_.mutex().LockForFork();
  page_heap_.mutex().LockForFork();
  chunk_space_.mutex().LockForFork();
  metadata_.mutex().LockForFork();
}

void SpanHeap::UnlockAll() {
  metadata_.mutex().UnlockAfterFork();
  chunk_space_.mutex().UnlockAfterFork();
  page_heap_.mutex().UnlockAfterFork();
  huge_list_.mutex().UnlockAfterFork();
  for (uint32_t number = kSizeClassCount; number-- > 1;) central(static_cast<SizeClass>(number)).mutex().UnlockAfterFork();
  caches_mutex_.UnlockAfterFork();
}

void SpanHeap::ForgetOtherThreads(ThreadCache* own) {
  os::MutexLock lock(caches_mutex_);
  while (!caches_.is_empty()) caches_.Pop();
  if (own != nullptr) caches_.Push(own);
}

}  // namespace acre
