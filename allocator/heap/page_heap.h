#pragma once

// Spans out of chunks.
//
// Chunks are taken from the kernel one at a time and made accessible from the bottom up, 2 MiB at a step. A span goes to
// the first chunk, by address, that has dirty pages for it, else to the first that has room: memory that the kernel has
// already supplied is used again before fresh memory (a fresh page costs about 1 µs, more than everything else here).
//
// Memory goes back by age, without a clock in the allocation path: the least number of dirty free pages over the last
// second is memory that nobody needed for a second. ReleaseIdle, called a few times a second by whoever has the time (the
// background thread, or a slow path), gives that much back, from the highest address down; or a part of it, sparing the
// blocks that are nearly full in a heap that asks for huge pages.
//
// Threads: any; one lock, which is not held during the system calls that give memory back. Cost: about 100 ns a span.

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "allocator/base/lock_rank.h"
#include "allocator/base/metadata.h"
#include "allocator/base/units.h"
#include "allocator/heap/chunk_space.h"
#include "allocator/heap/low_water.h"
#include "allocator/span/chunk.h"
#include "os/address_space.h"
#include "os/mutex.h"

namespace acre {

struct PageHeapStats {
  size_t chunks;
  size_t small_span_bytes;  // Spans of slots.
  size_t large_bytes;       // Spans of one object.
  size_t large_spans;
  size_t dirty_bytes;       // Free, held from the kernel.
  size_t released_bytes;    // Given back, in all.
};

// What came of giving idle memory back: how much went, and how much is idle still.
struct IdleRelease {
  size_t released_bytes;
  size_t idle_bytes;
};

class PageHeap {
 public:
  constexpr PageHeap(os::AddressSpace& space, ChunkSpace& chunk_space, ChunkTable& table)
      : space_(space), chunk_space_(chunk_space), table_(table) {}
  PageHeap(const PageHeap&) = delete;
  PageHeap& operator=(const PageHeap&) = delete;

  // Chunks are asked to use huge pages once the heap holds this much; SIZE_MAX for never.
  void set_huge_page_threshold(size_t bytes) { huge_page_threshold_ = bytes; }

  // Whether chunks stay that are empty, since somebody may look at their records at any time: a marker beside mutators, or who
  // asks what lies at an address. What their records hold goes back then, and reads as zeros: no span.
  void set_keeps_chunks(bool keeps_chunks) {
    os::MutexLock lock(mutex_);
    keeps_chunks_ = keeps_chunks;
  }

  // Spans, free memory that the kernel has not got back, and huge objects that were charged never exceed this (but for a
  // moment, by free memory that goes back then). SIZE_MAX: no limit. Any thread.
  void set_limit_bytes(size_t bytes) { limit_pages_.store(bytes / kPageBytes, std::memory_order_relaxed); }
  size_t limit_bytes() const { return limit_pages_.load(std::memory_order_relaxed) * kPageBytes; }
  // Whether so much more would exceed it.
  bool ExceedsLimit(size_t bytes) const {
    const size_t pages = PagesFor(bytes);
    const size_t limit = limit_pages_.load(std::memory_order_relaxed);
    return pages > limit || used_pages_.load(std::memory_order_relaxed) + huge_pages_.load(std::memory_order_relaxed) > limit - pages;
  }
  // The same that spans and huge objects may exceed: only free memory goes back, as the heap grows. Any thread.
  void set_soft_limit_bytes(size_t bytes) { soft_limit_pages_.store(bytes / kPageBytes, std::memory_order_relaxed); }
  void KeepToSoftLimit();
  // A huge object of so many bytes is about to be made, has been given up. False: it would exceed the limit.
  [[nodiscard]] bool ChargeHuge(size_t bytes);
  void DischargeHuge(size_t bytes);

  const ChunkTable& table() const { return table_; }

  // A span of slots, all free. Null when the kernel has no memory.
  [[nodiscard]] Span* AllocateSmall(SizeClass size_class, Kind kind);

  // A span for one object of `pages` pages (at most kUsablePages), at a multiple of alignment_pages.
  [[nodiscard]] Span* AllocateLarge(size_t pages, size_t alignment_pages, Kind kind);

  void Free(Span* span);

  // Makes a large span larger or smaller where it is. False if the pages behind it are in use.
  [[nodiscard]] bool ResizeLarge(Span* span, size_t pages);

  // Gives dirty memory back that was not needed for about a second, and chunks that are empty then, with their records;
  // everything with ReleaseAll. Returns the bytes.
  size_t ReleaseIdle(uint64_t now_ns);
  size_t ReleaseAll();

  // The same in steps of at most so much; the first spares dense blocks where huge pages are asked for.
  IdleRelease ReleaseIdle(uint64_t now_ns, size_t most_bytes);
  size_t ReleaseSome(size_t most_bytes);

  // Gives address space back as well: what is free at the ends of chunks that count against a limit on it. For the moment
  // when the kernel has refused. Returns whether there was any.
  bool ReleaseAddressSpace();

