#pragma once

// The span heap: every part of it, put together.
//
//   small (<= 32 KiB)   thread cache -> central list of the class -> page heap -> kernel
//   large               a span of its own from the page heap
//   huge (> half a chunk) chunks of its own
//
// Memory is freed by hand. Nothing here is global: several heaps live side by side. The chunk table is passed in because a
// heap in static storage wants it in zeroed static memory (2 MiB that are never touched).
//
// Threads: any, each with its ThreadCache. Allocation failure is a null pointer; nothing is lost then.

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "allocator/base/list.h"
#include "allocator/base/metadata.h"
#include "allocator/heap/central_list.h"
#include "allocator/heap/chunk_space.h"
#include "allocator/heap/huge_list.h"
#include "allocator/heap/page_heap.h"
#include "allocator/heap/thread_cache.h"
#include "os/address_space.h"
#include "os/check.h"
#include "os/mutex.h"

namespace acre {

struct HeapStats {
  os::AddressSpaceStats space;
  PageHeapStats pages;
  HugeStats huge;
  size_t small_bytes;   // In slots that the program holds.
  size_t cached_bytes;  // In slots that caches and depots hold.
  size_t free_bytes;    // In free slots of spans.
  size_t threads;
};

struct ClassStats {
  uint32_t slot_bytes;
  size_t spans;
  size_t live_slots;
  size_t cached_slots;
};

class SpanHeap {
 public:
  // The largest object that shares chunks with others.
  static constexpr size_t kMaxLargeBytes = kChunkBytes / 2 - 4 * kMiB;

  SpanHeap(const os::MemoryCalls& calls, size_t address_space_limit_bytes, ChunkTable& table);
  ~SpanHeap();
  SpanHeap(const SpanHeap&) = delete;
  SpanHeap& operator=(const SpanHeap&) = delete;

  // The heap asks for huge pages as it grows once it holds this much; SIZE_MAX for never.
  void set_huge_page_threshold(size_t bytes) {
    page_heap_.set_huge_page_threshold(bytes);
    huge_list_.set_wants_huge_pages(bytes != SIZE_MAX);
  }

  // A thread's cache, or null when there is no memory; to be closed by its thread, or after its thread has ended.
  [[nodiscard]] ThreadCache* OpenCache();
  void CloseCache(ThreadCache* cache);

  // At least `bytes`, aligned to 16 bytes, or to `alignment` (a power of two). Null when there is no memory.
  [[nodiscard]] void* Allocate(ThreadCache& cache, size_t bytes);
  [[nodiscard]] void* AllocateAligned(ThreadCache& cache, size_t bytes, size_t alignment);
  [[nodiscard]] void* AllocateZeroed(ThreadCache& cache, size_t bytes);

  // Misuse is fatal: one line that names the address and what is known of it. `verb` is the caller's word for it.
  void Free(ThreadCache& cache, void* object);
  [[nodiscard]] void* Reallocate(ThreadCache& cache, void* object, size_t bytes);
  size_t UsableBytes(const void* object, const char* verb) const;

  // Gives back what was not needed for a while; or everything that is free. Returns bytes given to the kernel.
  size_t ReleaseIdle(uint64_t now_ns);
  size_t ReleaseAll();

  // The same in steps: PageHeap.
  IdleRelease ReleaseIdle(uint64_t now_ns, size_t most_bytes);
  size_t ReleaseSome(size_t most_bytes);

  HeapStats stats();
  ClassStats class_stats(SizeClass size_class);
  void CheckInvariants();

  // Around fork: every lock is taken before, and given back in both processes.
  void LockAll();
  void UnlockAll();
  // In the child: there is no thread but this one. Slots in the caches of the others are lost to it.
  void ForgetOtherThreads(ThreadCache* own);

  PageHeap& page_heap() { return page_heap_; }
  HugeList& huge_list() { return huge_list_; }
  Metadata& metadata() { return metadata_; }
  ChunkTable& table() { return table_; }
  os::AddressSpace& space() { return space_; }

 private:
  struct Central {
    alignas(CentralList) unsigned char bytes[sizeof(CentralList)];
  };

  CentralList& central(SizeClass size_class) {
    return reinterpret_cast<CentralList*>(central_storage_)[size_class];
  }
  void* AllocateSmall(ThreadCache& cache, SizeClass size_class);
  void* AllocateOne(SizeClass size_class);
  void* AllocateLarge(ThreadCache& cache, size_t bytes, size_t alignment, bool* is_zeroed);
  void* TryAllocateLarge(size_t bytes, size_t alignment, bool* is_zeroed);
  void Reclaim(ThreadCache& cache);
  void TrimAfterGrowth(ThreadCache& cache);
  void FreeSlow(ThreadCache& cache, void* object);
  void ReleaseIdleSlots(uint64_t now_ns);
  Span* FindLarge(uintptr_t address) const;
  void* MoveTo(ThreadCache& cache, void* object, size_t old_bytes, size_t bytes);
  [[noreturn]] void ReportMisuse(const char* verb, uintptr_t address) const;

  os::AddressSpace space_;
  ChunkTable& table_;
  Metadata metadata_{space_};
  ChunkSpace chunk_space_{space_, table_};
  PageHeap page_heap_{space_, chunk_space_, table_};
  mutable HugeList huge_list_{space_, chunk_space_, metadata_};
  std::atomic<uint32_t> seen_growths_{0};  // Of the page heap, at the last trim.
  alignas(64) Central central_storage_[kSizeClassCount];
  os::Mutex caches_mutex_{kThreadListRank};
  List<ThreadCache> caches_;  // Guarded by caches_mutex_.
};

}  // namespace acre