  // How often the heap has grown into memory that the kernel has to supply, in steps of a 32nd of its size: a caller that
  // sees it change gives back what it keeps idle, so that the next step may not be needed.
  uint32_t growths() const { return growths_.load(std::memory_order_relaxed); }

  size_t dirty_bytes() const { return dirty_pages_.load(std::memory_order_relaxed) * kPageBytes; }
  size_t used_bytes() const { return used_pages_.load(std::memory_order_relaxed) * kPageBytes; }
  size_t huge_bytes() const { return huge_pages_.load(std::memory_order_relaxed) * kPageBytes; }
  PageHeapStats stats();

  // Calls visit(span) for every span in use, with the lock held.
  template <class Visit>
  void ForEachSpan(Visit visit) {
    os::MutexLock lock(mutex_);
    for (uint32_t i = 0; i < chunk_count_; ++i) {
      Chunk* chunk = chunks_[i].chunk;
      for (uint32_t page = kFirstPage; page < chunk->pages.limit();) {
        Span* span = SpanOfPage(chunk, page);
        if (span == nullptr) {
          ++page;
        } else {
          visit(span);
          page += span->pages;
        }
      }
    }
  }

  // Pages, spans and counters agree. No other thread uses the heap.
  void CheckInvariants();

  // At the end of the heap: every chunk goes back to the kernel.
  void ReleaseChunks();

  os::Mutex& mutex() { return mutex_; }

 private:
  struct ChunkRecord {
    Chunk* chunk;
    os::Reservation reservation;
    bool wants_huge_pages;
    bool has_records;  // A span was made since they were given back.
  };
  static constexpr size_t kGrowthBytes = 2 * kMiB;
  // The records that marking reads for each object: in a chunk that gets filled nearly all of it is used anyway.
  static constexpr size_t kMarkingRecordBytes = 2 * kMiB;
  static_assert(offsetof(Chunk, state_rows) <= kMarkingRecordBytes);
  static constexpr size_t kMinGrowthStepPages = 32;
  enum class Density : uint8_t { kUnknown, kFilled };  // Whether all of the memory is about to be written.
  // A block that has grown to this by realloc is being filled from its start: huge pages save most of its faults.
  static constexpr size_t kFilledBytes = 4 * kMiB;
  static constexpr uint32_t kReleasePages = 512;  // At most 4 MiB in one system call.
  static constexpr size_t kLeastReleasePages = 32;  // At the soft limit: not a system call for each span.

  size_t HeldPages() const;
  void KeepToLimit();
  Span* Allocate(uint32_t pages, uint32_t alignment, SizeClass size_class, Kind kind);
  Span* AllocateFrom(ChunkRecord& record, uint32_t pages, uint32_t alignment, bool only_dirty, SizeClass size_class,
                     Kind kind);
  bool Grow(uint32_t pages, uint32_t alignment);
  bool GrowChunk(ChunkRecord& record, uint32_t pages);
  bool ExtendChunk(ChunkRecord& record, uint32_t pages, Density density);
  bool AddChunk();
  bool MakeRoomForRecord();
  void AccountTaken(uint32_t pages, uint32_t scavenged);
  void AccountFreed(uint32_t pages);
  size_t TakeIdle(uint64_t now_ns, size_t most_pages, size_t* idle_pages);
  size_t Release(size_t pages, Spare spare);
  uint32_t TakeDirty(uint32_t most, Spare spare, ChunkRecord** record, uint32_t* first);
  bool ReleaseEmptyChunks(uint32_t kept);
  void DiscardEmptyRecords(uint32_t kept);
  void ReleaseChunk(const ChunkRecord& record);

  os::AddressSpace& space_;
  ChunkSpace& chunk_space_;
  ChunkTable& table_;
  os::Mutex mutex_{kPageHeapRank};

  // Guarded by mutex_, but for the relaxed reads of the two counters.
  ChunkRecord* chunks_ = nullptr;  // By address.
  uint32_t chunk_count_ = 0;
  uint32_t chunk_capacity_ = 0;
  std::atomic<size_t> dirty_pages_{0};
  std::atomic<size_t> used_pages_{0};
  std::atomic<size_t> huge_pages_{0};
  std::atomic<size_t> limit_pages_{SIZE_MAX / kPageBytes};
  std::atomic<size_t> soft_limit_pages_{SIZE_MAX / kPageBytes};
  std::atomic<bool> has_grown_{false};  // Into memory that the kernel has to supply, since the soft limit was looked at.
  std::atomic<uint32_t> growths_{0};
  bool keeps_chunks_ = false;
  size_t releasing_pages_ = 0;  // Neither in use nor free: they are being given back.
  size_t fresh_pages_ = 0;  // Taken since the last growth step.
  size_t large_pages_ = 0;
  size_t large_spans_ = 0;
  size_t released_bytes_ = 0;
  size_t huge_page_threshold_ = SIZE_MAX;
  LowWater dirty_low_water_;
};

}  // namespace acre
